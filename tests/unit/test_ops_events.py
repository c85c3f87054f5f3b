"""Names in the log are an interface: these tests hold source, list and documentation to each other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import connector
from connector.ops import events, metrics
from connector.ops.events import COMMON_FIELDS, EVENTS, FIELDS, UnlistedEvent, name_unlisted, require_listed

ROOT = Path(connector.__file__).parent
DOCS = ROOT.parent / "docs"
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGGERS = {"log", "_log", "logger", "_logger"}


def calls() -> Iterator[tuple[str, ast.Call, str]]:
    """Each call in the source with its place and the name of what is called (`log.info`, `self._say`, `Fatal`)."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node, ast.unparse(node.func)


def first_text(call: ast.Call) -> str | None:
    """The event, when it stands in the call itself."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def logged() -> Iterator[tuple[str, str, str, ast.Call]]:
    """Place, level, event and call of each log call that names its event in place."""
    for place, call, called in calls():
        receiver, _, method = called.rpartition(".")
        level = LEVELS.get(method) if receiver.rpartition(".")[2] in LOGGERS else None
        if called == "self._say":
            asked = next((word.value for word in call.keywords if word.arg == "level"), None)
            level = str(asked.value) if isinstance(asked, ast.Constant) else "warning"
        event = first_text(call)
        if level is not None and event is not None:
            yield place, level, event, call


def test_the_source_is_scanned_at_all() -> None:
    """A scan that finds nothing would hold nothing."""
    assert {"ops_listening", "ops_failed"} <= {event for _, _, event, _ in logged()}


def test_every_event_in_the_source_is_in_the_list_at_its_level_with_its_fields() -> None:
    """The table is what people build alerts on."""
    wrong = []
    for place, level, event, call in logged():
        listed = EVENTS.get(event)
        if listed is None:
            wrong.append(f"{place}: {event} is not in the list")
            continue
        if level not in listed.levels:
            wrong.append(f"{place}: {event} is not listed at {level}")
        allowed = {*listed.fields, *COMMON_FIELDS, "exc_info", "about", "level"}
        names = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
        wrong += [f"{place}: {event} has no field {name}" for name in sorted(names - allowed)]
    assert wrong == []


def test_an_error_that_ends_the_process_names_an_event_that_may_be_an_error() -> None:
    """`Fatal` carries the name of its last log line."""
    fatal = [(place, first_text(call)) for place, call, called in calls() if called.rpartition(".")[2] == "Fatal"]
    named = [(place, name) for place, name in fatal if name is not None]
    assert named
    assert [each for each in named if each[1] not in EVENTS or "error" not in EVENTS[each[1]].levels] == []


def test_every_trouble_of_kafka_names_an_event_of_the_list() -> None:
    """The table of librdkafka's errors carries names of log events as plain texts."""
    tree = ast.parse((ROOT / "kafka" / "errors.py").read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    named = {text for text in texts if text.startswith("kafka_") and text.isidentifier()}
    assert "kafka_unreachable" in named
    assert named <= set(EVENTS)


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_an_entry_is_complete(event: events.LogEvent) -> None:
    """Names are snake_case, every field is explained, the meaning is a sentence."""
    assert event.name.isidentifier()
    assert event.name.islower()
    assert set(event.fields) <= set(FIELDS)
    assert event.meaning[0].isupper()
    assert event.meaning.endswith(".")


def test_no_field_is_explained_that_nothing_has() -> None:
    """A glossary of the past misleads."""
    used = {field for event in EVENTS.values() for field in event.fields}
    assert set(FIELDS) == used | set(COMMON_FIELDS)


def test_a_name_outside_the_list_is_refused() -> None:
    """What a test of another room puts first in its processors, to be told at once."""
    assert require_listed(None, "info", {"event": "circuit_closed"}) == {"event": "circuit_closed"}
    with pytest.raises(UnlistedEvent, match="made_up"):
        require_listed(None, "info", {"event": "made_up"})
    with pytest.raises(UnlistedEvent):
        require_listed(None, "info", {"event": 7})


def test_a_running_program_renames_instead() -> None:
    """A log call must not raise in production."""
    assert name_unlisted(None, "info", {"event": "made_up"}) == {"event": "unlisted_event", "name": "made_up"}


@pytest.mark.parametrize(
    ("page", "table", "make"),
    [
        ("logging.md", events.markdown(), "connector.ops.events"),
        ("metrics.md", metrics.markdown(), "connector.ops.metrics"),
    ],
)
def test_the_documentation_is_made_from_the_list(page: str, table: str, make: str) -> None:
    """A table that is written by hand is wrong within a month; the message says how to make it again."""
    remedy = f'paste what python -c "from {make} import markdown; print(markdown())" prints into docs/{page}'
    assert table in (DOCS / page).read_text(encoding="utf-8"), remedy
