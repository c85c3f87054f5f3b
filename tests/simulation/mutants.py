"""Bugs that we plant on purpose: a simulator is worth what it finds, and this is how we know.

Each is a few words of our own code changed into what a colleague, or a peer of this connector, has written in good
faith. The one place where code of ours is patched in a test: here the simulation is what is tested.
"""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from connector.delivery import owed, start_position
from connector.delivery.circuit import Circuit
from connector.delivery.coalescer import Coalescer
from connector.delivery.gate import Gate
from connector.delivery.offsets import PartitionOffsets
from connector.delivery.owed import Owed
from connector.delivery.update import Update
from connector.kafka import assignment as kafka_assignment
from connector.pipeline.assignment import Assignment
from connector.pipeline.back_pressure import BackPressure
from connector.pipeline.committer import Committer
from connector.pipeline.dead_letter_writer import DeadLetterWriter
from connector.pipeline.dispatch import Dispatch
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.state import ReplicaState
from tests.simulation.runs import Outcome

DOCS = Path(__file__).parents[2] / "docs" / "simulation.md"


@dataclass(frozen=True, slots=True)
class Edit:
    """These words of a function become others."""

    owner: type | ModuleType
    function: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug, and where it shows."""

    name: str
    breaks: str
    """What goes wrong, in the words of the oracle."""
    profile: str
    seeds: tuple[int, ...]
    """Known to find it."""
    edits: tuple[Edit, ...]


MUTANTS = (
    Mutant(
        "commit past a gap",
        "the highest record taken is committed, whatever is still open below it",
        "calm",
        (0, 1),
        (
            Edit(
                PartitionOffsets,
                "to_commit",
                "mark = replace",
                "return OffsetAndMetadata(self.position)\n    mark = replace",
            ),
        ),
    ),
    Mutant(
        "handed over is done",
        "what is dropped at a revoke closes its receipt, and the offset of what nobody sent is committed",
        "rebalances",
        (1, 8),
        (
            Edit(
                Coalescer,
                "_strip",
                "gone = [",
                "[p.close(update.parts[p].first) for p in partitions if p in update.parts]\n    gone = [",
            ),
        ),
    ),
    Mutant(
        "tracker reused",
        "a partition that comes back goes on with the receipts of its earlier assignment",
        "rebalances",
        (1, 7),
        (
            Edit(
                Assignment,
                "assigned",
                "= PartitionOffsets(name, start, state.config.rules)",
                '= vars(self).setdefault("kept", {}).setdefault(name, PartitionOffsets(name, start))\n'
                "        tracker.detached = tracker.revoking = False",
            ),
        ),
    ),
    Mutant(
        "older over newer",
        "an update that comes back for a retry writes its old values over those that came meanwhile",
        "calm",
        (1, 2),
        (
            Edit(
                Update,
                "absorb",
                "self.write(mine, theirs.attributes)",
                "self.write(mine, {**theirs.attributes, **mine.attributes})",
            ),
        ),
    ),
    Mutant(
        "two in flight",
        "a change that comes while its visitor's update is on the wire goes too",
        "calm",
        (1, 2),
        (
            Edit(Coalescer, "add", "if visitor not in self._flying:", "if True:"),
            Edit(Coalescer, "settle", "self._queue(follower)", "pass"),
        ),
    ),
    Mutant(
        "letter not awaited",
        "the offset of a rejected update counts as done before its dead letter is written",
        "poison",
        (1, 5),
        (
            Edit(
                DeadLetterWriter,
                "_write_update",
                "await self._dead_letters.send(letter)",
                "self._spawn(self._dead_letters.send(letter))",
            ),
        ),
    ),
    Mutant(
        "letter of a record not awaited",
        "likewise a record that cannot be read",
        "poison",
        (1, 7),
        (
            Edit(
                DeadLetterWriter,
                "_write_record",
                "await self._dead_letters.send(letter)",
                "self._spawn(self._dead_letters.send(letter))",
            ),
        ),
    ),
    Mutant(
        "credit lost",
        "a rebalance forgets that it owes a batch, and consumption never goes on",
        "memory",
        (16, 18),
        (Edit(BackPressure, "taken", "self.due += 1", "self.due = min(self.due, 1)"),),
    ),
    Mutant(
        "until one too high",
        "a commit calls the record done that was not taken yet",
        "stuck",
        (0, 1),
        (Edit(owed, "encode", "_number(until - offset)", "_number(until - offset + 1)"),),
    ),
    Mutant(
        "first one too high",
        "a commit owes a visitor from the record after its first",
        "stuck",
        (0, 1),
        (Edit(PartitionOffsets, "_owed", "(visitor), first)", "(visitor), first + 1)"),),
    ),
    Mutant(
        "owed are forgotten",
        "a second restart does not know any more whom the first one owed",
        "stuck",
        (0, 2),
        (Edit(owed, "carried", "if who not in waiting", "if False"),),
    ),
    Mutant(
        "owed are passed over",
        "a restart takes all that a commit speaks of as done",
        "stuck",
        (0, 1),
        (Edit(Owed, "is_done", "return first is None or offset < first", "return True"),),
    ),
    Mutant(
        "old body",
        "a retry sends what was rendered for the first attempt",
        "calm",
        (1, 2),
        (
            Edit(
                Dispatch,
                "_deliver",
                "rendered = self._render(update.visitor, update.attributes)",
                'rendered = vars(self).setdefault("kept", {}).setdefault(\n'
                "        update, self._render(update.visitor, dict(update.attributes)))",
            ),
        ),
    ),
    Mutant(
        "lease not checked",
        "whoever was frozen past its session writes over its successor's values",
        "zombies",
        (1, 14),
        (Edit(Gate, "wait", "self.lease.left(awake) <= 0 or ", ""),),
    ),
    Mutant(
        "lease from the answer",
        "an answer that comes late says that the group knew us late",
        "zombies",
        (28, 41),
        (Edit(Committer, "commit", "state.committed(asked)", "state.committed(state.boottime())"),),
    ),
    Mutant(
        "lease by a failed commit",
        "whoever cannot reach the group believes that it is a member",
        "zombies",
        (21, 57),
        (
            Edit(
                Committer,
                "commit",
                "if failed.metadata_refused:",
                "state.committed(asked)\n        if failed.metadata_refused:",
            ),
        ),
    ),
    Mutant(
        "revoke does not wait",
        "a request is on the wire while the next owner sends a newer value",
        "rolling",
        (41, 45),
        (Edit(Assignment, "revoked", "deadline = state.now() + state.request_timeout", "deadline = state.now()"),),
    ),
    Mutant(
        "revoke stops nothing",
        "a retry begins while its partition is being taken away",
        "rebalances",
        (116, 124),
        (Edit(Assignment, "revoked", "tracker.revoke()", "pass"),),
    ),
    Mutant(
        "lost is not heard",
        "what another member may own is sent and committed",
        "zombies",
        (0, 1),
        (Edit(Assignment, "lost", "self._detach(gone)", "pass"),),
    ),
    Mutant(
        "split settled early",
        "an update of several requests counts as done after its first",
        "rebalances",
        (1, 3),
        (Edit(Dispatch, "_deliver", "enumerate(rendered.requests)", "enumerate(rendered.requests[:1])"),),
    ),
    Mutant(
        "memory unbounded",
        "batches are taken on however much is pending",
        "memory",
        (0, 1),
        (Edit(BackPressure, "_give", "full = many or", "full ="),),
    ),
    Mutant(
        "hung probe",
        "a probe that is swallowed hides the recovery for a whole request timeout",
        "outages",
        (4, 11),
        (Edit(Circuit, "started", "now + self._longest_pause()", "math.inf"),),
    ),
    Mutant(
        "retry-after ignored",
        "a probe goes before the endpoint wants to be asked",
        "outages",
        (2, 21),
        (Edit(Circuit, "_schedule_probe", "max(since + delay, now + (answer.retry_after or 0.0))", "since + delay"),),
    ),
    Mutant(
        "outage blamed on updates",
        "an outage makes dead letters of healthy visitors",
        "outages",
        (29, 75),
        (
            Edit(
                Circuit,
                "blames",
                "if self.reason or not answer.reached:",
                "if self.reason != 'never':\n        return True\n    if False:",
            ),
        ),
    ),
    Mutant(
        "drain cuts and leaves",
        "what a shutdown cut may land after the next owner's newer value",
        "rolling",
        (1, 19),
        (Edit(Pipeline, "run", "leave=landed", "leave=True"),),
    ),
    Mutant(
        "static member does not wait",
        "it is back before the requests of its killed predecessor have landed",
        "restarts",
        (3, 8),
        (Edit(Assignment, "assigned", "if state.now() < self.hold_ends and", "if False and"),),
    ),
    Mutant(
        "another log not noticed",
        "a topic that was made again is read from where the old one stood",
        "logs",
        (26, 45),
        (Edit(start_position, "is_another", "return bool(", "return False and bool("),),
    ),
    Mutant(
        "later epochs not looked at",
        "records that replaced what was cut off are taken for done",
        "logs",
        (5, 9),
        (Edit(Owed, "is_done", "if epoch is not None and epoch > self.epoch >= 0:", "if False:"),),
    ),
    Mutant(
        "position moves in a drain",
        "the end of a log is committed although the batches before it were not taken",
        "rebalances",
        (18, 32),
        (Edit(Assignment, "advanced", "if self._state.draining:", "if False:"),),
    ),
    Mutant(
        "answer of before",
        "where to go on is decided by what the log was before it changed",
        "logs",
        (0, 1),
        (
            Edit(
                kafka_assignment.Assignment,
                "position_is_invalid",
                "self._look, self._look_at = None, now",
                "self._look_at = now",
            ),
        ),
    ),
    Mutant(
        "latest for each partition",
        "an added partition begins at its end, and what was written before is never read",
        "logs",
        (26, 52),
        (
            Edit(
                kafka_assignment.Assignment,
                "_decide",
                "from_end=self._from_end and not is_known",
                "from_end=self._from_end",
            ),
        ),
    ),
    Mutant(
        "retired log not revoked",
        "what was read of a log that is another one now is sent after its partition was taken away",
        "logs",
        (26, 45),
        (Edit(Assignment, "revoked", "[*current, *self._retired_of(partitions)]", "current"),),
    ),
    Mutant(
        "handed over twice",
        "consumed is not done and pending",
        "rebalances",
        (8, 9),
        (Edit(ReplicaState, "hand_over", "+= records", "+= 2 * records"),),
    ),
)


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The bug is in our code for as long as this lasts."""
    kept: list[tuple[type | ModuleType, str, Any]] = []
    try:
        for edit in mutant.edits:
            before = vars(edit.owner)[edit.function]
            kept.append((edit.owner, edit.function, before))
            setattr(edit.owner, edit.function, _edited(edit, before))
        yield
    finally:
        for owner, name, before in reversed(kept):
            setattr(owner, name, before)


def _edited(edit: Edit, before: Any) -> Any:
    """The same function with other words; an assertion when those are not there any more, or not once."""
    before = before.fget if isinstance(before, property) else before
    source = textwrap.dedent(inspect.getsource(before))
    assert source.count(edit.old) == 1, f"{edit.function} has not {edit.old!r} once"
    made: dict[str, Any] = {}
    exec(source.replace(edit.old, edit.new), before.__globals__, made)  # noqa: S102 - our own words
    return made[edit.function]


def hunt(mutant: Mutant, live: Callable[[str, int], Outcome], fallback: int) -> Outcome | None:
    """The first world that shows it: the known seeds first, then a range, since any change may move it."""
    with planted(mutant):
        for seed in (*mutant.seeds, *range(fallback)):
            if (outcome := live(mutant.profile, seed)).failure:
                return outcome
    return None


def documented() -> set[tuple[str, ...]]:
    """The rows of three in the documentation: a bug, what it breaks, and in which worlds."""
    rows = [line.split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    return {(row[0].removeprefix("| "), row[1], row[2].removesuffix(" |")) for row in rows if len(row) == 3}
