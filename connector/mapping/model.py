"""What a mapping says, checked and without its spelling: one source for each group of topics that are read alike."""

from collections.abc import Iterator
from collections.abc import Mapping as Table
from dataclasses import dataclass, field
from enum import StrEnum

from connector.events.change import Priority
from connector.formats.readers import Format, KeyForm
from connector.mapping.paths import Path, Root


class Operator(StrEnum):
    """What a condition asks of the value at its path."""

    EQUALS = "equals"
    IN = "in"
    NOT_IN = "not-in"
    BEGINS = "begins"
    EXISTS = "exists"


class Form(StrEnum):
    """Conversions, the words of `as`."""

    EPOCH_S = "epoch-s"
    EPOCH_MS = "epoch-ms"
    EPOCH_US = "epoch-us"
    EPOCH_NS = "epoch-ns"
    EPOCH_DAYS = "epoch-days"
    DECIMAL = "decimal"
    JOIN = "join"
    LOWER = "lower"
    UPPER = "upper"
    HEX = "hex"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a value becomes text where its own text will not do."""

    form: Form
    scale: int = 0
    """Digits behind the point, of `decimal`."""
    separator: str = ","
    """What stands between two items, of `join`."""


@dataclass(frozen=True, slots=True)
class Value:
    """Where a text comes from: of `paths`, `template` and `constant` exactly one is given."""

    paths: tuple[Path, ...] = ()
    template: tuple[str | Path, ...] = ()
    constant: str | None = None
    default: str | None = None
    conversion: Conversion | None = None
    table: Table[str, str] | None = None
    """From the text found to the text to send."""

    @property
    def all_paths(self) -> tuple[Path, ...]:
        """Every path that it reads."""
        return self.paths + tuple(part for part in self.template if isinstance(part, Path))


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold, or the event is not for us. `texts` are what the value is compared with."""

    path: Path
    operator: Operator
    texts: tuple[str, ...] = ()
    exists: bool = True

    def __str__(self) -> str:
        """Its text in counts and reports, bounded since it becomes a label."""
        told = str(self.exists).lower() if self.operator is Operator.EXISTS else ", ".join(self.texts)
        text = f"{self.path} {self.operator} {told}"
        return text if len(text) <= _MAX_CONDITION else f"{text[: _MAX_CONDITION - 1]}…"


_MAX_CONDITION = 100


@dataclass(frozen=True, slots=True)
class PriorityRule:
    """The priority of changes for which all conditions hold, and for which those of no rule before it did."""

    priority: Priority
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """All attributes of one object, objects in it flattened to dotted names."""

    path: Path
    prefix: str = ""
    only: frozenset[str] | None = None
    leave_out: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Whether every attribute is taken, under its own name."""
        return not self.prefix and self.only is None and not self.leave_out


@dataclass(frozen=True, slots=True)
class Source:
    """How the records of some topics become changes."""

    topics: tuple[str, ...]
    format: Format
    visitor: Table[str, Value]
    """By the name of the identifier, in the order in which they are tried."""
    key: KeyForm = KeyForm.NONE
    zero_values: bool = False
    when: tuple[Condition, ...] = ()
    priority: tuple[PriorityRule, ...] = ()
    """In the order in which they are tried; where none holds, it is normal."""
    occurred_at: Value | None = None
    each: Path | None = None
    copies: tuple[Copy, ...] = ()
    attributes: Table[str, Value] = field(default_factory=dict)
    topic_lines: tuple[int, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """What refusals, counts and reports call it."""
        more = len(self.topics) - 1
        return f"{self.topics[0]} and {more} more" if more else self.topics[0]

    def uses(self) -> Iterator[tuple[Path, str]]:
        """Every path that the source reads, and the field of the mapping that it stands in."""
        if self.each:
            yield self.each, "each"
        for condition in self.when:
            yield condition.path, "when"
        for rule in self.priority:
            yield from ((condition.path, "priority") for condition in rule.when)
        for kind, value in self.visitor.items():
            yield from ((path, f"visitor.{kind}") for path in value.all_paths)
        if self.occurred_at:
            yield from ((path, "occurredAt") for path in self.occurred_at.all_paths)
        for copy in self.copies:
            yield copy.path, "copy.from"
        for name, value in self.attributes.items():
            yield from ((path, f"attributes.{name}") for path in value.all_paths)

    def is_of_record(self, path: Path) -> bool:
        """Whether a path means the same for every item of `each`."""
        return self.each is None or path.root is not Root.ITEM


@dataclass(frozen=True, slots=True)
class Mapping:
    """All sources; each topic belongs to one at most."""

    sources: tuple[Source, ...]

    def source(self, topic: str) -> Source | None:
        """Return the source that reads a topic, if one does."""
        return next((source for source in self.sources if topic in source.topics), None)
