"""Where requests go, checked once at start, so that a bad setting never becomes a million bad requests."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from yarl import URL

PLACEHOLDER = "{client_code}"
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")


class EndpointError(ValueError):
    """A setting of the endpoint that cannot be meant; the message begins with the variable's name."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`origin` is scheme, host and port; `path` is the whole path of the request target, percent-encoded."""

    origin: str
    path: str


def endpoint(base_url: str, update_path: str, client_code: str) -> Endpoint:
    """Compose what the three settings say. `{client_code}` may stand in both texts.

    In `base_url` the client code becomes part of a host name, so it must be one DNS label there; in `update_path` it
    is percent-encoded. Raises `EndpointError`.
    """
    if not client_code or not client_code.isprintable() or client_code in {".", ".."}:
        msg = "TARGET_CLIENT_CODE: must be the account's client code, such as `mycompany`"
        raise EndpointError(msg)
    if PLACEHOLDER in base_url and not _LABEL.fullmatch(client_code):
        msg = (
            "TARGET_CLIENT_CODE: stands in the host name of TARGET_BASE_URL,"
            " so it must be 1 to 63 letters, digits, `-` or `_`"
        )
        raise EndpointError(msg)
    base = _base(base_url.replace(PLACEHOLDER, client_code))
    path = base.raw_path.rstrip("/") + _path(update_path, client_code)
    return Endpoint(str(base.origin()), path)


def _base(text: str) -> URL:
    try:
        url = URL(text)
        origin = url.origin()
    except ValueError as error:
        msg = "TARGET_BASE_URL: must be an http:// or https:// address with a host"
        raise EndpointError(msg) from error
    if origin.scheme not in {"http", "https"}:
        msg = "TARGET_BASE_URL: must begin with https:// or http://"
        raise EndpointError(msg)
    if url.raw_user or url.raw_password or url.raw_query_string or url.raw_fragment:
        msg = "TARGET_BASE_URL: must hold no user, password, query or fragment; a token goes to TARGET_AUTH_TOKEN_FILE"
        raise EndpointError(msg)
    if "{" in text or "}" in text:
        msg = f"TARGET_BASE_URL: the only placeholder is {PLACEHOLDER}"
        raise EndpointError(msg)
    return url


def unfit_path(update_path: str) -> str:
    """Why this cannot be the path of the update call; empty when it can. `{client_code}` may stand in it."""
    path = update_path.replace(PLACEHOLDER, "code")
    if not path.startswith("/"):
        return "it does not begin with a slash"
    if found := set("?#{}") & set(path):
        return f"it holds {' '.join(sorted(found))}"
    if not _PATH.fullmatch(path):
        return "it holds a space, a control character or a letter that must be percent-encoded"
    if {".", ".."} & set(path.split("/")):
        return "it holds a `.` or `..` segment"
    return ""


def _path(update_path: str, client_code: str) -> str:
    if reason := unfit_path(update_path):
        msg = f"TARGET_UPDATE_PATH: {reason}; it must be a path such as /m2/{PLACEHOLDER}/profile/update"
        raise EndpointError(msg)
    return update_path.replace(PLACEHOLDER, quote(client_code, safe=""))
