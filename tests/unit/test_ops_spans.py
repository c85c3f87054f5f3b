"""Traces show which events a request carried; without tracing they cost nothing and break nothing."""

import asyncio
import logging
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from connector.delivery.answer import Answer, Verdict
from connector.delivery.ports import Headers
from connector.errors import Fatal
from connector.events.change import Visitor
from connector.ops.spans import MAX_LINKS, MAX_VISITORS, Spans
from connector.ops.tracing import tracing, wanted
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeRecord, FakeSender, event, names
from tests.support.virtual_time import run

(P0,) = names(1)
COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
FINE, LATE = Answer(Verdict.ACCEPTED), Answer(Verdict.TIMEOUT, "no answer in 10 s")


class TracedRecord(FakeRecord):
    """A record with trace headers."""

    def __init__(self, value: bytes, offset: int, headers: Headers | None) -> None:
        super().__init__(value, offset)
        self._headers = headers

    def headers(self) -> Headers | None:
        return self._headers


def parent(number: int, *, sampled: bool = True) -> list[tuple[str, bytes | None]]:
    """The headers of the event with this number, as OpenTelemetry's instrumentation of a producer writes them."""
    return [("traceparent", f"00-{number + 1:032x}-{number + 1:016x}-{sampled:02x}".encode()), ("tracestate", b"a=b")]


def append(log: FakeLog, visitor: str, headers: Headers | None) -> None:
    """Append a record of this visitor."""
    records = log.records.setdefault(P0, [])
    records.append(TracedRecord(event(visitor, **{f"a{len(records)}": 1}), len(records), headers))


def traced() -> tuple[Spans, InMemorySpanExporter]:
    """The SDK itself, exporting into memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider), exporter


def linked(span: ReadableSpan) -> list[int]:
    """Numbers of the events that a span links to."""
    return sorted(link.context.trace_id - 1 for link in span.links)


def deliver(answers: Sequence[Answer], *headers: Headers | None) -> Sequence[ReadableSpan]:
    """The spans of one visitor's events until all are done."""
    spans, exporter = traced()

    async def main() -> None:
        log = FakeLog()
        for each in headers:
            append(log, "v", each)
        sender = FakeSender(lambda _visitor, _attributes, number: (answers[min(number, len(answers)) - 1], 0.5))
        async with Bench(log, sender, observers=[spans]) as bench:
            await bench.settle(600)

    run(main())
    return exporter.get_finished_spans()


def test_the_one_request_links_to_every_event_that_it_carries() -> None:
    """As a child it could belong to one of them alone, and the other events' traces would end in Kafka."""
    (span,) = deliver([FINE], parent(0), parent(1), None, parent(2))
    assert linked(span) == [0, 1, 2]
    assert span.parent is None
    assert span.context is not None
    assert span.context.trace_id not in {1, 2, 3}
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "messaging.batch.message_count": 4,
        "target_connector.attempt": 1,
        "target_connector.outcome": "accepted",
    }
    assert next(iter(span.links)).context.trace_state.get("a") == "b"


def test_a_retry_is_a_span_of_its_own_with_the_same_links() -> None:
    """The failed attempts explain a late event."""
    first, second = deliver([LATE, FINE], parent(0), parent(1))
    assert linked(first) == linked(second) == [0, 1]
    assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "no answer in 10 s")
    assert second.status.status_code is StatusCode.UNSET
    assert [dict(span.attributes or {})["target_connector.attempt"] for span in (first, second)] == [1, 2]


@pytest.mark.parametrize(("answers", "expected"), [([FINE], [[0], [1]]), ([LATE, FINE], [[0], [0, 1]])])
def test_an_event_during_a_request_belongs_to_the_next(answers: list[Answer], expected: list[list[int]]) -> None:
    """A request must not link to an event that it did not carry; after a failure the next one carries both."""
    spans, exporter = traced()

    async def main() -> None:
        log = FakeLog()
        append(log, "v", parent(0))
        sender = FakeSender(lambda _visitor, _attributes, number: (answers[min(number, len(answers)) - 1], 5.0))
        async with Bench(log, sender, observers=[spans]) as bench:
            await asyncio.sleep(3)
            append(log, "v", parent(1))
            bench.source.feed()
            await bench.settle(600)

    run(main())
    assert [linked(span) for span in exporter.get_finished_spans()] == expected


def test_visitors_do_not_get_each_others_links() -> None:
    """After the end nothing is kept."""
    spans, exporter = traced()

    async def main() -> None:
        log = FakeLog()
        for number in range(6):
            append(log, f"v{number % 3}", parent(number))
        async with Bench(log, observers=[spans]) as bench:
            await bench.settle(600)
            for number in range(3):
                append(log, f"v{number}", None)
            bench.source.feed()
            await bench.settle(600)

    run(main())
    assert sorted(linked(span) for span in exporter.get_finished_spans()) == [[], [], [], [0, 3], [1, 4], [2, 5]]


def test_links_of_a_span_are_bounded_and_the_rest_is_counted() -> None:
    """A visitor with a thousand events would make a span that no collector accepts."""
    (span,) = deliver([FINE], *(parent(number) for number in range(100)))
    assert linked(span) == list(range(100 - MAX_LINKS, 100))
    assert dict(span.attributes or {})["target_connector.links_left_out"] == 100 - MAX_LINKS


def test_kept_links_are_bounded_in_total() -> None:
    """Invariant 4: a backlog of traced events against a dead endpoint must not fill the memory."""
    spans, _ = traced()
    for number in range(MAX_VISITORS + 50):
        visitor = Visitor("mbox3rdPartyId", str(number))
        spans.taken(TracedRecord(b"", number, parent(number)), visitor, merged=False)
    assert len(spans._waiting) == MAX_VISITORS  # noqa: SLF001 - memory shows nowhere else


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("other", b"x")],
        [("traceparent", None)],
        [("traceparent", b"")],
        [("traceparent", b"\xff\xfe")],
        [("traceparent", b"00-00000000000000000000000000000000-0000000000000000-01")],
        parent(7, sampled=False),
        [("traceparent", b"nonsense")],
    ],
)
def test_invalid_or_unsampled_headers_make_no_link(headers: Headers | None) -> None:
    """Any producer may write headers; and a link to an unsampled trace is useless."""
    (span,) = deliver([FINE], headers)
    assert linked(span) == []


@given(value=st.binary(max_size=80), state=st.binary(max_size=40))
def test_no_header_stops_a_delivery(value: bytes, state: bytes) -> None:
    """The observer runs inside the intake: its exceptions would end the process."""
    spans, _ = traced()
    record = TracedRecord(b"", 0, [("traceparent", value), ("tracestate", state), ("traceparent", value)])
    spans.taken(record, Visitor("pcId", "x"), merged=False)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x", "OTEL_TRACES_EXPORTER": "otlp"}, False),
        ({COLLECTOR: ""}, False),
        ({COLLECTOR: "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({COLLECTOR: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({COLLECTOR: "http://c", "OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({COLLECTOR: "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({COLLECTOR: "http://c", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_a_configured_collector_enables_traces(environment: dict[str, str], *, expected: bool) -> None:
    """The standard's own variables, which operators set for every service at once."""
    assert wanted(environment) is expected


@pytest.mark.parametrize(
    "environment",
    [
        {COLLECTOR: "http://c", "OTEL_TRACES_EXPORTER": "zipkin"},
        {COLLECTOR: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {COLLECTOR: "http://c", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
    ],
)
def test_an_unsupported_configuration_is_refused(environment: dict[str, str]) -> None:
    """Else an operator would search for missing traces."""
    with pytest.raises(Fatal, match="none") as caught:
        wanted(environment)
    assert caught.value.failure.event == "settings_refused"


def test_traces_without_the_packages_are_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra may be missing, and an ImportError does not name it."""
    monkeypatch.delitem(sys.modules, "connector.ops.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert tracing({}, "1") is None
    with pytest.raises(Fatal, match=r"target-profile-connector\[otel\]") as caught:
        tracing({COLLECTOR: "http://c"}, "1")
    assert caught.value.failure.event == "settings_refused"


def test_a_collectors_key_is_in_no_line() -> None:
    """It is in a variable of the standard, and libraries log what they send."""
    with captured_logs() as logs:
        spans = tracing({COLLECTOR: "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=very%20hush,y=1"}, "1")
        assert spans is not None
        logging.getLogger("lib").error("sent very hush")
        assert logs.lines[-1]["message"] == "sent [secret]"
        spans.close()
