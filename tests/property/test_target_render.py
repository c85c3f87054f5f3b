"""Rendered requests, decoded by the standard library, equal their input, for all of Unicode, within every size."""

from urllib.parse import parse_qsl

from hypothesis import given
from hypothesis import strategies as st

from connector.events.change import Visitor
from connector.target.render import GET_BYTES, POST_BYTES, Method, Renderer, Request

PATH = "/m2/client/profile/update"
PARAMETERS = {"mbox3rdPartyId": "mbox3rdPartyId", "pcId": "mboxPC"}
SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%&=")

unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
visitors = st.builds(Visitor, st.sampled_from(sorted(PARAMETERS)), unicode_text.filter(bool))
# Long values in few draws: a short text, repeated.
long_text = st.builds(lambda text, times: text * times, unicode_text, st.integers(0, 9_000))
updates = st.dictionaries(unicode_text.filter(bool), unicode_text | long_text, min_size=1, max_size=12)
methods = st.sampled_from(Method)


def _form(request: Request) -> str:
    """Check what holds for every request, and return its form."""
    path, _, query = request.target.partition("?")
    assert path == PATH
    if request.method == "GET":
        assert request.body is None
        assert len(request.target.encode("ascii")) <= GET_BYTES
        return query
    assert (request.method, query) == ("POST", "")
    assert request.body is not None
    assert len(request.body) <= POST_BYTES
    return request.body.decode("ascii")


@given(visitor=visitors, attributes=updates, method=methods)
def test_what_arrives_is_what_was_sent(visitor: Visitor, attributes: dict[str, str], method: Method) -> None:
    """Each attribute arrives exactly once with its value, in order, under the right visitor; sizes always hold."""
    rendered = Renderer(PATH, method)(visitor, attributes)
    arrived: list[tuple[str, str]] = []
    for request in rendered.requests:
        form = _form(request)
        assert SAFE.issuperset(form.encode("ascii"))
        pairs = parse_qsl(form, keep_blank_values=True, strict_parsing=True, encoding="utf-8", errors="strict")
        assert pairs[0] == (PARAMETERS[visitor.kind], visitor.id)
        assert [name for name, _ in pairs[1:]] == [f"profile.{name}" for name in request.names]
        arrived += [(name.removeprefix("profile."), value) for name, value in pairs[1:]]
    expected = [(name, value) for name, value in attributes.items() if name not in rendered.unfit]
    assert arrived == expected
    assert set(rendered.unfit) <= attributes.keys()


@given(visitor=visitors, attributes=updates, method=methods)
def test_rendering_is_deterministic_and_wastes_no_request(
    visitor: Visitor, attributes: dict[str, str], method: Method
) -> None:
    """The same update gives the same bytes, independent of earlier ones; no two neighbours would fit in one request."""
    render = Renderer(PATH, method)
    rendered = render(visitor, attributes)
    assert render(visitor, attributes) == rendered == Renderer(PATH, method)(visitor, dict(attributes))
    limit = GET_BYTES - len(PATH) - 1 if method is Method.GET else POST_BYTES
    for left, right in zip(rendered.requests, rendered.requests[1:], strict=False):
        first_of_right = _form(right).split("&")[1]
        assert len(_form(left)) + 1 + len(first_of_right) > limit


@given(visitor=visitors, attributes=updates)
def test_the_method_follows_from_the_size_alone(visitor: Visitor, attributes: dict[str, str]) -> None:
    """`auto` takes a GET exactly when everything fits in one."""
    whole = Renderer(PATH, Method.GET)(visitor, attributes)
    rendered = Renderer(PATH, Method.AUTO)(visitor, attributes)
    fits_one_get = len(whole.requests) == 1 and not whole.unfit
    if fits_one_get:
        assert rendered == whole
    elif not rendered.unfit:
        assert {request.method for request in rendered.requests} == {"POST"}


@given(visitor=visitors, attributes=updates, method=methods)
def test_only_what_fits_in_no_request_is_unfit(visitor: Visitor, attributes: dict[str, str], method: Method) -> None:
    """An attribute is dropped exactly when it is too large even alone."""
    render = Renderer(PATH, method)
    alone = {name for name, value in attributes.items() if render(visitor, {name: value}).unfit}
    assert set(render(visitor, attributes).unfit) == alone
