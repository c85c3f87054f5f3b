"""Traces are sent to a collector that may never answer."""

import socket
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider

from connector.ops.spans import CLOSE_SECONDS, exporting
from tests.support.captured_logs import captured_logs

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"


def test_a_collector_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes kills after the grace time, and the connector must commit its offsets before."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(COLLECTOR, f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "6")
        with captured_logs():
            spans = exporting("1")
            provider = spans._provider  # noqa: SLF001 - a span to export, without a pipeline
            assert isinstance(provider, TracerProvider)
            provider.get_tracer("x").start_span("y").end()
            began = time.monotonic()
            spans.close()
            assert time.monotonic() - began < CLOSE_SECONDS + 3
