"""Ten thousand malformed records among as many valid ones, in the real pipeline: none may vanish, stop it, or leak.

Each value of each record holds the word `canary`, no name does: so a reason or a log line that quotes a value shows.
"""

import codecs
import json
import random
import re
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.delivery.counters import Done
from connector.delivery.dead_letter import Stage
from connector.events import JsonDecoder, Refused
from tests.peers.judge import P0
from tests.support.bench import Bench
from tests.support.captured_logs import as_logged, captured_logs
from tests.support.fakes import FakeDeadLetters, FakeLog, FakeSender
from tests.support.oracle import fold
from tests.support.virtual_time import run

MALFORMED = 10_000
CANARY = "canary"
FIELDS = r"\(record\)|eventId|occurredAt|mbox3rdPartyId, pcId|mbox3rdPartyId|pcId|profile(\.\S.*?)?"
REASON = re.compile(rf"({FIELDS}) must [^\n]+", re.DOTALL)


class Kind(NamedTuple):
    """One way to break an event, and whether the outcome is certain."""

    name: str
    make: Callable[[random.Random, int], bytes]
    certain: bool = True


def _fields(rng: random.Random, number: int) -> dict[str, str]:
    """A valid event's fields, each as JSON text; names and values are the record's own."""
    attributes = [f'"tier{number}":"{CANARY}-{number}-gold"', f'"note{number}":"{CANARY} é \\u00fc {number}"']
    attributes += [f'"points{number}":{rng.randrange(10**6)}', f'"deep{number}":{{"er":{{"est":"{CANARY}"}}}}']
    fields = {
        rng.choice(["mbox3rdPartyId", "pcId"]): f'"{CANARY}-{number}"',
        "profile": "{" + ",".join(attributes[: rng.randint(1, 4)]) + "}",
    }
    if rng.random() < 0.5:
        fields["eventId"] = f'"{CANARY}-id-{number}"'
    if rng.random() < 0.5:
        fields["occurredAt"] = '"2026-11-22T10:15:00.123Z"'
    return fields


def _text(fields: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def _valid(rng: random.Random, number: int) -> bytes:
    return _text(_fields(rng, number)).encode()


def _with(name: str, *values: str) -> Callable[[random.Random, int], bytes]:
    """Give one field one of these values; the visitor stays the same."""

    def make(rng: random.Random, number: int) -> bytes:
        fields = _fields(rng, number)
        if name in ("mbox3rdPartyId", "pcId"):
            fields.pop("mbox3rdPartyId", None)
            fields.pop("pcId", None)
        return _text({**fields, name: rng.choice(values)}).encode()

    return make


def _attribute(*texts: str) -> Callable[[random.Random, int], bytes]:
    """Insert one more attribute at the start of the profile, as raw text."""

    def make(rng: random.Random, number: int) -> bytes:
        fields = _fields(rng, number)
        return _text({**fields, "profile": "{" + rng.choice(texts) + "," + fields["profile"][1:]}).encode()

    return make


def _in_a_value(*parts: bytes) -> Callable[[random.Random, int], bytes]:
    """Insert these bytes into a string."""

    def make(rng: random.Random, number: int) -> bytes:
        return _valid(rng, number).replace(CANARY.encode(), CANARY.encode() + rng.choice(parts), 1)

    return make


def _around(before: Sequence[bytes], after: Sequence[bytes]) -> Callable[[random.Random, int], bytes]:
    return lambda rng, number: rng.choice(before) + _valid(rng, number) + rng.choice(after)


def _cut(rng: random.Random, number: int) -> bytes:
    value = _valid(rng, number)
    return value[: rng.randrange(len(value))]


def _syntax(rng: random.Random, number: int) -> bytes:
    value = _valid(rng, number)
    wrong = [(b'":', b'"'), (b'{"', b"{'"), (b'{"', b'{,"'), (b"}", b",}"), (b'":', b'":/**/'), (b'{"', b"{")]
    old, new = rng.choice(wrong)
    return value.replace(old, new, 1)


def _two_visitors(rng: random.Random, number: int) -> bytes:
    return _text({**_fields(rng, number), "mbox3rdPartyId": f'"{CANARY}"', "pcId": f'"{CANARY}"'}).encode()


def _no_visitor(rng: random.Random, number: int) -> bytes:
    fields = _fields(rng, number)
    return _text({name: value for name, value in fields.items() if name not in ("mbox3rdPartyId", "pcId")}).encode()


def _no_profile(rng: random.Random, number: int) -> bytes:
    fields = _fields(rng, number)
    del fields["profile"]
    return _text(fields).encode()


def _other_codes(rng: random.Random, number: int) -> bytes:
    value = _valid(rng, number)
    whole = value.decode()
    return rng.choice(
        [
            whole.encode("utf-16"),
            whole.encode("utf-16-be"),
            whole.encode("utf-32"),
            zlib.compress(value),
            b"\x00\x00\x00\x00\x07" + value,
            codecs.BOM_UTF8 + value,
            value.hex().encode(),
        ]
    )


def _byte_noise(rng: random.Random, number: int) -> bytes:
    """Flipped, lost, doubled or foreign bytes, with any outcome."""
    value = bytearray(_valid(rng, number))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(value))
        what = rng.randrange(5)
        if what == 0:
            value[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            del value[at : at + rng.randint(1, 4)]
        elif what == 2:
            value[at:at] = value[at : at + rng.randint(1, 20)]
        elif what == 3:
            value[at:at] = rng.choice(
                [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\x00", b"\xff", b"null", b"1"]
            )
        else:
            value[at] = rng.randrange(256)
        if not value:
            break
    return bytes(value)


def _two_halves(rng: random.Random, number: int) -> bytes:
    one, other = _valid(rng, number), _valid(rng, number)
    return one[: rng.randrange(len(one))] + other[rng.randrange(len(other)) :]


LONG = f'"{CANARY * 50}"'
BAD_ID = (LONG, '""', "7", "true", "[]", "{}", f'["{CANARY}"]', f'{{"{CANARY[0]}":"{CANARY}"}}')
DEEP = '{"d":' * 17 + f'"{CANARY}"' + "}" * 17
VERY_DEEP = '{"d":' * 20_000 + f'"{CANARY}"' + "}" * 20_000
KINDS = (
    Kind("nothing", lambda rng, _: rng.choice([b"", b" ", b"\n\n", b"\x00", b"\xff" * 9, b"{" * 9])),
    Kind(
        "no object",
        lambda rng, _: rng.choice([f'"{CANARY}"', "null", "true", "7", "[]", f'[{{"a":"{CANARY}"}}]']).encode(),
    ),
    Kind("cut off", _cut),
    Kind("more behind", _around([b""], [b"}", b"{}", b",", b"\x00", b" x", b"\n{}", b'""'])),
    Kind("something before", _around([b"\x00", b",", b"x", b"\xef\xbb\xbf", b")]}'\n", b"1"], [b""])),
    Kind("syntax", _syntax),
    Kind("other codes", _other_codes),
    Kind(
        "no UTF-8",
        _in_a_value(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xe4", b"\xf4\x90\x80\x80"),
    ),
    Kind(
        "half a pair", _attribute(f'"half":"{CANARY}\\ud800"', f'"half":"{CANARY}\\udc00x"', '"half":"\\ud800\\ud800"')
    ),
    Kind("escape", _in_a_value(b"\\x", b"\\u12", b"\\u{12}", b"\\", b"\\'")),
    Kind("control", _in_a_value(b"\n", b"\x00", b"\x1f", b"\t")),
    Kind("no visitor", _no_visitor),
    Kind("two visitors", _two_visitors),
    Kind("mbox3rdPartyId", _with("mbox3rdPartyId", "null", *BAD_ID)),
    Kind("pcId", _with("pcId", "null", *BAD_ID)),
    Kind("eventId", _with("eventId", *BAD_ID)),
    Kind("no profile", _no_profile),
    Kind("profile", _with("profile", "null", "{}", "[]", "7", f'"{CANARY}"', f'["{CANARY}"]', f'[{{"a":"{CANARY}"}}]')),
    Kind(
        "occurredAt",
        _with(
            *("occurredAt", f'"{CANARY}"', '""', "7", "[]", '"2026-02-30T00:00:00Z"', '"2026-11-22"'),
            *('"2026-11-22T10:15:00"', '"2026-11-22T25:00:00Z"', f'"2026-11-22T10:15:00Z {CANARY}"'),
        ),
    ),
    Kind("array", _attribute('"list":[]', f'"list":["{CANARY}"]', f'"in":{{"list":[1,["{CANARY}"]]}}')),
    Kind("empty object", _attribute('"gone":{}', '"in":{"gone":{}}')),
    Kind("empty name", _attribute(f'"":"{CANARY}"', f'"in":{{"":"{CANARY}"}}')),
    Kind("too deep", _attribute(f'"d":{DEEP}')),
    Kind("long name", _attribute(f'"{"n" * 5_000}":["{CANARY}"]')),
    Kind(
        "number",
        _attribute(*(f'"number":{text}' for text in ("NaN", "-Infinity", "+1", "01", "1.", ".5", "1e", "0x1", "--1"))),
    ),
    Kind("byte noise", _byte_noise, certain=False),
    Kind("two halves", _two_halves, certain=False),
)


@pytest.mark.parametrize("seed", range(2))
def test_ten_thousand_malformed_records_are_each_delivered_or_a_dead_letter(seed: int) -> None:
    """Never both, never neither, with unchanged bytes, and a reason that names the field and quotes nothing.

    Catches a decoder that raises an unexpected exception, takes half a record for a whole one, or quotes its input.
    """
    rng = random.Random(seed)
    log, sender, letters = FakeLog(), FakeSender(), FakeDeadLetters()
    must_fail: dict[int, str] = {}
    must_pass: set[int] = set()
    log.append((f'{{"pcId":"{CANARY}","profile":{{"d":{VERY_DEEP}}}}}').encode())
    must_fail[0] = "very deep"
    malformed = 1
    while malformed < MALFORMED:
        number = len(log.records[P0])
        if rng.random() < 0.5:
            must_pass.add(log.append(_valid(rng, number)))
            continue
        kind = KINDS[malformed % len(KINDS)]
        offset = log.append(kind.make(rng, number))
        malformed += 1
        if kind.certain:
            must_fail[offset] = kind.name

    async def main() -> Bench:
        bench = Bench(
            log, sender, letters, linger=0.1, max_in_flight=500, max_dead_letters_in_a_row=0, max_dead_letter_ratio=0.0
        )
        async with bench:
            await bench.settle(600)
            assert bench.task is not None
            assert not bench.task.done()
        return bench

    with captured_logs(level="debug") as logs:
        bench = run(main())

    records = log.records[P0]
    buried = {letter.offset: letter for letter in letters.letters}
    assert len(buried) == len(letters.letters), "no record is buried twice"
    for offset, letter in buried.items():
        assert letter.stage is Stage.DECODE
        assert (letter.source, letter.value) == (P0, records[offset].value())
        assert REASON.fullmatch(letter.reason), letter.reason
        assert CANARY not in letter.reason
    sent = {(visitor, name, value) for _, visitor, attributes in sender.sent for name, value in attributes.items()}
    delivered = 0
    for record in records:
        if record.offset() in buried:
            assert record.offset() not in must_pass
            continue
        assert record.offset() not in must_fail, f"{must_fail[record.offset()]}: {record.value()!r}"
        for visitor, attributes in fold([record.value() or b""]).items():
            assert attributes
            delivered += 1
            assert {(visitor.partition(":")[2], *pair) for pair in attributes.items()} <= sent
    assert bench.done(Done.ACCEPTED) == delivered
    assert bench.done(Done.DEAD_LETTERED) == len(buried)
    assert delivered + len(buried) + bench.done(Done.SKIPPED) == len(records)
    assert log.committed == {P0: len(records)}
    assert len(must_fail) > 0.9 * MALFORMED
    assert CANARY not in logs.text
    assert {line["event"] for line in logs.lines} >= {"event_refused", "partitions_assigned"}


names = st.sampled_from(["a", "b", "list", "a.b", "", "é", "profile", "pcId", "token"])
leaves = st.sampled_from([CANARY, f"{CANARY}\x00", f"{CANARY}\ud800", 7, -0.0, True, None, 10**30, ""])
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)
top = st.sampled_from(["pcId", "mbox3rdPartyId", "profile", "eventId", "occurredAt", "other"])


@given(st.dictionaries(top, trees, max_size=6) | trees)
def test_any_shape_is_a_change_or_a_refusal_that_quotes_nothing(tree: object) -> None:
    """Catches a decoder that raises another exception, or a validator's message that shows the refused value."""
    refusal = ""
    try:
        assert JsonDecoder()(json.dumps(tree).encode()).visitor.id
    except Refused as refused:
        refusal = str(refused)
    assert refusal == "" or REASON.fullmatch(refusal)
    assert CANARY not in refusal
    assert as_logged(refusal) == refusal, "the log's redaction takes our words for a value"
