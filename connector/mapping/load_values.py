"""Reads the small languages of a mapping: values (where a text comes from), conditions, and rules of priority."""

from collections.abc import Mapping

from connector.events.change import PRIORITIES
from connector.mapping.mistakes import meant
from connector.mapping.model import Condition, Conversion, Form, Operator, PriorityRule, Value
from connector.mapping.paths import Path, Root
from connector.mapping.reading import Reading, inside
from connector.mapping.tree import Entry

MAX_SCALE = 100
MAX_PATHS = 16
_ELSE = "else"
"""In `priority`: the class of events for which no class's conditions hold."""
_KINDS = ("path", "template", "constant")
_BESIDE = {"path": ("default", "values", "as"), "template": ("default",), "constant": ()}
_PLAIN_FORMS = [form.value for form in Form if form is not Form.DECIMAL]
_TIMES = (Form.EPOCH_S, Form.EPOCH_MS, Form.EPOCH_US, Form.EPOCH_NS, Form.EPOCH_DAYS)


def value(read: Reading, entry: Entry, field: str, *, fixed: bool = True) -> Value | None:
    """Return a value: a path, or an object around one. Not `fixed`: nothing that is the same for every event."""
    if isinstance(entry.value, str):
        path = read.path(entry, field)
        return Value((path,)) if path else None
    if not isinstance(entry.value, Mapping):
        read.wrong(entry, field, "must be a path, or an object with path, template or constant")
        return None
    known = [name for name in (*_KINDS, "default", "values", "as") if fixed or name not in ("constant", "default")]
    fields = read.fields(entry, field, known)
    if fields is None:
        return None
    kinds = [kind for kind in _KINDS if kind in fields and kind in known]
    if len(kinds) != 1:
        choice = "path, template and constant" if fixed else "path and template"
        read.wrong(entry, field, f"must have exactly one of {choice}")
        return None
    for name in fields:
        if name in known and name not in (*kinds, *_BESIDE[kinds[0]]):
            read.wrong(fields[name], inside(field, name), f"must not be given beside {kinds[0]}")
    return _made(read, fields, field)


def _made(read: Reading, fields: Mapping[str, Entry], field: str) -> Value:
    paths = _paths(read, fields["path"], inside(field, "path")) if "path" in fields else ()
    conversion = _conversion(read, fields["as"], inside(field, "as")) if "as" in fields else None
    if conversion and conversion.form in _TIMES and any(path.root is Root.TIMESTAMP for path in paths):
        read.wrong(fields["as"], inside(field, "as"), "$timestamp is a date-time already")
    return Value(
        paths=paths,
        template=read.template(fields["template"], inside(field, "template")) if "template" in fields else (),
        constant=read.scalar(fields["constant"], inside(field, "constant")) if "constant" in fields else None,
        default=read.scalar(fields["default"], inside(field, "default")) if "default" in fields else None,
        conversion=conversion,
        table=_table(read, fields["values"], inside(field, "values")) if "values" in fields else None,
    )


def condition(read: Reading, entry: Entry, field: str) -> Condition | None:
    """Return a condition: a path and one question."""
    operators = [operator.value for operator in Operator]
    fields = read.fields(entry, field, ("path", *operators), ("path",))
    if fields is None:
        return None
    path = read.path(fields["path"], inside(field, "path")) if "path" in fields else None
    asked = [operator for operator in Operator if operator in fields]
    if len(asked) != 1:
        read.wrong(entry, field, f"must have exactly one of {', '.join(operators)}")
        return None
    operator = asked[0]
    operand, inner = fields[operator], inside(field, operator)
    texts: tuple[str, ...] = ()
    exists = True
    if operator is Operator.EXISTS:
        exists = read.boolean(operand, inner)
    elif operator in (Operator.IN, Operator.NOT_IN):
        texts = read.scalars(operand, inner)
    else:
        text = read.scalar(operand, inner)
        texts = () if text is None else (text,)
    return Condition(path, operator, texts, exists) if path else None


def conditions(read: Reading, entry: Entry | None, field: str) -> tuple[Condition, ...]:
    """Return a list of conditions that must all hold."""
    items = read.items(entry, field) if entry else ()
    found = [condition(read, item, f"{field}[{number}]") for number, item in enumerate(items)]
    return tuple(one for one in found if one)


def priority_rules(read: Reading, entry: Entry, field: str) -> tuple[PriorityRule, ...]:
    """Return the rules in the order in which they are tried: a word for all events, or conditions by class."""
    if isinstance(entry.value, str):
        word = read.one_of(entry, field, PRIORITIES)
        return (PriorityRule(PRIORITIES[word]),) if word else ()
    fields = read.fields(entry, field, (*PRIORITIES, _ELSE)) or {}
    rules = [
        PriorityRule(priority, conditions(read, fields[word], inside(field, word)))
        for word, priority in PRIORITIES.items()
        if word in fields
    ]
    if _ELSE in fields and (word := read.one_of(fields[_ELSE], inside(field, _ELSE), PRIORITIES)):
        rules.append(PriorityRule(PRIORITIES[word]))
    return tuple(rules)


def _paths(read: Reading, entry: Entry, field: str) -> tuple[Path, ...]:
    if isinstance(entry.value, str):
        one = read.path(entry, field)
        return (one,) if one else ()
    if not isinstance(entry.value, tuple):
        read.wrong(entry, field, "must be a path or a list of paths")
        return ()
    items = read.items(entry, field, MAX_PATHS)
    found = [read.path(item, f"{field}[{number}]") for number, item in enumerate(items)]
    return tuple(path for path in found if path)


def _table(read: Reading, entry: Entry, field: str) -> Mapping[str, str]:
    members = read.members(entry, field) or {}
    read_all = {name: read.scalar(item, inside(field, name)) for name, item in members.items()}
    return {name: text for name, text in read_all.items() if text is not None}


def _conversion(read: Reading, entry: Entry, field: str) -> Conversion | None:
    if isinstance(entry.value, Mapping):
        fields = read.fields(entry, field, ("decimal", "join")) or {}
        if len(fields) > 1:
            read.wrong(entry, field, "must have exactly one of decimal, join")
        if "decimal" in fields:
            return Conversion(Form.DECIMAL, scale=read.integer(fields["decimal"], inside(field, "decimal"), MAX_SCALE))
        if "join" in fields:
            separator = read.text(fields["join"], inside(field, "join"), least=0)
            return Conversion(Form.JOIN, separator=separator or "")
        return None
    if entry.value in _PLAIN_FORMS and isinstance(entry.value, str):
        return Conversion(Form(entry.value))
    if entry.value == Form.DECIMAL:
        read.wrong(entry, field, "must say its scale, such as {decimal: 2}")
        return None
    told = f"must be one of {', '.join(_PLAIN_FORMS)}, {{decimal: SCALE}}, {{join: TEXT}}"
    near = meant(entry.value, _PLAIN_FORMS) if isinstance(entry.value, str) else ""
    read.wrong(entry, field, told + near)
    return None
