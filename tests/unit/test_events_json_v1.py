"""Each rule of event version 1 as a table: producer teams rely on the reasons."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connector.events import Change, JsonDecoder, Nulls, Refused, Visitor, encode_event
from connector.events.json_v1 import FRACTION_AND_ZONE, MAX_DEPTH, SECOND
from tests.support.captured_logs import as_logged

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "schemas" / "profile-change.v1.schema.json").read_text(encoding="utf-8")
)
decode = JsonDecoder()

ID_RULE = "must be a string of 1 to 256 characters"
PROFILE_RULE = "must be an object with at least one attribute"
TIME_RULE = "must be an RFC 3339 date-time with a time zone, such as 2026-11-22T10:15:00.123Z"
VALUE_RULE = "must be a string, number, boolean, null or object, not an array"
LEVELS = f"{MAX_DEPTH} levels of names are allowed"
CUT = "must be valid JSON, and the parser stops at its end: cut off, or half a surrogate pair"


def with_profile(profile: str) -> bytes:
    """Insert the profile as text: these tests are about spelling, which `json.dumps` would change."""
    return f'{{"pcId":"1.28_0","profile":{profile}}}'.encode()


def with_value(value: str) -> bytes:
    """Insert one value as text, under the name `a`."""
    return with_profile(f'{{"a":{value}}}')


def with_fields(**fields: object) -> bytes:
    """A valid event but for `fields`."""
    return json.dumps({"profile": {"a": "x"}, **fields}).encode()


def nested(depth: int, value: str = '"x"') -> str:
    """A profile whose one value is `depth` names deep."""
    return '{"a":' * depth + value + "}" * depth


def refusal(value: bytes, decoder: JsonDecoder = decode) -> tuple[str, str]:
    """Return the field and the reason that a producer would read."""
    with pytest.raises(Refused) as caught:
        decoder(value)
    said = f"{caught.value.field} {caught.value.reason}"
    assert str(caught.value) == said
    assert as_logged(said) == said, "the log's redaction takes our words for a value"
    return caught.value.field, caught.value.reason


def test_the_event_of_the_contract() -> None:
    """The contract's own sample decodes as documented."""
    value = (
        b'{"eventId": "0197", "occurredAt": "2026-11-22T10:15:00.123Z",\n'
        b' "mbox3rdPartyId": "123456", "profile": {"loyaltyTier": "gold", "points": 120, "active": true}}'
    )
    assert decode(value) == Change(
        Visitor("mbox3rdPartyId", "123456"),
        {"loyaltyTier": "gold", "points": "120", "active": "true"},
        "2026-11-22T10:15:00.123Z",
    )


@pytest.mark.parametrize(
    "number",
    [
        *("0", "-0", "0.0", "-0.0", "-0e1", "7", "-7", "10.50", "1E3", "1e-7", "1e400", "-1E+400", "0.10"),
        "12345678901234567890",
        "12345678901234567890123",
        "-12345678901234567890123",
        "9" * 4300,
        "9" * 5000,
        "-" + "9" * 5000,
        "9" * 5000 + ".50",
    ],
)
@pytest.mark.parametrize(
    "profile", ['{"a":%s}', '{"a": %s , "b":{"c":"x"}}', '{"b":"-0","a":%s\n}', '{"x":null,"a":%s}']
)
def test_numbers_keep_their_written_form(number: str, profile: str) -> None:
    """A price is sent as the producer wrote it, whichever of the decoder's paths the record takes."""
    assert decode(with_profile(profile % number)).attributes["a"] == number


@pytest.mark.parametrize("number", ["-0", "9" * 5000])
def test_exact_numbers_change_no_other_rule(number: str) -> None:
    """The slower path of rare numbers applies the same rules as the fast one."""
    assert decode(with_profile(f'{{"a":{number},"b":true,"c":{{"d":1.50}},"n":null,"é":"ü😀"}}')).attributes == {
        "a": number,
        "b": "true",
        "c.d": "1.50",
        "é": "ü😀",
    }
    assert refusal(with_profile(f'{{"a":{number},"b":[1]}}')) == ("profile.b", VALUE_RULE)
    assert refusal(with_profile(f'{{"a":{number},"":1}}')) == ("profile", "must not have an empty attribute name")
    assert refusal(f'{{"profile":{{"a":{number}}},"pcId":""}}'.encode()) == ("pcId", ID_RULE)
    assert refusal(f'{{"profile":{{"a":{number}}},"pcId":"x",}}'.encode())[0] == "(record)"
    assert refusal(with_value(number).replace(b"1.28_0", b"\xff"))[0] == "(record)"


@pytest.mark.parametrize("last", ["[]", "{}", "null", "1"])
def test_a_second_profile_is_held_to_the_rules(last: str) -> None:
    """A repeated profile must not pass a wrong one through the slower path."""
    value = f'{{"pcId":"x","profile":{{"a":{"9" * 5000}}},"profile":{last}}}'.encode()
    assert refusal(value) == ("profile", PROFILE_RULE)


@pytest.mark.parametrize(
    ("profile", "attributes"),
    [
        ('{"a":"x","b":true,"c":false}', {"a": "x", "b": "true", "c": "false"}),
        ('{"a":""}', {"a": ""}),
        ('{"a":{"b":{"c":1,"d":true}},"e":2}', {"a.b.c": "1", "a.b.d": "true", "e": "2"}),
        ('{"a.b":"x"}', {"a.b": "x"}),
        ('{"a.b":"1","a":{"b":"2"}}', {"a.b": "2"}),
        ('{"a":{"b":"2"},"a.b":"1"}', {"a.b": "1"}),
        ('{"a.b":"1","a":{"b":null}}', {"a.b": "1"}),
        ('{"a":1,"a":"2"}', {"a": "2"}),
        ('{"a":{"b":1},"a":{"c":2}}', {"a.c": "2"}),
        (r'{"\u00e9":"\ud83d\ude00 & + # / = \u0000"}', {"é": "😀 & + # / = \x00"}),
        ('{" ":"x","a..b":"y",".":"z"}', {" ": "x", "a..b": "y", ".": "z"}),
        (nested(MAX_DEPTH), {".".join("a" * MAX_DEPTH): "x"}),
    ],
)
def test_attributes(profile: str, attributes: dict[str, str]) -> None:
    """Objects flatten, the later of two equal names wins, and text is unchanged."""
    assert decode(with_profile(profile)).attributes == attributes


def test_a_value_has_no_size_limit() -> None:
    """A value too large for a request is found by the renderer, which can still send the others."""
    text = "ü" * 2_000_000
    assert decode(with_value(f'"{text}"')).attributes == {"a": text}


@pytest.mark.parametrize(
    ("nulls", "attributes"),
    [(Nulls.DROP, {"a": "x"}), (Nulls.EMPTY, {"a": "x", "b": "", "c.d": ""})],
)
def test_nulls(nulls: Nulls, attributes: dict[str, str]) -> None:
    """A null is left out or sent empty, as the setting says, at any depth."""
    assert JsonDecoder(nulls)(with_profile('{"a":"x","b":null,"c":{"d":null}}')).attributes == attributes


def test_nulls_alone_leave_nothing_to_send() -> None:
    """An event whose every null is dropped is no error: the caller skips it."""
    assert decode(with_profile('{"a":null,"b":{"c":null}}')).attributes == {}


@pytest.mark.parametrize(("profile", "field"), [('{"a":null}', "a"), ('{"b":1,"a":{"b":null}}', "a.b")])
def test_nulls_refused(profile: str, field: str) -> None:
    """Where null is refused, the reason names the attribute."""
    assert refusal(with_profile(profile), JsonDecoder(Nulls.REJECT)) == (f"profile.{field}", "must not be null")


@pytest.mark.parametrize("kind", ["pcId", "mbox3rdPartyId"])
@pytest.mark.parametrize("text", ["x", "😀" * 256, " ", "a+b/c&d#e=f", "\x00"])
def test_visitors(kind: str, text: str) -> None:
    """Either identifier names a visitor, of as many characters (not bytes) as the rule says."""
    other = "pcId" if kind == "mbox3rdPartyId" else "mbox3rdPartyId"
    assert decode(with_fields(**{kind: text})).visitor == Visitor(kind, text)
    assert decode(with_fields(**{kind: text, other: None, "eventId": None, "occurredAt": None})) == Change(
        Visitor(kind, text), {"a": "x"}
    )


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({}, "missing"),
        ({"pcId": None}, "missing"),
        ({"pcId": None, "mbox3rdPartyId": None}, "missing"),
        ({"pcId": "x", "mbox3rdPartyId": "x"}, "given"),
    ],
)
def test_exactly_one_identifier(fields: dict[str, Any], wrong: str) -> None:
    """Both identifiers at once is undocumented in the API, so it is never sent."""
    assert refusal(with_fields(**fields)) == (
        "mbox3rdPartyId, pcId",
        f"must not both be {wrong}: exactly one of the two is needed",
    )


@pytest.mark.parametrize("field", ["pcId", "mbox3rdPartyId", "eventId"])
@pytest.mark.parametrize("wrong", ["", "😀" * 257, 5, 1.5, True, [], {}])
def test_identifiers_refused(field: str, wrong: object) -> None:
    """An identifier of the wrong type or length is named, without its value."""
    assert refusal(with_fields(**{"pcId": "x", field: wrong})) == (field, ID_RULE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01t00:00:00z", 0.0),
        ("1970-01-01T01:00:00.5+01:00", 0.5),
        ("1969-12-31T23:59:59.25-00:00", -0.75),
        ("1970-01-01T00:00:00.1234567890123Z", 0.123456),
        ("2024-02-29T00:00:00Z", 1_709_164_800.0),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140.0),
        ("9999-12-31T23:59:59.9999999-23:59", 253_402_387_139.999999),
    ],
)
def test_times(text: str, seconds: float) -> None:
    """A date-time of RFC 3339 is read with its time zone, to the ends of the calendar."""
    occurred_at = decode(with_fields(pcId="x", occurredAt=text)).occurred_at
    assert occurred_at is not None
    assert occurred_at.timestamp() == seconds


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            "",
            "now",
            "2026-11-22",
            "2026-11-22T10:15Z",
            "2026-11-22T10:15:00",
            "20261122T101500Z",
            "2026-W47-7T10:15:00Z",
        ),
        *("2026-11-22 10:15:00Z", "2026-11-22T10:15:00+0100", "2026-11-22T10:15:00+01", "2026-11-22T10:15:00.Z"),
        *("2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        *("2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2016-12-31T23:59:60Z", "2026-11-22T10:15:00+24:00"),
        *("2026-11-22T10:15:00+01:60", "2026-11-22T10:15:00Z\n", " 2026-11-22T10:15:00Z", "\uff12026-11-22T10:15:00Z"),
        *("2026-11-22T10:15:00,5Z", "2026-11-22T10:15:00+01:00:30", 1_763_806_500, 1.5, True, [], {}),
    ],
)
def test_times_refused(wrong: object) -> None:
    """An ambiguous or invalid time is refused, though Python would accept some of these."""
    assert refusal(with_fields(pcId="x", occurredAt=wrong)) == ("occurredAt", TIME_RULE)


@pytest.mark.parametrize(
    ("profile", "field", "reason"),
    [
        ("{}", "profile", PROFILE_RULE),
        ("[]", "profile", PROFILE_RULE),
        ("null", "profile", PROFILE_RULE),
        ('"x"', "profile", PROFILE_RULE),
        ("1", "profile", PROFILE_RULE),
        ('{"a":[]}', "profile.a", VALUE_RULE),
        ('{"a":{"b":"x","c":["x"]}}', "profile.a.c", VALUE_RULE),
        ('{"a":{}}', "profile.a", "must have at least one attribute, being an object"),
        ('{"a":{"b":{}}}', "profile.a.b", "must have at least one attribute, being an object"),
        ('{"":"x"}', "profile", "must not have an empty attribute name"),
        ('{"a":1,"":{"b":"x"}}', "profile", "must not have an empty attribute name"),
        ('{"a":{"b":{"":"x"}}}', "profile.a.b", "must not have an empty attribute name"),
        (nested(MAX_DEPTH + 1), f"profile.{'.'.join('a' * MAX_DEPTH)}", f"must not be an object: {LEVELS}"),
        (nested(500), f"profile.{'.'.join('a' * MAX_DEPTH)}", f"must not be an object: {LEVELS}"),
        (nested(100_000), "(record)", f"must not nest so deep: {LEVELS}"),
        ('{"a":' + "[" * 100_000, "(record)", f"must not nest so deep: {LEVELS}"),
        (nested(100_000, "9" * 5000), "(record)", f"must not nest so deep: {LEVELS}"),
        ('{"n":' + "9" * 5000 + ',"a":' + nested(100_000) + "}", "(record)", f"must not nest so deep: {LEVELS}"),
    ],
)
def test_profiles_refused(profile: str, field: str, reason: str) -> None:
    """Each rule of the profile is refused by name, at any depth, and no depth crashes."""
    assert refusal(with_profile(profile)) == (field, reason)


def test_a_refused_name_is_cut_short() -> None:
    """The field becomes a Kafka header, which must not outgrow its record."""
    field, _ = refusal(with_profile(f'{{"{"n" * 1_000_000}":[]}}'))
    assert field == "profile." + "n" * 191 + "…"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", CUT),
        (b" ", CUT),
        (b'{"pcId":"x","profile":{"a":1}', CUT),
        (b'{"pcId":"x","profile":{"a":"\\ud800"}}', CUT),
        (b'{"pcId":"x","profile":{"a":"\\udc00"}}', "must be valid JSON, and the parser stops at byte 34"),
        (b'{"pcId":"x","profile":{"a":"\\ud800 and more"}}', "must be valid JSON, and the parser stops at byte 34"),
        (b'{"x":"\\udc00","pcId":"x","profile":{"a":1}}', "must be valid JSON, and the parser stops at byte 12"),
        (b'{"pcId":"x","profile":{"a":1}} x', "must be valid JSON, and the parser stops at byte 32"),
        (b'{"pcId":"x","profile":{"a":1}}\x00', "must be valid JSON, and the parser stops at byte 31"),
        (b'{"pcId":"x","profile":{"a":NaN}}', "must be valid JSON, and the parser stops at byte 27"),
        (b'{"pcId":"x","profile":{"a":-Infinity}}', "must be valid JSON, and the parser stops at byte 28"),
        (b'{"pcId":"x","profile":{"a":01}}', "must be valid JSON, and the parser stops at byte 28"),
        (b"{'pcId':'x'}", "must be valid JSON, and the parser stops at byte 1"),
        (b'\xef\xbb\xbf{"pcId":"x","profile":{"a":1}}', "must be valid JSON, and the parser stops at byte 0"),
        (b'{"pcId":"x","profile":{"a":"\xff"}}', "must be UTF-8, and is not at byte 28"),
        (b'{"pcId":"x","profile":{"\xc0\x80":1}}', "must be UTF-8, and is not at byte 24"),
        (b'{"x":"\xed\xa0\x80","pcId":"x","profile":{"a":1}}', "must be UTF-8, and is not at byte 6"),
        ('{"pcId":"x","profile":{"a":1}}'.encode("utf-16"), "must be UTF-8, and is not at byte 0"),
        (b"[]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"1", "must be a JSON object"),
        (b'{"x":' + b"[" * 100_000, f"must not nest so deep: {LEVELS}"),
    ],
)
def test_records_refused(value: bytes, reason: str) -> None:
    """A record that is no JSON object in UTF-8 is refused, with the place of the error."""
    assert refusal(value) == ("(record)", reason)


def test_a_missing_profile_is_refused() -> None:
    """An empty update is an error of the producer, not an event to skip."""
    assert refusal(b'{"pcId":"x"}') == ("profile", PROFILE_RULE)


def test_unknown_fields_are_ignored() -> None:
    """A producer may add fields for other readers of its topic."""
    value = b'{"schema":[{"v":1}],"pcId":"x","meta":{"":[1e999,' + b"9" * 5000 + b']},"profile":{"a":"x"},"ecid":7}'
    assert decode(value) == Change(Visitor("pcId", "x"), {"a": "x"})


@pytest.mark.parametrize(
    "value",
    [
        b'{"pcId":"SECRET","mbox3rdPartyId":"SECRET","profile":{"a":"SECRET"}}',
        b'{"pcId":"SECRET' + b"x" * 300 + b'","profile":{"a":"SECRET"}}',
        b'{"pcId":"SECRET","profile":{"a":["SECRET"]}}',
        b'{"pcId":"SECRET","profile":{"a":"SECRET","":"SECRET"}}',
        b'{"pcId":"SECRET","occurredAt":"SECRET","profile":{"a":"SECRET"}}',
        b'{"pcId":"SECRET","profile":"SECRET"}',
        b'{"pcId":"SECRET\xff","profile":{"a":"SECRET"}}',
        b'{"pcId":"SECRET","profile":{"a":"SECRET"}}SECRET',
        b"SECRET",
    ],
)
def test_a_refusal_quotes_no_value(value: bytes) -> None:
    """Reasons go to logs and headers, so neither they nor their causes may hold a value or a visitor."""
    with pytest.raises(Refused) as caught:
        decode(value)
    assert "SECRET" not in f"{caught.value} {caught.value.__cause__}"


def test_an_encoded_event_is_a_valid_one() -> None:
    """The dead letter of a merged update can be read and replayed like any event."""
    value = encode_event(Visitor("pcId", "1.28_0"), {"a.b": "10.50", "é": ""})
    assert json.loads(value) == {"pcId": "1.28_0", "profile": {"a.b": "10.50", "é": ""}}
    assert decode(value) == Change(Visitor("pcId", "1"), {"a.b": "10.50", "é": ""}, hint=".28_0")


def subschemas(schema: object) -> list[dict[str, Any]]:
    """Return the schema and all its parts that have examples or a description."""
    found: list[dict[str, Any]] = []
    if isinstance(schema, dict):
        found.append(schema)
        for key, part in schema.items():
            if key != "examples":
                found += subschemas(part)
    elif isinstance(schema, list):
        for part in schema:
            found += subschemas(part)
    return found


def test_the_schema_is_sound() -> None:
    """The schema is valid, describes every field, and each of its examples passes its own rule."""
    Draft202012Validator.check_schema(SCHEMA)
    assert "date-time" in Draft202012Validator.FORMAT_CHECKER.checkers, "without its validator no time is checked"
    resolving = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    described = [SCHEMA, *SCHEMA["properties"].values(), *SCHEMA["$defs"].values()]
    assert all(part["description"] and part["examples"] for part in described)
    for part in subschemas(SCHEMA):
        for example in part.get("examples", []):
            resolving.evolve(schema=part).validate(example)
    for example in SCHEMA["examples"]:
        assert decode(json.dumps(example).encode()).attributes


def test_the_schema_and_the_decoder_agree_on_their_limits() -> None:
    """Both define the form of a time and the depth of a profile: they must agree."""
    pattern = SCHEMA["properties"]["occurredAt"]["pattern"]
    assert pattern == rf"^{SECOND}{FRACTION_AND_ZONE}(?!\n)$"
    assert f"level{MAX_DEPTH}" in SCHEMA["$defs"]
    assert "object" not in SCHEMA["$defs"][f"level{MAX_DEPTH}"]["type"]
