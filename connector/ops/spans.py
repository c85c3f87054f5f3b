"""Joins what producers trace to what Target gets: a span for each request, linked to the trace of each event in it.

A request is for many events of many traces, so it belongs to none of them as a child: it begins a trace of its own and
points back. The only module that knows OpenTelemetry, and it is loaded only where traces are asked for.
"""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.ports import Record
from connector.delivery.update import Update
from connector.events.change import Visitor
from connector.target.render import Request

MAX_LINKS: Final = 32
"""Links of one span: the newest events; of the others the span says how many there were."""
MAX_VISITORS: Final = 2_000
"""Visitors whose links are kept; with a longer backlog of traced events the oldest lose theirs, and nothing else."""
CLOSE_SECONDS: Final = 2.0
"""How long the end of the process waits for a collector to take the last spans."""

_W3C: Final = TraceContextTextMapPropagator()
_HEADERS: Final = ("traceparent", "tracestate")
_ROOT: Final = Context()


@dataclass(slots=True)
class _Links:
    """What one visitor's update will point back to."""

    contexts: deque[SpanContext] = field(default_factory=lambda: deque(maxlen=MAX_LINKS))
    count: int = 0

    def add(self, context: SpanContext) -> None:
        self.contexts.append(context)
        self.count += 1

    def absorb(self, newer: "_Links") -> None:
        self.contexts.extend(newer.contexts)
        self.count += newer.count


class Spans:
    """An observer of the pipeline; it runs on the event loop, and the SDK exports from a thread of its own."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("connector")
        self._waiting: OrderedDict[Visitor, _Links] = OrderedDict()
        self._carried: OrderedDict[Visitor, _Links] = OrderedDict()
        """By an update that was sent and is not settled: a retry carries the same events again."""
        self._open: dict[Visitor, Span] = {}

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:  # noqa: ARG002 - merged is for logs
        """Keep the trace of the record, if it has one that somebody samples."""
        context = _context(record)
        if context is not None:
            _keep(self._waiting, visitor, self._waiting.get(visitor) or _Links()).add(context)

    def sent(self, update: Update, request: Request) -> None:
        """Begin the span of this attempt, with all that the update carries by now."""
        visitor = update.visitor
        links = self._carried.get(visitor)
        newer = self._waiting.pop(visitor, None)
        if links is not None and newer is not None:
            links.absorb(newer)
        links = links or newer
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "messaging.batch.message_count": update.records,
            "target_connector.attempt": update.attempts + 1,
        }
        if links is not None:
            _keep(self._carried, visitor, links)
            if left_out := links.count - len(links.contexts):
                attributes["target_connector.links_left_out"] = left_out
        self._open[visitor] = self._tracer.start_span(
            "send profile update",
            context=_ROOT,
            kind=SpanKind.CLIENT,
            links=[Link(context) for context in links.contexts] if links is not None else None,
            attributes=attributes,
        )

    def answered(self, update: Update, answer: Answer) -> None:
        """End the attempt's span."""
        span = self._open.pop(update.visitor)
        span.set_attribute("target_connector.outcome", answer.verdict.value)
        if answer.verdict is not Verdict.ACCEPTED:
            span.set_status(StatusCode.ERROR, answer.reason)
        span.end()

    def settled(self, update: Update, how: Done) -> None:  # noqa: ARG002 - either way nothing is sent again
        """Forget what it carried."""
        self._carried.pop(update.visitor, None)

    def close(self) -> None:
        """Export what is left, for a bounded time: a collector that hangs must not hold up the end."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def exporting(version: str) -> Spans:
    """Spans that go to a collector, set up by the standard's own variables."""
    resource = Resource.create({SERVICE_VERSION: version})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "target-profile-connector"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)


def _keep(kept: OrderedDict[Visitor, _Links], visitor: Visitor, links: _Links) -> _Links:
    kept[visitor] = links
    if len(kept) > MAX_VISITORS:
        kept.popitem(last=False)
    return links


def _context(record: Record) -> SpanContext | None:
    """The W3C trace context in the record's headers; anybody may have written them, so anything may stand there."""
    headers = record.headers()
    if not headers:
        return None
    carrier = {name: value for name, value in headers if name in _HEADERS and value is not None}
    if "traceparent" not in carrier:
        return None
    texts = {name: value.decode("ascii", "replace") for name, value in carrier.items()}
    context = get_current_span(_W3C.extract(texts, _ROOT)).get_span_context()
    return context if context.is_valid and context.trace_flags.sampled else None
