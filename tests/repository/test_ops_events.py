"""Log event names are an interface: these tests keep source, list and documentation equal."""

import ast
import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import structlog

import connector
from connector.ops import events, metrics
from connector.ops.events import COMMON_FIELDS, EVENTS, FIELDS, UnlistedEvent, name_unlisted, require_listed
from tests.support.captured_logs import as_logged, captured_logs

ROOT = Path(connector.__file__).parent
DOCS = ROOT.parent / "docs"
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGGERS = {"log", "_log", "logger", "_logger"}


@cache
def calls() -> list[tuple[str, ast.Call, str]]:
    """Each call in the source with its place and the called name (`log.info`, `self._say`, `Fatal`)."""
    return list(_calls())


def _calls() -> Iterator[tuple[str, ast.Call, str]]:
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node, ast.unparse(node.func)


def first_text(call: ast.Call) -> str | None:
    """The event, when it is a literal in the call."""
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def logged() -> Iterator[tuple[str, str, str, ast.Call]]:
    """Place, level, event and call of each log call with a literal event."""
    for place, call, called in calls():
        receiver, _, method = called.rpartition(".")
        level = LEVELS.get(method) if receiver.rpartition(".")[2] in LOGGERS else None
        if called in SAYS:
            asked = next((word.value for word in call.keywords if word.arg == "level"), None)
            level = str(asked.value) if isinstance(asked, ast.Constant) else "warning"
        event = first_text(call)
        if level is not None and event is not None:
            yield place, level, event, call


def constants() -> dict[str, str]:
    """Module-level names of texts: some events are logged by such a name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            target, value = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[target.id] = value.value
    return found


SAYS = frozenset({"self._say", "self.say", "self._state.say", "state.say"})
"""The calls of a throttled logger."""

COMMANDS = ("cli/", "kafka/inspect/")
"""Reached only by commands: what they raise is printed, not logged."""


def fatals() -> Iterator[tuple[str, str]]:
    """Place and event of each `Fatal` that can end the service: `serve` logs it with the fields of its failure."""
    named = constants()
    for place, call, called in calls():
        by_name = {keyword.arg: keyword.value for keyword in call.keywords}
        first = call.args[0] if call.args else by_name.get("event")
        event = named.get(first.id) if isinstance(first, ast.Name) else first_text(call)
        event = str(first.value) if isinstance(first, ast.Constant) else event
        if (
            event is not None
            and not place.startswith(COMMANDS)
            and (called.rpartition(".")[2] == "Fatal" or (called == "super().__init__" and event in EVENTS))
        ):
            yield place, event


def troubles() -> set[str]:
    """The events of the table of librdkafka's errors, and of each `KafkaFailure` that is made elsewhere."""
    tree = ast.parse((ROOT / "kafka" / "errors.py").read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    made = {call.args[1] for _, call, called in calls() if called == "KafkaFailure" and len(call.args) > 1}
    said = {node.value for node in made if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if text.startswith("kafka_") and text.isidentifier()} | said


def test_the_source_is_scanned_at_all() -> None:
    """A scan that finds nothing would check nothing."""
    assert {"ops_listening", "ops_failed"} <= {event for _, _, event, _ in logged()}


def test_every_event_in_the_source_is_in_the_list_at_its_level_with_its_fields() -> None:
    """Users build alerts on the table."""
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


def test_an_error_that_ends_the_process_names_an_event_that_is_an_error_with_a_remedy() -> None:
    """`Fatal` carries the name of its last log line, which has the fields of a `Failure`."""
    named = list(fatals())
    assert {"kafka_fatal", "settings_refused", "ops_unavailable"} <= {event for _, event in named}
    wrong = [each for each in named if each[1] not in EVENTS or "error" not in EVENTS[each[1]].levels]
    assert wrong == []
    assert [each for each in named if not {"reason", "remedy"} <= set(EVENTS[each[1]].fields)] == []


def test_every_warning_and_error_has_a_remedy() -> None:
    """Of each line its own, or one by the list; a warning without one leaves its reader alone."""
    alarming = {event for event in EVENTS.values() if {"warning", "error"} & {*event.levels}}
    assert [event.name for event in alarming if "remedy" not in event.fields] == []
    # Where only the line can know it, each line has one.
    without = [
        f"{place}: {event}"
        for place, level, event, call in logged()
        if level in ("warning", "error")
        and not EVENTS[event].remedy
        and not any(word.arg in ("remedy", None) for word in call.keywords)
    ]
    assert without == []


def test_a_standing_remedy_is_in_the_line_of_a_warning_and_in_no_other() -> None:
    """It is added where lines are rendered; a line with its own keeps that."""
    with captured_logs() as logs:
        log = structlog.get_logger()
        log.warning("commit_failed", reason="x")
        log.warning("token_unreadable", reason="x", remedy="its own")
        log.info("connector_stopped", reason="signal", exit_code=0)
        lines = logs.lines
    assert lines[0]["remedy"] == EVENTS["commit_failed"].remedy
    assert lines[1]["remedy"] == "its own"
    assert "remedy" not in lines[2]


def test_every_trouble_of_kafka_names_an_event_of_the_list_with_the_fields_of_a_trouble() -> None:
    """The table of librdkafka's errors carries names of log events as plain texts."""
    named = troubles() - {"kafka_fatal"}
    assert {"kafka_unreachable", "partition_start_delayed"} <= named
    assert named <= set(EVENTS)
    for name in named:
        assert EVENTS[name].levels == ("warning",)
        assert set(EVENTS[name].fields) == {"code", "detail", "remedy"}


def test_the_list_holds_no_level_and_no_field_that_is_never_logged() -> None:
    """A search for a documented field that is never logged finds nothing."""
    levels: dict[str, set[str]] = {name: set() for name in EVENTS}
    fields: dict[str, set[str]] = {name: set() for name in EVENTS}
    for _, level, event, call in logged():
        levels[event].add(level)
        fields[event] |= {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    for _, event in fatals():
        levels[event].add("error")
        fields[event] |= {"reason", "remedy", "setting"}
    for event in troubles() - {"kafka_fatal"}:
        levels[event].add("warning")
        fields[event] |= {"code", "detail", "remedy"}
    for name, listed in EVENTS.items():
        fields[name] |= {"remedy"} if listed.remedy else set()
    by_the_set_up = {"library_log", "unlisted_event"}
    for name in EVENTS.keys() - by_the_set_up:
        assert set(EVENTS[name].levels) == levels[name], name
        assert set(EVENTS[name].fields) <= fields[name], name


def test_only_these_places_log_an_event_that_is_no_literal() -> None:
    """Each has a test of its own against the list: the events of a `Fatal`, a `KafkaFailure` or a throttled logger."""
    places = set()
    for place, call, called in calls():
        receiver, _, method = called.rpartition(".")
        is_log = method in LEVELS and receiver.rpartition(".")[2] in LOGGERS
        if (is_log or called in {*SAYS, "getattr(log, level)"}) and first_text(call) is None:
            places.add(place.partition(":")[0])
    places.discard("demo/view.py")  # It prints for people.
    assert places == {"ops/throttled_log.py", "pipeline/pipeline.py", "service/service.py"}


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: event.name)
def test_an_entry_is_complete(event: events.LogEvent) -> None:
    """Names are snake_case, every field is explained, the meaning is a sentence."""
    assert event.name.isidentifier()
    assert event.name.islower()
    assert set(event.fields) <= set(FIELDS)
    assert event.meaning[0].isupper()
    assert event.meaning.endswith(".")


def test_no_field_is_explained_that_nothing_has() -> None:
    """An obsolete glossary misleads."""
    used = {field for event in EVENTS.values() for field in event.fields}
    assert set(FIELDS) == used | set(COMMON_FIELDS)


NEVER_LOGGED = (
    "sandbox/", "demo/", "cli/sandbox/", "cli/produce.py", "cli/token/__init__.py", "cli/verify/",
    "settings/model.py",
)  # fmt: skip
"""They print for people: requests, events and settings by example, and the purpose of a setting."""
MASKED = {"Proxy-Authorization: it", "Bearer it", "&profile.it="}
"""Sent, not logged; a log line with it would hold a secret or a value."""


def sentences() -> Iterator[tuple[str, str]]:
    """Each text of the source with its place, `it` in the place of an f-string's values; no docstrings."""
    for path in sorted(ROOT.rglob("*.py")):
        place = str(path.relative_to(ROOT))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        parts |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in parts or place.startswith(NEVER_LOGGED):
                continue
            if isinstance(node, ast.JoinedStr):
                filled = [str(part.value) if isinstance(part, ast.Constant) else "it" for part in node.values]
                yield f"{place}:{node.lineno}", "".join(filled)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{place}:{node.lineno}", node.value


def test_the_redaction_takes_no_word_of_ours_for_a_secret() -> None:
    """A remedy that begins with TARGET_AUTH_TOKEN and a colon would lose its next word, and so its meaning."""
    eaten = [(place, text) for place, text in sentences() if text not in MASKED and as_logged(text) != text]
    assert eaten == []
    assert {text for _, text in sentences()} >= MASKED


def test_a_name_outside_the_list_is_refused() -> None:
    """A test of another room puts this first in its processors, to fail at once."""
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
    """A table written by hand becomes outdated; the message says how to generate it."""
    remedy = f'paste what python -c "from {make} import markdown; print(markdown())" prints into docs/{page}'
    text = (DOCS / page).read_text(encoding="utf-8")
    assert table in text, remedy
    heads = [line for line, rule in itertools.pairwise(table.splitlines()) if rule.startswith("|---")]
    assert [text.count(f"{head}\n") for head in heads] == [1] * len(heads), "an older table is left in it"
