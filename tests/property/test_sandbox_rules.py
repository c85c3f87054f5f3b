"""The rules must read any output of a correct client, and survive any bytes of a wrong one."""

from urllib.parse import quote, quote_plus, urlencode

from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.rules import (
    FORM,
    MAX_BODY_BYTES,
    MAX_ID_CHARACTERS,
    MAX_TARGET_BYTES,
    VISITOR_KINDS,
    PathForm,
    RawRequest,
    Update,
    Visitor,
    check,
)

PATH = b"/m2/client/profile/update"
texts = st.text(st.characters(exclude_categories=["Cs"]))
visitors = st.builds(
    Visitor,
    st.sampled_from(VISITOR_KINDS),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_ID_CHARACTERS),
)
attributes = st.dictionaries(texts.filter(bool), texts, min_size=1, max_size=20)


@given(visitors, attributes, st.booleans(), st.booleans())
def test_what_the_standard_library_encodes_is_read_back(
    visitor: Visitor,
    values: dict[str, str],
    plus: bool,  # noqa: FBT001 - drawn by hypothesis
    get: bool,  # noqa: FBT001 - drawn by hypothesis
) -> None:
    """Any Unicode in names, values and ids is read back unchanged, or the request is over its size and nothing else."""
    pairs = {visitor.kind: visitor.id} | {f"profile.{name}": value for name, value in values.items()}
    form = urlencode(pairs, quote_via=quote_plus if plus else quote).encode()
    target = PATH + b"?" + form if get else PATH
    request = RawRequest("GET", target, None, b"") if get else RawRequest("POST", target, FORM, form)
    result = check(request, "acme")
    if isinstance(result, Update):
        assert (result.visitor, result.attributes) == (visitor, values)
    else:
        assert [broken.rule.value for broken in result] == ["target_size" if get else "body_size"]
        assert len(target if get else form) > (MAX_TARGET_BYTES if get else MAX_BODY_BYTES)


# Random bytes rarely reach the later rules: pieces of a valid request do.
pieces = st.sampled_from(
    [b"mboxPC=", b"mbox3rdPartyId=1", b"profile.", b"profile.a=1", b"&", b"=", b"%", b"%4", b"+", b"?"]
)
hostile = st.lists(st.one_of(st.binary(max_size=20), pieces)).map(b"".join)


@given(
    st.sampled_from(["GET", "POST", "PUT", ""]),
    st.one_of(hostile, hostile.map(lambda tail: PATH + b"?" + tail)),
    st.one_of(st.none(), st.just(FORM), st.text()),
    hostile,
    st.sampled_from(PathForm),
)
def test_no_bytes_crash_the_judge(
    method: str, target: bytes, content_type: str | None, body: bytes, path_form: PathForm
) -> None:
    """Every request gets a verdict, and acceptance only with a visitor and an attribute."""
    result = check(RawRequest(method, target, content_type, body), "acme", path_form)
    if isinstance(result, Update):
        assert 0 < len(result.visitor.id) <= MAX_ID_CHARACTERS
        assert result.attributes
    else:
        assert result
        assert len({broken.rule for broken in result}) == len(result)
