"""`connector quota` on a ledger in memory: what it reads, what it books, and its errors."""

import asyncio
import json
import re
import sys
import time
from dataclasses import replace

import pytest

from connector.cli import main
from connector.cli.ledger import read_ledger
from connector.cli.quota import TooMuch, look
from connector.cli.quota_view import print_view, sparkline
from connector.errors import Fatal
from connector.kafka.errors import KafkaFailure, KafkaUnavailable
from connector.kafka.quota_topic import MISSING
from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.ports import Reader
from connector.quota.records import Reserve, Spend, encode
from connector.quota.view import view
from tests.support.ledger import EPOCH, FakeLedgerLog, FakeLedgerTopic
from tests.support.virtual_time import run

GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "KAFKA_TOPICS": "changes", "TARGET_CLIENT_CODE": "acme"}


def test_a_booking_is_read_back_before_it_is_confirmed() -> None:
    """An unconfirmed append would be booked twice, or not at all."""

    async def scenario() -> None:
        topic = FakeLedgerTopic()
        booking = encode(Spend(updates=100, counted=60.0, note="batch"))
        topic.append(booking)  # Equal to an earlier booking: that one is not ours.
        assert (await read_ledger(FakeLedgerLog(topic), None)).used == 100
        assert (await read_ledger(FakeLedgerLog(topic), booking)).used == 200
        assert len(topic.values) == 2

    run(scenario())


class MuteLog(FakeLedgerLog):
    """Brokers that drop every append."""

    def start(self, reader: Reader) -> None:
        """Nothing is written."""


def test_a_ledger_that_does_not_answer_is_reported_after_half_a_minute() -> None:
    """A person at a terminal needs a reason."""

    async def scenario() -> None:
        topic = FakeLedgerTopic()
        topic.down = True
        log = FakeLedgerLog(topic)
        with pytest.raises(Fatal, match="no broker answers"):
            await read_ledger(log, None)
        assert log.closed
        with pytest.raises(Fatal, match="within 30 s"):
            await read_ledger(MuteLog(topic), None)

    run(scenario())


def test_a_booking_that_fails_may_have_been_made() -> None:
    """Booked again without a check it would count twice."""

    async def scenario() -> None:
        topic = FakeLedgerTopic()
        log = FakeLedgerLog(topic)

        async def cut_off() -> None:
            await asyncio.sleep(0.006)
            topic.down = True

        cutting = asyncio.create_task(cut_off())
        with pytest.raises(Fatal):
            await read_ledger(log, encode(Spend(updates=1, counted=60.0)))
        await cutting

    run(scenario())


def test_a_ledger_of_a_later_version_is_not_guessed_at() -> None:
    """Its usage would be wrong."""

    async def scenario() -> None:
        topic = FakeLedgerTopic()
        topic.append(b'{"type": "reserve", "v": 2}')
        with pytest.raises(Fatal, match="version 2"):
            await read_ledger(FakeLedgerLog(topic), None)

    run(scenario())


TERMS = QuotaPolicy(limit=1_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
HOUR = replace(TERMS, window=3_600.0)


def test_more_than_is_free_is_not_booked_by_a_slip_of_the_hand() -> None:
    """All replicas of the account would stop for a whole window, and a booking cannot be undone."""

    async def scenario() -> None:
        topic = FakeLedgerTopic()
        opened: list[FakeLedgerLog] = []

        def open_log() -> FakeLedgerLog:
            opened.append(FakeLedgerLog(topic))
            return opened[-1]

        # The fold's clock is the brokers', which starts in 2023 here: a booking must last until this machine's now.
        lasting = time.time() - EPOCH + TERMS.settled
        await look(open_log, TERMS, Spend(900, lasting), anyway=False)
        with pytest.raises(TooMuch, match=r"101 updates are more than the 100 that are free \(900 of 1,000 are used\)"):
            await look(open_log, TERMS, Spend(101, lasting), anyway=False)
        assert [record for record in topic.records if isinstance(record, Spend)] == [Spend(900, lasting)]
        await look(open_log, TERMS, Spend(100, lasting), anyway=False)
        with pytest.raises(TooMuch, match="add --yes"):
            await look(open_log, TERMS, Spend(1, lasting), anyway=False)
        assert (await look(open_log, TERMS, Spend(5_000, lasting), anyway=True)).used == 6_000
        assert (await look(open_log, TERMS, None, anyway=True)).used == 6_000
        assert all(log.closed for log in opened)

    run(scenario())


def test_people_read_the_window_in_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """What is used, what becomes free when, who holds it: without explaining leases."""
    ledger = Ledger()
    ledger.apply(Spend(updates=400, counted=86_459.0, note="nightly"), EPOCH)
    ledger.apply(Spend(updates=1, counted=86_479.0, note="[bold] :smile: \x1b[2J"), EPOCH)
    ledger.apply(Reserve("a1b2", 1, 50, 1_000, 86_500.0, 60.0, name="pod-1"), EPOCH + 10)
    print_view(view(ledger, TERMS, EPOCH + 20), "group.quota", sys.stdout)
    said = capsys.readouterr().out
    assert "group.quota: 451 of 1,000 used in 24 h (45 %), 549 free" in said
    assert re.search(r"next to come free: 400 updates in 24 h \(\w{3} \d\d \w{3} \d\d:\d\d:\d\d \S+\)\n", said)
    assert "\npace of all replicas: one update every 6.6 s, by QUOTA_HORIZON_SECONDS=3600\n" in said
    assert re.search(r"\nat the current rate \(one update every 1\.2 min\) it runs out in 13\.9 h \(.*\)\n", said)
    assert re.search(r"\nthe pace slows updates in 10 h \(.*\)\n", said)
    assert re.search(r"400 updates +in 24 h \(.*\) +nightly *\n", said)
    assert re.search(r"1 update +in 24 h \(.*\) +\[bold\] :smile: \?\[2J *\n", said)
    assert re.search(r"a1b2 +pod-1 +50 updates +in 50 s *\n", said)
    assert "█" in said
    print_view(view(Ledger(), HOUR, EPOCH), "group.quota", sys.stdout)
    said = capsys.readouterr().out
    assert "0 of 1,000 used in 1 h (0 %)" in said
    assert "nobody holds a lease" in said
    assert "booked" not in said


def test_a_used_up_quota_has_no_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    """A forecast of 0:00:00 would be a riddle."""
    ledger = Ledger()
    ledger.apply(Spend(updates=2_000, counted=3_600.0), EPOCH)
    for late in (1, 1_800):
        print_view(view(ledger, HOUR, EPOCH + late), "group.quota", sys.stdout)
        said = capsys.readouterr().out
        assert "2,000 of 1,000 used in 1 h (200 %), 0 free" in said
        assert "\nit is used up: " in said
        assert "current rate" not in said


def test_the_forecast_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """When updates will wait, and when nothing is left: at the pace of the line above."""
    ledger = Ledger()
    ledger.apply(Reserve("a1b2", 1, 500, 1_000, 86_500.0, 60.0), EPOCH)
    print_view(view(ledger, TERMS, EPOCH), "group.quota", sys.stdout)
    said = capsys.readouterr().out
    assert re.search(r"\nat the current rate \(one update every 7\.2 s\) it runs out in 6\.2 h \(.*\)\n", said)
    assert "\nthe pace slows updates now\n" in said


def test_holders_with_other_settings_are_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two windows on one ledger only the shorter one holds, unnoticed."""

    async def look(*_: object, **__: object) -> Ledger:
        ledger = Ledger()
        ledger.apply(Reserve("a1", 1, 5, 500, 3_700.0, 60.0, 1, "pod-1", window=3_600.0), time.time())
        ledger.apply(Reserve("b2", 1, 5, 1_000, 86_500.0, 60.0, 1, "pod-2", window=86_400.0), time.time())
        return ledger

    monkeypatch.setattr("connector.cli.quota.look", look)
    for name, value in {**GOOD, "QUOTA_UPDATES": "1000"}.items():
        monkeypatch.setenv(name, value)
    assert main(["quota"]) == 0
    told = capsys.readouterr().err
    assert told == (
        "pod-1 takes leases under QUOTA_UPDATES=500 and QUOTA_WINDOW_SECONDS=3600, and here they are 1000 and 86400: "
        "set them alike\n"
    )


def test_a_bar_is_blank_only_where_nothing_is() -> None:
    """One update beside a million must not look like none."""
    assert sparkline([0, 1, 500_000, 1_000_000]) == " ▁▄█"
    assert sparkline([0, 0]) == "  "


@pytest.mark.parametrize(
    ("words", "more", "code", "said"),
    [
        (["quota"], {"QUOTA_UPDATES": "0"}, 2, "there is no quota and no ledger"),
        (["quota"], {"QUOTA_UPDATES": "many"}, 2, "QUOTA_UPDATES"),
        (["quota", "spend", "0"], {}, 2, "'0' is no number of calls from 1 to 1000000000"),
        (["quota", "spend", "9" * 5_000], {}, 2, "is no number of calls from 1 to 1000000000"),
        (
            ["quota", "spend", "5", "--note", "x" * 257],
            {},
            2,
            "--note: must be at most 256 printable characters",
        ),
        (["quota", "spend", "5", "--note", "by\nme"], {}, 2, "--note: must be at most 256 printable characters"),
        (["quota", "spend", "5", "--note", "\udcff"], {}, 2, "--note: must be at most 256 printable"),
        (["quota", "spend", "-5"], {}, 2, "spend"),
        (["quota", "spend", "1e3"], {}, 2, "'1e3' is no number of calls"),
    ],
)
def test_invalid_options_are_refused_before_kafka_is_asked(
    words: list[str],
    more: dict[str, str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A booking cannot be undone."""
    for name, value in {**GOOD, **more}.items():
        monkeypatch.setenv(name, value)
    assert main(words) == code
    assert said in capsys.readouterr().err


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> list[Fatal]:
    """Replaces Kafka: an empty ledger, or the error that is put in here."""
    found: list[Fatal] = []

    async def look(*_: object, **__: object) -> Ledger:
        for fatal in found:
            raise fatal
        return Ledger()

    monkeypatch.setattr("connector.cli.quota.look", look)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.mark.parametrize(
    ("words", "is_json"),
    [
        (["--format", "json"], True),
        (["--format", "json", "spend", "5"], True),
        (["spend", "5", "--format", "json"], True),
        (["--format", "table", "spend", "5", "--format", "json"], True),
        (["--format", "json", "spend", "5", "--format", "table"], False),
        (["spend", "5"], False),
    ],
)
@pytest.mark.usefixtures("ledger")
def test_the_format_may_stand_before_and_behind_the_action(
    words: list[str],
    is_json: bool,  # noqa: FBT001 - a column of the table
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Users type options after the verb; of two the nearer one counts."""
    assert main(["quota", *words]) == 0
    assert capsys.readouterr().out.startswith("{") == is_json


def test_the_usage_shows_that_the_action_may_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """`connector quota` alone is the most common command."""
    assert main(["quota", "--help"]) == 0
    assert "[--format {table,json}] [ACTION] ..." in capsys.readouterr().out


def test_before_the_first_replica_runs_nothing_is_used(ledger: list[Fatal], capsys: pytest.CaptureFixture[str]) -> None:
    """A script that asks for the free quota gets its answer on the day of the first deployment too."""
    fatal = Fatal(
        "quota_ledger_unusable", "the topic target-profile-connector.quota does not exist yet", "start a replica"
    )
    fatal.__cause__ = KafkaUnavailable(KafkaFailure(MISSING, "quota_ledger_unusable", ""))
    ledger.append(fatal)
    assert main(["quota", "--format", "json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["topic"], told["used"], told["free"]) == ("target-profile-connector.quota", 0, 1_000_000)
    assert said.err == f"target-profile-connector.quota: {fatal.failure}\n"
    fatal.__cause__ = KafkaUnavailable(KafkaFailure("", "quota_ledger_unusable", ""))
    assert main(["quota", "--format", "json"]) == 1
    assert capsys.readouterr() == ("", said.err)
