"""The sandbox must detect each documented rule's violation, by name."""

import pytest

from connector.sandbox.rules import (
    FORM,
    MAX_BODY_BYTES,
    MAX_TARGET_BYTES,
    PathForm,
    RawRequest,
    Rule,
    RuleViolation,
    Update,
    Visitor,
    check,
    decode_path_segment,
)

PATH = b"/m2/client/profile/update"
GOOD = b"mbox3rdPartyId=123&profile.loyaltyTier=gold"


def get(query: bytes, path: bytes = PATH) -> RawRequest:
    """A GET as it is on the wire."""
    return RawRequest("GET", path + b"?" + query, None, b"")


def post(body: bytes, content_type: str | None = FORM, target: bytes = PATH) -> RawRequest:
    """A POST as it is on the wire."""
    return RawRequest("POST", target, content_type, body)


def rules_broken(request: RawRequest, path_form: PathForm = PathForm.LITERAL) -> list[Rule]:
    """The names of the broken rules, in the order found."""
    result = check(request, "acme", path_form)
    return [] if isinstance(result, Update) else [broken.rule for broken in result]


@pytest.mark.parametrize(
    ("request_", "visitor", "attributes"),
    [
        (get(GOOD), Visitor("mbox3rdPartyId", "123"), {"loyaltyTier": "gold"}),
        (post(GOOD), Visitor("mbox3rdPartyId", "123"), {"loyaltyTier": "gold"}),
        (post(GOOD, f"{FORM}; charset=UTF-8"), Visitor("mbox3rdPartyId", "123"), {"loyaltyTier": "gold"}),
        (
            get(b"profile.a=1&mboxPC=1368007744041-575948.01_00&profile.A=2"),
            Visitor("mboxPC", "1368007744041-575948.01_00"),
            {"a": "1", "A": "2"},
        ),
        (
            get(b"mbox3rdPartyId=%F0%9F%98%80%2F%25&profile.a%26b%3D=x+y%2B%23%00"),
            Visitor("mbox3rdPartyId", "😀/%"),
            {"a&b=": "x y+#\0"},
        ),
        (get(b"mbox3rdPartyId=1&profile.empty="), Visitor("mbox3rdPartyId", "1"), {"empty": ""}),
        (get(b"mbox3rdPartyId=1&profile.profile.x=/?:@"), Visitor("mbox3rdPartyId", "1"), {"profile.x": "/?:@"}),
        (get(b"mbox3rdPartyId=" + b"%C3%A9" * 256 + b"&profile.a=1"), Visitor("mbox3rdPartyId", "é" * 256), {"a": "1"}),
    ],
)
def test_a_valid_request_is_read(request_: RawRequest, visitor: Visitor, attributes: dict[str, str]) -> None:
    """A valid request in each allowed spelling gives the intended visitor and attributes."""
    result = check(request_, "acme")
    assert isinstance(result, Update)
    assert (result.visitor, result.attributes) == (visitor, attributes)


@pytest.mark.parametrize(
    ("request_", "rules"),
    [
        (get(GOOD, b"/m2/client/profile/updates"), [Rule.PATH]),
        (get(GOOD, b"/m2/client/profile/update/"), [Rule.PATH]),
        (get(GOOD, b"//m2/client/profile/update"), [Rule.PATH]),
        (get(GOOD, b"/m2/acme/profile/update"), [Rule.CLIENT_CODE]),
        (get(GOOD, b"/m2/%zz/profile/update"), [Rule.CLIENT_CODE]),
        (RawRequest("PUT", PATH + b"?" + GOOD, None, b""), [Rule.METHOD]),
        (get(GOOD + b"&profile.x=" + b"y" * MAX_TARGET_BYTES), [Rule.TARGET_SIZE]),
        (post(GOOD + b"&profile.x=" + b"y" * MAX_BODY_BYTES), [Rule.BODY_SIZE]),
        (post(GOOD, None), [Rule.CONTENT_TYPE]),
        (post(GOOD, "text/plain"), [Rule.CONTENT_TYPE]),
        (post(GOOD, f"{FORM}; charset=latin-1"), [Rule.CONTENT_TYPE]),
        (post(GOOD, FORM, PATH + b"?mboxPC=1"), [Rule.MISPLACED]),
        (RawRequest("GET", PATH + b"?" + GOOD, None, b"x"), [Rule.MISPLACED]),
        (get(GOOD + b"&"), [Rule.PARAMETER]),
        (get(GOOD + b"&profile.x"), [Rule.PARAMETER]),
        (get(GOOD + b"&=x"), [Rule.PARAMETER]),
        (get(GOOD + b"&profile.x=a=b"), [Rule.PARAMETER]),
        (get(GOOD + b"&profile.x=%"), [Rule.ESCAPE]),
        (get(GOOD + b"&profile.x=%4"), [Rule.ESCAPE]),
        (get(GOOD + b"&profile.x=%G0"), [Rule.ESCAPE]),
        (get(GOOD + b"&profile.x=a b"), [Rule.ESCAPE]),
        (get(GOOD + b"&profile.x=a#b"), [Rule.ESCAPE]),
        (get(GOOD + b"&profile.x=\n"), [Rule.ESCAPE]),
        (get(GOOD + "&profile.x=é".encode()), [Rule.ESCAPE]),
        (get(GOOD + b"&profile.x=%E9"), [Rule.UTF8]),
        (get(GOOD + b"&profile.x=%C0%80"), [Rule.UTF8]),
        (get(GOOD + b"&profile.x=%ED%A0%80"), [Rule.UTF8]),
        (get(GOOD + b"&profile.loyaltyTier=gold"), [Rule.DUPLICATE]),
        (get(GOOD + b"&profile.%6Coyalty%54ier=gold"), [Rule.DUPLICATE]),
        (get(GOOD + b"&mbox3rdPartyId=123"), [Rule.DUPLICATE]),
        (get(b"profile.a=1"), [Rule.VISITOR]),
        (get(GOOD + b"&mboxPC=1"), [Rule.VISITOR]),
        (get(b"mbox3rdPartyId=&profile.a=1"), [Rule.VISITOR_ID]),
        (get(b"mboxPC=" + b"x" * 257 + b"&profile.a=1"), [Rule.VISITOR_ID]),
        (get(GOOD + b"&profile.=1"), [Rule.NAME]),
        (get(GOOD + b"&Profile.x=1"), [Rule.NAME]),
        (get(GOOD + b"&mbox3rdpartyid=1"), [Rule.NAME]),
        (get(b"mbox3rdPartyId=123"), [Rule.NO_ATTRIBUTE]),
        (get(b""), [Rule.VISITOR, Rule.NO_ATTRIBUTE]),
        (RawRequest("GET", b"*", None, b""), [Rule.PATH, Rule.VISITOR, Rule.NO_ATTRIBUTE]),
        (get(GOOD + b"&&&profile.x=%&profile.x=%%"), [Rule.PARAMETER, Rule.ESCAPE]),
    ],
)
def test_each_broken_rule_is_named_once(request_: RawRequest, rules: list[Rule]) -> None:
    """Each violation is reported by its rule's name, and by no other."""
    assert rules_broken(request_) == rules


def test_the_sizes_are_exact_to_the_byte() -> None:
    """The last allowed byte passes, the next does not: the connector splits its requests at this bound."""
    room = MAX_TARGET_BYTES - len(PATH) - 1 - len(GOOD) - len(b"&profile.x=")
    assert rules_broken(get(GOOD + b"&profile.x=" + b"y" * room)) == []
    assert rules_broken(get(GOOD + b"&profile.x=" + b"y" * (room + 1))) == [Rule.TARGET_SIZE]
    room = MAX_BODY_BYTES - len(GOOD) - len(b"&profile.x=")
    assert rules_broken(post(GOOD + b"&profile.x=" + b"y" * room)) == []
    assert rules_broken(post(GOOD + b"&profile.x=" + b"y" * (room + 1))) == [Rule.BODY_SIZE]


@pytest.mark.parametrize(
    ("path_form", "literal", "code"),
    [
        (PathForm.LITERAL, [], [Rule.CLIENT_CODE]),
        (PathForm.CODE, [Rule.CLIENT_CODE], []),
        (PathForm.EITHER, [], []),
    ],
)
def test_the_path_follows_its_switch(path_form: PathForm, literal: list[Rule], code: list[Rule]) -> None:
    """What the server checks in the path is unknown, so each form can be chosen."""
    assert rules_broken(get(GOOD), path_form) == literal
    assert rules_broken(get(GOOD, b"/m2/acme/profile/update"), path_form) == code
    assert rules_broken(get(GOOD, b"/m2/%61cme/profile/update"), path_form) == code


def test_a_broken_rule_has_a_detail() -> None:
    """The detail shows the fault, and stays short whatever was sent."""
    result = check(get(GOOD + b"&nonsense=" + b"x" * 1_000 + b"&" + b"y" * 1_000 + b"=1"), "acme")
    assert result == [RuleViolation(Rule.NAME, "'nonsense'")]


@pytest.mark.parametrize(
    ("raw", "text"),
    [(b"a+b", "a+b"), (b"a%2Fb%20c", "a/b c"), (b"%C3%A9", "é"), (b"%", None), (b"%FF", None), (b"\xff", None)],
)
def test_a_path_segment_is_decoded_as_a_path(raw: bytes, text: str | None) -> None:
    """In a path a plus is a plus, and invalid encodings are refused."""
    assert decode_path_segment(raw) == text
