"""A slow log reader blocks nothing: lines wait in a bounded buffer, are dropped with a count, and keep their order."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog

from connector.ops.lines import BUFFER_BYTES, Lines
from connector.ops.logs import unblocked
from tests.support.captured_logs import captured_logs

LINE = "x" * 99


class Pipe:
    """A pipe, and what was read from it."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.read = b""

    def read_all(self) -> list[str]:
        """Read to the end; the writer signals the end by `hang_up`."""
        while data := os.read(self.reading, 65_536):
            self.read += data
        return self.read.decode().splitlines()

    def hang_up(self) -> None:
        """Nothing more will be written."""
        os.close(self.writing)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that nobody reads yet."""
    made = Pipe()
    yield made
    for descriptor in (made.reading, made.writing):
        with suppress(OSError):
            os.close(descriptor)


def test_the_logging_thread_does_not_wait_for_the_reader(pipe: Pipe) -> None:
    """An unread pipe is full after 64 KiB; a write to it then blocks for ever, and with it the event loop."""
    lines = Lines(pipe.writing, lambda _: None, most=200_000)
    began = time.monotonic()
    for number in range(10_000):
        lines.put(f"{number} {LINE}\n")
    assert time.monotonic() - began < 60
    assert not lines.close(0.05), "nobody has read it"


def test_dropped_lines_are_reported_in_their_place_and_the_order_is_kept(pipe: Pipe) -> None:
    """Invariant: the lines written and the lines reported missing are all lines, in order, none twice."""
    told: list[int] = []

    def dropped(count: int) -> None:
        told.append(count)
        lines.put(f"missing {count}\n")

    lines = Lines(pipe.writing, dropped, most=100_000)
    for number in range(5_000):
        lines.put(f"{number} {LINE}\n")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(pipe.read_all()))
    reader.start()
    while not told:
        time.sleep(0.001)
    lines.put("after\n")
    assert lines.close(5)
    pipe.hang_up()
    reader.join(5)
    *kept, missing, after = [line.split()[0] for line in read]
    assert (missing, after) == ("missing", "after")
    assert kept == [str(number) for number in range(len(kept))]
    assert len(kept) + sum(told) == 5_000


def test_lines_of_many_threads_come_whole(pipe: Pipe) -> None:
    """The loop, the consumer's thread and the writing thread's own line share the buffer."""
    lines = Lines(pipe.writing, lambda _: None)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(pipe.read_all()))
    reader.start()

    def say(name: str) -> None:
        for number in range(2_000):
            lines.put(f"{name} {number}\n")

    threads = [threading.Thread(target=say, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.close(5)
    pipe.hang_up()
    reader.join(5)
    for name in "abcd":
        assert [line for line in read if line[0] == name] == [f"{name} {n}" for n in range(2_000)]


def test_a_pipe_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    """Another process that shares the pipe may have set it so; a full pipe must not drop the waiting lines."""
    os.set_blocking(pipe.writing, False)
    lines = Lines(pipe.writing, lambda _: None)
    for number in range(2_000):
        lines.put(f"{number} {LINE}\n")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.extend(pipe.read_all()))
    reader.start()
    assert lines.close(5)
    pipe.hang_up()
    reader.join(5)
    assert [line.split()[0] for line in read] == [str(number) for number in range(2_000)]


def test_a_reader_that_went_away_costs_its_lines_and_no_more(pipe: Pipe) -> None:
    """A crashed collector must not stop a delivery, nor the writing thread."""
    os.close(pipe.reading)
    lines = Lines(pipe.writing, lambda _: None)
    for _ in range(10):
        lines.put(f"{LINE}\n")
        time.sleep(0.001)
    assert lines.close(5)


def test_the_programs_log_resumes_and_tells_of_what_is_missing(pipe: Pipe) -> None:
    """From end to end: nobody reads for a while, then reading resumes."""
    log = structlog.get_logger()
    count = 3 * BUFFER_BYTES // (5 * len(LINE))
    with os.fdopen(pipe.writing, "w", closefd=False) as stream, captured_logs(stream=stream):  # type: ignore[arg-type]
        with unblocked():
            for port in range(count):
                log.info("ops_listening", host=5 * LINE, port=port)
            read: list[str] = []
            reader = threading.Thread(target=lambda: read.extend(pipe.read_all()))
            reader.start()
            while b"log_lines_dropped" not in pipe.read:
                time.sleep(0.001)
            log.info("ops_listening", host="last", port=0)
        log.info("ops_listening", host="after", port=0)
    pipe.hang_up()
    reader.join(5)
    said: list[dict[str, Any]] = [json.loads(line) for line in read]
    # A Kafka client that an earlier test of this process left behind may say something meanwhile.
    said = [line for line in said if line["event"] in ("ops_listening", "log_lines_dropped")]
    *kept, missing, last, after = said
    assert (last["host"], after["host"]) == ("last", "after")
    assert (missing["event"], missing["level"]) == ("log_lines_dropped", "warning")
    assert [line["port"] for line in kept] == list(range(len(kept)))
    assert count <= len(kept) + missing["lines"] < count + 100


def test_the_end_does_not_wait_for_a_reader_that_never_comes(pipe: Pipe) -> None:
    """The process ends in time; later lines are dropped too, since writing them would block."""
    log = structlog.get_logger()
    with os.fdopen(pipe.writing, "w", closefd=False) as stream, captured_logs(stream=stream):  # type: ignore[arg-type]
        began = time.monotonic()
        with unblocked(0.1):
            for port in range(5_000):
                log.info("ops_listening", host=LINE, port=port)
        log.info("ops_listening", host="after", port=0)
        assert time.monotonic() - began < 60
