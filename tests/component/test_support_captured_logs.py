"""The capture of logs: a test must not fail by what a client of another test says."""

import sys
import threading

import pytest

from connector.kafka.config import LIBRDKAFKA
from tests.support.captured_logs import captured_logs


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
def test_lines_of_a_client_that_was_there_before_are_left_out() -> None:
    """The fault: a client lost its broker at the end of one test, and said so in the log of the next."""
    began, ends = threading.Event(), threading.Event()

    def say(what: str) -> None:
        began.set()
        ends.wait()
        LIBRDKAFKA.warning(what)

    older = threading.Thread(target=say, args=("left behind",))
    older.start()
    began.wait()
    with captured_logs() as logs:
        own = threading.Thread(target=say, args=("of this test",))
        own.start()
        ends.set()
        for thread in (older, own):
            thread.join()
        LIBRDKAFKA.warning("of this thread")
    assert [line["message"] for line in logs.lines] == ["of this test", "of this thread"]
