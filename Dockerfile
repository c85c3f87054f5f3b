# The connector and what it needs to run, without a build tool, for a user without rights on a root that is read-only.
#   scripts/build_image                  builds target-profile-connector:<version> with its labels
# For a build that can be repeated, name the base by its digest: --build-arg BASE_IMAGE=python:3.13-slim-bookworm@sha256:…
# Any base with Python 3.11 or newer and its venv will do; both stages have the same one, since the end runs its Python.
ARG BASE_IMAGE=python:3.13-slim-bookworm

FROM ${BASE_IMAGE} AS build
# pip's own options, for an index of your own (PIP_INDEX_URL) or a folder of wheels.
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY requirements.lock requirements-image.lock ./
# What is needed to build, and what is needed to run, apart from each other.
RUN python3 -m venv /build \
    && /build/bin/pip install --quiet --no-deps --require-hashes -r requirements.lock \
    && python3 -m venv --without-pip /opt/connector \
    && /build/bin/pip --python /opt/connector/bin/python install --quiet --no-deps --require-hashes -r requirements-image.lock
COPY . .
RUN /build/bin/python -m hatchling build -t wheel -d /wheel \
    && /build/bin/pip --python /opt/connector/bin/python install --quiet --no-deps --no-index /wheel/*.whl \
    && /build/bin/pip --python /opt/connector/bin/python check

FROM ${BASE_IMAGE}
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="target-profile-connector" \
      org.opencontainers.image.description="Kafka events in, one rate-limited Adobe Target profile update per visitor out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# The official base brings a pip that nothing here may need.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip*
COPY --from=build /opt/connector /opt/connector
ENV PATH=/opt/connector/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/opt/connector/bin/connector"]
CMD ["run"]
