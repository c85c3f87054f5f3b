"""The closed list of what the log can say, so that a search or an alert on a name keeps working.

To add an event: one `LogEvent` in `EVENTS`, a line in `FIELDS` for each field that is new, and the table in
`docs/logging.md` again; a test holds the source, this list and the table together.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

Level = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One name that `event` can have: its levels, the fields it may carry, and what it tells a reader."""

    name: str
    levels: tuple[Level, ...]
    fields: tuple[str, ...]
    meaning: str
    remedy: str = ""
    """What to do about it, where that is the same each time; else the line brings its own."""


class UnlistedEvent(LookupError):
    """Someone logs a name that is not in `EVENTS`."""


COMMON_FIELDS: Final = ("repeated", "error", "stack")
"""What any event may carry besides its own fields."""

_RECORD = ("topic", "partition", "offset")
_KAFKA = ("code", "detail", "remedy")
_FATAL = ("reason", "remedy")
"""Of an error that ends the process."""

_DEBUG: Final[tuple[Level, ...]] = ("debug",)
_INFO: Final[tuple[Level, ...]] = ("info",)
_WARNING: Final[tuple[Level, ...]] = ("warning",)
_ERROR: Final[tuple[Level, ...]] = ("error",)
_WARNING_OR_LAST: Final[tuple[Level, ...]] = ("warning", "error")
"""A warning while the process continues; an error when it is what ends it."""
_ENDING: Final[tuple[Level, ...]] = ("info", "warning", "error")
"""An end as asked for, one that was forced, and one by a failure."""
_ANY: Final[tuple[Level, ...]] = get_args(Level)
_ALARMING: Final = frozenset({"warning", "error", "critical"})
"""Each of these says what to do."""


def _whole(event: LogEvent) -> LogEvent:
    """A standing remedy stands in the lines, so it is one of their fields."""
    if not event.remedy or "remedy" in event.fields:
        return event
    return replace(event, fields=(*event.fields, "remedy"))


EVENTS: Final[Mapping[str, LogEvent]] = {
    event.name: _whole(event)
    for event in (
        LogEvent("connector_started", _INFO, ("settings", "version"), "The process starts, with these settings."),
        LogEvent(
            "connector_stopped",
            _ENDING,
            ("reason", "exit_code"),
            "The last line of a process that ended itself.",
            remedy="look at the line before, which says why and what to do",
        ),
        LogEvent(
            "profiles_verified",
            _INFO,
            ("conclusion", "records", "visitors", "verdicts", "harmed_share"),
            "A sample of profiles was judged by `connector verify`; docs/verify.md explains its counts.",
        ),
        LogEvent("drain_started", _INFO, ("updates_pending", "seconds"), "Told to end: what is due is sent first."),
        LogEvent("drain_finished", _INFO, ("updates_left", "seconds"), "The next owner reads again what is left."),
        LogEvent(
            "settings_refused",
            _ERROR,
            ("setting", "reason", "remedy"),
            "A setting cannot be used, or more than one: a line each; the process ends with code 2.",
        ),
        LogEvent(
            "partitions_assigned", _INFO, ("partitions", "owned"), "The group gave these partitions to this replica."
        ),
        LogEvent("partitions_revoked", _INFO, ("partitions", "owned"), "Partitions were committed and handed back."),
        LogEvent(
            "partitions_lost",
            _WARNING,
            ("partitions", "owned"),
            "Partitions went to another without a hand-over; nothing was committed for them.",
            remedy="if this repeats, look for pauses of this process that are longer than the group's session",
        ),
        LogEvent(
            "recovery_started",
            _INFO,
            (*_RECORD, "until", "owed"),
            "An earlier owner had settled records beyond the committed offset: up to the one named, all are passed "
            "over but those of visitors that are still owed.",
        ),
        LogEvent(
            "topic_made_again",
            _WARNING,
            (*_RECORD, "remedy"),
            "The topic was deleted and made again: its new log is read from its start, at this offset. Updates of the "
            "old log that wait are still sent.",
        ),
        LogEvent(
            "records_missed",
            _WARNING,
            (*_RECORD, "until", "records", "reason", "remedy"),
            "The records from `offset` to `until` cannot be read any more: by `retention` they were deleted before "
            "they were read, by `truncation` the end of the log was cut.",
        ),
        LogEvent(
            "partition_start_delayed",
            _WARNING,
            _KAFKA,
            "For ten seconds the brokers have not said where reading of a partition begins; it waits and asks again.",
        ),
        LogEvent(
            "request_timeout_reduced",
            _WARNING,
            ("seconds", "remedy"),
            "A request may last six tenths of the group's session at most: it must be over before a successor sends.",
        ),
        LogEvent(
            "quota_ledger_read",
            _INFO,
            ("records", "seconds", "used"),
            "The ledger was read to its end: from now on leases are asked for.",
        ),
        LogEvent(
            "quota_ledger_shortened",
            _ERROR,
            ("used", "remedy"),
            "Records that count were deleted from the ledger; replicas that start now miss them.",
        ),
        LogEvent(
            "quota_ledger_delayed",
            _WARNING,
            ("reason", "in_hand"),
            "The ledger cannot be reached: what is in hand is sent, then sending waits; it is tried again.",
            remedy="if no line of Kafka says why, look at the ledger's topic and its brokers",
        ),
        LogEvent(
            "quota_ledger_unusable",
            _ERROR,
            _FATAL,
            "The ledger's topic is not what it must be; without it no replica knows what may be sent.",
        ),
        LogEvent(
            "quota_nearly_used",
            _WARNING,
            ("used", "limit", "percent"),
            "Those who share the ledger have used 80 or 95 % of what the rolling window allows.",
            remedy="a longer COALESCE_LINGER_SECONDS merges more; `connector quota` says who uses it",
        ),
        LogEvent(
            "quota_used_up",
            _WARNING,
            ("used", "limit", "next_free_seconds"),
            "Nothing is free: updates wait, and coalesce meanwhile.",
            remedy="wait, or merge more by a longer COALESCE_LINGER_SECONDS; `connector quota` says when",
        ),
        LogEvent(
            "quota_settings_differ",
            _WARNING,
            ("holder", "holder_limit", "holder_window_seconds", "limit", "window_seconds", "remedy"),
            "Another replica or group takes leases from the same ledger under another limit, or for another window.",
        ),
        LogEvent("quota_resumed", _INFO, ("used", "limit"), "Something came free, and sending continues."),
        LogEvent(
            "commit_failed",
            _WARNING,
            ("reason",),
            "A commit was refused or not answered; it may have landed, and is sent again.",
            remedy="if this repeats, look at the brokers, and at the right READ on the group",
        ),
        LogEvent(
            "consumption_paused",
            _INFO,
            ("updates_pending", "bytes", "letters_pending"),
            "Too much is pending: nothing is read until some is done.",
        ),
        LogEvent("consumption_resumed", _INFO, ("updates_pending", "bytes"), "Consumption continues."),
        LogEvent(
            "kafka_unreachable", _WARNING, _KAFKA, "A broker, or all of them, cannot be reached; it is tried again."
        ),
        LogEvent(
            "kafka_reached", _INFO, ("seconds",), "Kafka answers again; `seconds` is from the first error to the last."
        ),
        LogEvent(
            "kafka_authentication_failed",
            _WARNING,
            _KAFKA,
            "The broker does not accept the credentials or the TLS set-up.",
        ),
        LogEvent(
            "kafka_authorization_failed",
            _WARNING,
            _KAFKA,
            "The broker knows us and does not allow this topic or group.",
        ),
        LogEvent("kafka_topic_missing", _WARNING, _KAFKA, "A topic does not exist; it is looked for again."),
        LogEvent("kafka_error", _WARNING, _KAFKA, "Another error of the Kafka client, after which it works on."),
        LogEvent("kafka_fatal", _ERROR, _FATAL, "The Kafka client cannot continue; the process ends with code 1."),
        LogEvent(
            "event_refused",
            _WARNING,
            (*_RECORD, "field", "reason"),
            "A record can never be delivered; it goes to the dead-letter topic.",
            remedy="have its producer correct the field; `connector dlq list --by reason` counts them all",
        ),
        LogEvent(
            "update_rejected",
            _WARNING,
            (*_RECORD, "visitor", "reason"),
            "Target will never take an update; it goes to the dead-letter topic.",
            remedy="look at the reason; when its cause is gone, `connector dlq replay` sends it again",
        ),
        LogEvent(
            "event_taken",
            _DEBUG,
            (*_RECORD, "visitor", "merged"),
            "A record's change waits for its visitor's next update; the beginning of an update's life.",
        ),
        LogEvent(
            "update_sent",
            _DEBUG,
            ("visitor", "receipts", "attempts", "fields"),
            "A request goes on the wire, for all that was merged into the update.",
        ),
        LogEvent("update_answered", _DEBUG, ("visitor", "verdict", "reason"), "What came of the request."),
        LogEvent(
            "update_settled",
            _DEBUG,
            ("visitor", "receipts", "outcome"),
            "Accepted, or its dead letter acknowledged; the end of an update's life.",
        ),
        LogEvent(
            "update_retried",
            _DEBUG,
            ("visitor", "attempts", "seconds", "reason"),
            "An update failed for now and is due again after these seconds.",
        ),
        LogEvent(
            "dead_letter_topic_unavailable",
            _WARNING,
            ("topic", "reason"),
            "Said at the start: dead letters have nowhere to go; it matters with the first of them.",
            remedy="create the topic, or allow WRITE, DESCRIBE and CREATE on it to the connector's user",
        ),
        LogEvent(
            "dead_letter_delayed",
            _WARNING,
            ("topic", "reason"),
            "A dead letter cannot be written for now; it is tried again, and its offset waits.",
            remedy="if no line of Kafka says why, look at the topic: its in-sync replicas, its size limits",
        ),
        LogEvent(
            "dead_letter_failed",
            _ERROR,
            _FATAL,
            "A dead letter can never be written; the process ends with code 1, and nothing is committed past it.",
        ),
        LogEvent(
            "dead_letter_guard_tripped",
            _ERROR,
            _FATAL,
            "Too many dead letters: that looks like a mistake in the settings; the process ends with code 1.",
        ),
        LogEvent(
            "target_unauthorized",
            _ERROR,
            ("reason", "remedy"),
            "Target refuses the token; all updates wait for a new one, none is dropped.",
        ),
        LogEvent(
            "target_unconfirmed",
            _WARNING,
            ("reason", "accepted"),
            "Target answered 2xx with a body in no known form.",
            remedy="look at TARGET_BASE_URL and what answers there, then read TARGET_UNCONFIRMED_SUCCESS",
        ),
        LogEvent(
            "circuit_opened",
            _WARNING,
            ("reason", "verdict"),
            "The endpoint as a whole fails: only probes are sent.",
            remedy="look at the reason, the network and the state of the endpoint; nothing is lost meanwhile",
        ),
        LogEvent(
            "open_files_used_up",
            _WARNING,
            ("reason",),
            "No file can be opened for a connection to Target: fewer are sent at once.",
            remedy="raise the limit of open files (ulimit -n), or lower TARGET_MAX_IN_FLIGHT",
        ),
        LogEvent("circuit_closed", _INFO, (), "The endpoint answers again; everything is sent as before."),
        LogEvent(
            "update_questionable",
            _WARNING,
            ("concern", "field", "reason", "remedy"),
            "An update was sent with which Target may not do what was meant: one line a kind and attribute.",
            remedy="change the events or the mapping; docs/target.md has the limits",
        ),
        LogEvent(
            "update_split",
            _WARNING,
            ("requests", "remedy"),
            "An update was too large for one request and was sent as several.",
            remedy="send fewer or shorter attributes; where consecutive updates override each other, some are lost: "
            "`connector verify` shows it",
        ),
        LogEvent(
            "unknown_visitor_skipped",
            _WARNING,
            ("visitor", "reason", "remedy"),
            "Target did not know the visitor to the end of the wait; the update was skipped (TARGET_UNKNOWN_VISITOR).",
            remedy="look whether these visitors are known to Target by another id, or expired there",
        ),
        LogEvent(
            "unknown_visitors_full",
            _WARNING,
            ("waiting", "remedy"),
            "Half of COALESCE_MAX_VISITORS waits for Target to know its visitor: further ones do not wait.",
            remedy="look why Target knows so few of the visitors; raise COALESCE_MAX_VISITORS, or lower "
            "TARGET_UNKNOWN_VISITOR_WAIT_SECONDS",
        ),
        LogEvent(
            "events_expired",
            _WARNING,
            ("max_age_seconds", "remedy"),
            "Changes were older than EVENT_MAX_AGE_SECONDS when their turn came, and were not sent.",
            remedy='look at target_connector_events_done_total{outcome="expired"}; raise EVENT_MAX_AGE_SECONDS if '
            "they are still of use",
        ),
        LogEvent("token_reloaded", _INFO, ("setting",), "A new token was read from its file."),
        LogEvent(
            "token_unreadable",
            _WARNING_OR_LAST,
            ("setting", "reason", "remedy"),
            "The token file could not be used; the token before it stays in use.",
            remedy="look whether the file can be read and holds one line",
        ),
        LogEvent(
            "mapping_loaded",
            _INFO,
            ("sources", "topics_unmapped"),
            "Events are read by a mapping with these sources; topics without one hold events of version 1.",
        ),
        LogEvent(
            "mapping_unreadable",
            _ERROR,
            ("setting", *_FATAL),
            "The file of the mapping could not be read; the process ends with code 1.",
        ),
        LogEvent(
            "schema_missing",
            _WARNING,
            (*_RECORD, "schema", "reason", "remedy"),
            "The Schema Registry does not give a schema: its partition waits at this record, all others go on.",
        ),
        LogEvent(
            "schema_arrived",
            _INFO,
            (*_RECORD, "seconds"),
            "The schema that a partition waited for is there, or is known not to be coming; reading goes on.",
        ),
        LogEvent("ops_listening", _INFO, ("host", "port"), "Probes, metrics and status are served here."),
        LogEvent(
            "ops_unavailable",
            _ERROR,
            _FATAL,
            "The ops port could not be had; the process ends with code 1.",
        ),
        LogEvent(
            "ops_failed",
            _ERROR,
            ("path",),
            "An answer of the ops server could not be made; its caller got a 500.",
            remedy="please report it, with the error and the stack",
        ),
        LogEvent(
            "library_log",
            _ANY,
            ("logger", "message"),
            "What a library said, at the level that it chose.",
            remedy="what it means for the service is said by the lines around it",
        ),
        LogEvent(
            "log_lines_dropped",
            _WARNING,
            ("lines",),
            "The log's reader was too slow; this number of lines were left out here.",
            remedy="look at what reads the standard output of the process, and whether it keeps up",
        ),
        LogEvent(
            "unlisted_event",
            _ANY,
            ("name",),
            "A name that is not in this list, at the level of the call: a mistake in the program.",
            remedy="please report it",
        ),
    )
}

FIELDS: Final[Mapping[str, str]] = {
    "concern": "what Target may not do with it; a closed list, also a label of a metric",
    "requests": "how many requests it took",
    "waiting": "updates that wait for Target to know their visitor",
    "max_age_seconds": "EVENT_MAX_AGE_SECONDS",
    "bytes": "memory that pending updates and dead letters take, about",
    "owed": "visitors whose records are still to be sent, by their fingerprints",
    "until": "the offset up to which that holds; the record at it is not meant",
    "accepted": "whether it counted as success (`TARGET_UNCONFIRMED_SUCCESS`)",
    "attempts": "how often it was sent so far",
    "code": "librdkafka's name of the error",
    "conclusion": "`good`, `harmed` or `too_few` (could be judged)",
    "detail": "the client library's own text",
    "error": "an exception: type and message, then what caused it after ` <- `",
    "exit_code": "of the process",
    "fields": "how many attributes the request carries",
    "field": "path in the event, such as `profile.address.city`",
    "harmed_share": "of all visitors, between `low` and `high` at `confidence`",
    "holder": "the host name of a replica that takes leases",
    "holder_limit": "its `QUOTA_UPDATES`",
    "holder_window_seconds": "its `QUOTA_WINDOW_SECONDS`; 0: an older version, which does not tell it",
    "in_hand": "updates of this replica's leases that are not spent",
    "host": "address that is listened on",
    "letters_pending": "dead letters not yet acknowledged",
    "limit": "updates of the quota",
    "lines": "how many lines of the log",
    "logger": "the library's logger",
    "merged": "whether a change of this visitor waited already",
    "message": "the library's text",
    "name": "of the event that is meant",
    "next_free_seconds": "until the next lease ceases to count",
    "offset": "the record's offset",
    "outcome": "as in the metric `target_connector_events_done_total`",
    "owned": "partitions that the replica owns now",
    "partition": "the record's partition",
    "partitions": "list of `topic/partition`",
    "path": "of the request",
    "percent": "share of the limit",
    "port": "port that is listened on",
    "reason": "one sentence or word, without payload",
    "receipts": "list of `topic/partition@offset+n`: the first record of each partition, and how many are merged",
    "records": "a number of records",
    "remedy": "what a person can do about it",
    "repeated": "how many such lines were left unsaid since the last one",
    "schema": "the id of a schema, or its GUID, as records name it",
    "seconds": "a time span, in seconds",
    "setting": "the variable that is wrong",
    "settings": "every setting in effect, secrets masked",
    "sources": "names of the mapping's sources",
    "stack": "list of `module:line function`, outermost first, without variables",
    "topic": "a topic's name",
    "topics_unmapped": "consumed topics that no source of the mapping names",
    "updates_left": "updates that were not sent",
    "updates_pending": "visitors whose update waits",
    "used": "updates that count in the rolling window, leases in hand included",
    "verdict": "outcome of the request, as in the metric `target_connector_requests_total`",
    "verdicts": "attributes by what `connector verify` judged of them",
    "version": "of the connector",
    "window_seconds": "the rolling window of the quota",
    "visitors": "numbers of visitors, by how far they came",
    "visitor": "the visitor, in the form that `LOG_VISITOR_IDS` says",
}
"""What each field means, wherever it stands."""


def require_listed(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Pass a line whose event is in the list; raise `UnlistedEvent` for another. A structlog processor."""
    name = event.get("event")
    if not isinstance(name, str) or name not in EVENTS:
        msg = f"{name!r} is not in the list of log events"
        raise UnlistedEvent(msg)
    return event


def name_unlisted(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Pass every line, under the name `unlisted_event` if its own is not in the list. A structlog processor."""
    try:
        return require_listed(logger, method, event)
    except UnlistedEvent:
        event.update(name=event.get("event"), event="unlisted_event")
        return event


def add_remedy(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a warning or an error its standing remedy, unless it brings one. A structlog processor."""
    if event.get("level") in _ALARMING and "remedy" not in event:
        listed = EVENTS.get(str(event.get("event")))
        if listed is not None and listed.remedy:
            event["remedy"] = listed.remedy
    return event


def markdown() -> str:
    """The tables of `docs/logging.md`."""
    lines = ["| event | level | fields | meaning |", "|---|---|---|---|"]
    for event in EVENTS.values():
        fields = ", ".join(f"`{field}`" for field in event.fields)
        lines.append(f"| `{event.name}` | {', '.join(event.levels)} | {fields} | {event.meaning} |")
    lines += ["", "| field | meaning |", "|---|---|"]
    lines += [f"| `{field}` | {meaning} |" for field, meaning in sorted(FIELDS.items())]
    return "\n".join(lines) + "\n"
