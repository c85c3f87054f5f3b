"""From the text of a mapping to its meaning, or to every mistake in it.

The published truth is `schemas/event-mapping.v1.schema.json`; a property test holds this loader to the same verdict.
"""

import re
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import replace

from connector.formats.readers import Format, KeyForm
from connector.mapping.load_values import conditions, priority_rules, value
from connector.mapping.mistakes import BadMapping, Mistake, meant
from connector.mapping.model import Condition, Copy, Mapping, Source, Value
from connector.mapping.paths import Path, Root
from connector.mapping.reading import Reading, inside
from connector.mapping.tree import Entry, Number, parse

MAX_COPIES = 16
VERSION = 1
IDENTIFIERS = ("mbox3rdPartyId", "pcId")
"""In the order in which they are tried."""
_FIELDS = (
    "topics", "format", "key", "zeroValues", "when", "priority", "each", "visitor", "occurredAt", "copy", "attributes",
)  # fmt: skip
_ZERO_VALUES = (Format.PROTOBUF, Format.CLOUDEVENTS)
_topic = re.compile(r"(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}")


def load(text: str) -> Mapping:
    """Return the mapping that a text of YAML or JSON writes; raises `BadMapping` with all that is wrong in it."""
    read = Reading()
    fields = read.fields(parse(text), "", ("version", "sources"), ("version", "sources")) or {}
    if "version" in fields:
        version = fields["version"]
        if not isinstance(version.value, Number) or float(version.value) != VERSION:
            read.wrong(version, "version", f"must be {VERSION}")
    sources = []
    if "sources" in fields:
        taken: dict[str, int] = {}
        for number, entry in enumerate(read.items(fields["sources"], "sources")):
            sources.append(_source(read, entry, f"sources[{number}]", taken))
    if read.mistakes:
        raise BadMapping(read.mistakes)
    return Mapping(tuple(source for source in sources if source))


def check_topics(mapping: Mapping, consumed: Iterable[str]) -> tuple[Mistake, ...]:
    """Return a mistake for each topic of the mapping that is not consumed: it is misspelt here or there."""
    known = frozenset(consumed)
    return tuple(
        Mistake(line, f"sources[{number}].topics", f"{topic} is not among the topics consumed" + meant(topic, known))
        for number, source in enumerate(mapping.sources)
        for topic, line in zip(source.topics, source.topic_lines, strict=True)
        if topic not in known
    )


def unmapped_topics(mapping: Mapping, consumed: Iterable[str]) -> tuple[str, ...]:
    """Return the topics that no source reads, in their order."""
    return tuple(topic for topic in consumed if mapping.source(topic) is None)


def _source(read: Reading, entry: Entry, field: str, taken: dict[str, int]) -> Source | None:
    fields = read.fields(entry, field, _FIELDS, ("topics", "format", "visitor"))
    if fields is None:
        return None
    before = len(read.mistakes)
    read.paths.clear()
    topics, lines = _topics(read, fields.get("topics"), inside(field, "topics"), taken)
    form = read.word(fields["format"], inside(field, "format"), Format) if "format" in fields else None
    key = read.word(fields["key"], inside(field, "key"), KeyForm) if "key" in fields else KeyForm.NONE
    zero_values = "zeroValues" in fields and read.boolean(fields["zeroValues"], inside(field, "zeroValues"))
    if "zeroValues" in fields and form and form not in _ZERO_VALUES:
        read.wrong(
            fields["zeroValues"],
            inside(field, "zeroValues"),
            f"has no meaning in {form}, only in protobuf and cloudevents",
        )
    each = read.path(fields["each"], inside(field, "each")) if "each" in fields else None
    when = conditions(read, fields.get("when"), inside(field, "when"))
    priority = priority_rules(read, fields["priority"], inside(field, "priority")) if "priority" in fields else ()
    visitor = _visitor(read, fields.get("visitor"), inside(field, "visitor"))
    occurred = (
        value(read, fields["occurredAt"], inside(field, "occurredAt"), fixed=False) if "occurredAt" in fields else None
    )
    if "copy" not in fields and "attributes" not in fields:
        read.wrong(entry, field, "must have copy or attributes, or both")
    copies = _copies(read, fields.get("copy"), inside(field, "copy"))
    attributes = _attributes(read, fields.get("attributes"), inside(field, "attributes"))
    _check_roots(read, key, field, has_each="each" in fields)
    if len(read.mistakes) > before or form is None or key is None or not topics:
        return None
    source = Source(
        topics=topics,
        format=form,
        visitor=visitor,
        key=key,
        zero_values=zero_values,
        when=when,
        priority=priority,
        occurred_at=occurred,
        each=each,
        copies=copies,
        attributes=attributes,
        topic_lines=lines,
    )
    return _normal(source)


def _topics(
    read: Reading, entry: Entry | None, field: str, taken: dict[str, int]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    topics: dict[str, int] = {}
    for number, item in enumerate(read.items(entry, field)) if entry else ():
        inner = f"{field}[{number}]"
        topic = read.text(item, inner)
        if topic is None:
            continue
        if not _topic.fullmatch(topic):
            read.wrong(item, inner, "is no topic's name: letters, digits, dots, _ and -, at most 249 of them")
        elif topic in taken:
            read.wrong(item, inner, f"{topic} has a source already, in line {taken[topic]}")
        else:
            topics[topic] = taken[topic] = item.line
    return tuple(topics), tuple(topics.values())


def _visitor(read: Reading, entry: Entry | None, field: str) -> Table[str, Value]:
    fields = read.fields(entry, field, IDENTIFIERS) if entry else None
    found = {}
    for kind in IDENTIFIERS:
        if fields and kind in fields:
            one = value(read, fields[kind], inside(field, kind), fixed=False)
            if one:
                found[kind] = one
    return found


def _copies(read: Reading, entry: Entry | None, field: str) -> tuple[Copy, ...]:
    found = []
    for number, item in enumerate(read.items(entry, field, MAX_COPIES)) if entry else ():
        inner = f"{field}[{number}]"
        fields = read.fields(item, inner, ("from", "prefix", "only", "except"), ("from",))
        if fields is None:
            continue
        if "only" in fields and "except" in fields:
            read.wrong(fields["except"], inside(inner, "except"), "must not be given beside only")
        path = read.path(fields["from"], inside(inner, "from")) if "from" in fields else None
        prefix = read.text(fields["prefix"], inside(inner, "prefix"), least=0) if "prefix" in fields else ""
        only = frozenset(read.texts(fields["only"], inside(inner, "only"))) if "only" in fields else None
        leave_out = frozenset(read.texts(fields["except"], inside(inner, "except")) if "except" in fields else ())
        if path and path.root in (Root.HEADERS, Root.TOPIC, Root.TIMESTAMP):
            read.wrong(fields["from"], inside(inner, "from"), "must lead to an object")
        elif path and prefix is not None:
            found.append(Copy(path, prefix, only, leave_out))
    return tuple(found)


def _attributes(read: Reading, entry: Entry | None, field: str) -> Table[str, Value]:
    found = {}
    for name, item in (read.members(entry, field) or {}).items() if entry else ():
        inner = inside(field, name or "''")
        if not name:
            read.wrong(item, inner, "must not have an empty name")
        one = value(read, item, inner)
        if one:
            found[name] = one
    return found


def _check_roots(read: Reading, key: KeyForm | None, field: str, *, has_each: bool) -> None:
    """Note paths that no record of this source can have anything at."""
    for entry, place, path in read.paths:
        if path.root is Root.KEY and key is KeyForm.NONE:
            read.wrong(entry, place, f"{path} needs key: text, or key: format")
        elif path.root is Root.KEY and key is KeyForm.TEXT and path.steps:
            read.wrong(entry, place, f"{path} needs key: format, since with key: text the key has no parts")
        elif path.root is Root.ITEM and not path.steps and not has_each:
            read.wrong(entry, place, "$item needs each; the whole value is $value")
        elif place == inside(field, "each") and path.root not in (Root.ITEM, Root.VALUE):
            read.wrong(entry, place, "must lead into the value")


def _normal(source: Source) -> Source:
    """Write what means the same in one way: `each` from the record's root, and without `each` no root but the item."""
    if source.each:
        return replace(source, each=Path(Root.VALUE, source.each.steps))
    return replace(
        source,
        when=_conditions_from_item(source.when),
        priority=tuple(replace(rule, when=_conditions_from_item(rule.when)) for rule in source.priority),
        visitor={kind: _value_from_item(one) for kind, one in source.visitor.items()},
        occurred_at=_value_from_item(source.occurred_at) if source.occurred_at else None,
        copies=tuple(replace(one, path=_from_item(one.path)) for one in source.copies),
        attributes={name: _value_from_item(one) for name, one in source.attributes.items()},
    )


def _conditions_from_item(when: Iterable[Condition]) -> tuple[Condition, ...]:
    return tuple(replace(one, path=_from_item(one.path)) for one in when)


def _value_from_item(one: Value) -> Value:
    return replace(
        one,
        paths=tuple(map(_from_item, one.paths)),
        template=tuple(_from_item(part) if isinstance(part, Path) else part for part in one.template),
    )


def _from_item(path: Path) -> Path:
    return Path(Root.ITEM, path.steps) if path.root is Root.VALUE else path
