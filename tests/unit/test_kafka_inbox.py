"""The loop's requests to the consumer's thread: a commit that is left at its end must be answered, and once."""

import pytest

from connector.errors import CommitFailed
from connector.kafka.commits import Commit
from connector.kafka.inbox import Inbox


def test_a_commit_that_was_not_sent_is_refused_once_at_the_end() -> None:
    """Refused twice it raises, and then the thread never reports its end."""
    inbox = Inbox()
    commit = Commit({})
    assert inbox.submit(commit)
    inbox.end()
    inbox.end()
    with pytest.raises(CommitFailed, match="closed"):
        commit.done.result(0)
    assert not inbox.submit(Commit({}))
