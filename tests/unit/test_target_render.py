"""Requests at the API's size limits, byte by byte; property tests cover all of Unicode."""

import pytest

from connector.events.change import Visitor
from connector.target.render import GET_BYTES, POST_BYTES, Method, Rendered, Renderer, Request

PATH = "/m2/client/profile/update"
VISITOR = Visitor("mbox3rdPartyId", "1")
HEAD = "mbox3rdPartyId=1"
FIELD = "&profile.a="


def test_an_update_is_one_get() -> None:
    """The usual case, as it is on the wire."""
    rendered = Renderer(PATH)(
        Visitor("mbox3rdPartyId", "a/b c"), {"tier": "gold", "city": "Köln", "e": "", "x.y": "&=+#%"}
    )
    assert rendered.requests == (
        Request(
            "GET",
            PATH + "?mbox3rdPartyId=a%2Fb%20c&profile.tier=gold"
            "&profile.city=K%C3%B6ln&profile.e=&profile.x.y=%26%3D%2B%23%25",
            None,
            ("tier", "city", "e", "x.y"),
        ),
    )
    assert rendered.unfit == ()


def test_a_pc_id_keeps_its_location_hint() -> None:
    """The suffix after the dot tells Target where the visitor's profile is stored."""
    rendered = Renderer(PATH, Method.POST)(Visitor("pcId", "1368007744041-575948.01_00"), {"a": "b"})
    assert rendered.requests == (Request("POST", PATH, b"mboxPC=1368007744041-575948.01_00&profile.a=b", ("a",)),)


def test_an_update_without_attributes_is_no_request() -> None:
    """There is nothing to send, and a call would cost quota."""
    assert Renderer(PATH)(VISITOR, {}).requests == ()


@pytest.mark.parametrize("method", [Method.AUTO, Method.GET])
def test_a_get_fills_its_size_to_the_last_byte(method: Method) -> None:
    """8,192 bytes of request target are a GET, one more is not."""
    room = GET_BYTES - len(PATH + "?" + HEAD + FIELD)
    (request,) = Renderer(PATH, method)(VISITOR, {"a": "x" * room}).requests
    assert (request.method, len(request.target)) == ("GET", GET_BYTES)
    rendered = Renderer(PATH, method)(VISITOR, {"a": "x" * (room + 1)})
    if method is Method.GET:
        assert rendered == Rendered((), ("a",), GET_BYTES)
    else:
        assert [request.method for request in rendered.requests] == ["POST"]
        assert rendered.requests[0].target == PATH


@pytest.mark.parametrize("method", [Method.AUTO, Method.POST])
def test_a_post_fills_its_size_to_the_last_byte(method: Method) -> None:
    """61,440 bytes of form are a POST; an attribute that makes one more fits nowhere."""
    room = POST_BYTES - len(HEAD + FIELD)
    (request,) = Renderer(PATH, method)(VISITOR, {"a": "x" * room}).requests
    assert request.body is not None
    assert len(request.body) == POST_BYTES
    rendered = Renderer(PATH, method)(VISITOR, {"a": "x" * (room + 1)})
    assert (rendered.unfit, rendered.most) == (("a",), POST_BYTES)


def test_the_encoded_size_counts() -> None:
    """A character beyond ASCII takes six bytes on the wire, not one."""
    (request,) = Renderer(PATH)(VISITOR, {"a": "ü" * 1_400}).requests
    assert request.method == "POST"


def test_an_update_too_large_for_one_post_is_several_in_order() -> None:
    """Each names the visitor, each attribute goes once."""
    attributes = {f"a{number}": "x" * 20_000 for number in range(7)}
    rendered = Renderer(PATH)(VISITOR, attributes)
    assert [request.names for request in rendered.requests] == [("a0", "a1", "a2"), ("a3", "a4", "a5"), ("a6",)]
    assert {request.method for request in rendered.requests} == {"POST"}
    assert all(
        request.body is not None and request.body.startswith(b"mbox3rdPartyId=1&") for request in rendered.requests
    )


def test_with_method_get_an_update_is_split_over_gets() -> None:
    """An account that takes no POST still gets everything that fits."""
    rendered = Renderer(PATH, Method.GET)(VISITOR, {f"a{number}": "x" * 3_000 for number in range(5)})
    assert [request.names for request in rendered.requests] == [("a0", "a1"), ("a2", "a3"), ("a4",)]
    assert {request.method for request in rendered.requests} == {"GET"}


def test_with_method_post_a_small_update_is_a_post() -> None:
    """An operator may want no ids in addresses, which proxies log."""
    assert [request.method for request in Renderer(PATH, Method.POST)(VISITOR, {"a": "b"}).requests] == ["POST"]


def test_an_attribute_that_fits_no_request_does_not_block_the_others() -> None:
    """The rest is rendered without it, here as one GET."""
    rendered = Renderer(PATH)(VISITOR, {"a": "1", "huge": "x" * POST_BYTES, "b": "2"})
    assert [(request.method, request.names) for request in rendered.requests] == [("GET", ("a", "b"))]
    assert (rendered.unfit, rendered.most) == (("huge",), POST_BYTES)


def test_a_visitor_that_fits_no_request_makes_all_unfit() -> None:
    """Nothing is sent without its visitor."""
    rendered = Renderer(PATH)(Visitor("pcId", "x" * POST_BYTES), {"a": "1", "b": "2"})
    assert (rendered.requests, rendered.unfit) == ((), ("a", "b"))


def test_half_a_surrogate_pair_is_unfit_and_never_raises() -> None:
    """It has no UTF-8 form; a crash, or a replacement character at Target, would be worse than a dead letter."""
    render = Renderer(PATH)
    rendered = render(VISITOR, {"a": "\ud800", "b": "2", "\udfff": "3", "huge": "x" * POST_BYTES})
    assert [request.names for request in rendered.requests] == [("b",)]
    assert rendered.unfit == ("a", "\udfff", "huge")
    assert render(Visitor("pcId", "\ud800"), {"a": "1"}).unfit == ("a",)


def test_the_repr_of_a_request_shows_no_visitor() -> None:
    """Requests are in tracebacks; ids must not be."""
    for method in (Method.GET, Method.POST):
        (request,) = Renderer(PATH, method)(Visitor("pcId", "visitor-4711"), {"a": "secret"}).requests
        assert "4711" not in repr(request)
        assert "secret" not in repr(request)
        assert "1 attributes" in repr(request)


def test_unlimited_names_do_not_grow_the_memory() -> None:
    """The cache of names is bounded in number and length, and a name is rendered alike before and after."""
    render = Renderer(PATH)
    (first,) = render(VISITOR, {"ü": "1"}).requests
    for number in range(10_000):
        render(VISITOR, {f"n{number}": "1", "x" * 200 + str(number): "1"})
    (last,) = render(VISITOR, {"ü": "1"}).requests
    assert first == last
    kept = render._fields
    assert len(kept) <= 4_096
    assert max(map(len, kept)) <= 128
