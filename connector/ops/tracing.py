"""Whether traces are asked for, by the variables of the OpenTelemetry standard; else nothing of it is loaded."""

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote

from connector.errors import Fatal
from connector.ops.logs import learn

if TYPE_CHECKING:
    from connector.ops.spans import Spans

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
"""Collectors take their keys in these."""
_SPOKEN = "http/protobuf"
_REFUSED = "settings_refused"


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether a collector is named, and tracing is not switched off. Raises Fatal for what cannot be done."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or exporter == "none" or not any(environment.get(name) for name in _ENDPOINTS):
        return False
    if exporter not in {"", "otlp"}:
        raise Fatal(
            _REFUSED,
            f"was {exporter}, and only otlp is supported",
            "set it to otlp, or to none for no traces",
            setting="OTEL_TRACES_EXPORTER",
        )
    protocol = next((text for name in _PROTOCOLS if (text := environment.get(name, "").strip().lower())), _SPOKEN)
    if protocol != _SPOKEN:
        raise Fatal(
            _REFUSED,
            f"was {protocol}, and only {_SPOKEN} is supported",
            f"set it to {_SPOKEN}, or OTEL_TRACES_EXPORTER to none for no traces",
            setting=_PROTOCOLS[1],
        )
    return True


def tracing(environment: Mapping[str, str], version: str) -> "Spans | None":
    """Spans if they are asked for. Raises Fatal when they are and cannot be had."""
    if not wanted(environment):
        return None
    try:
        from connector.ops.spans import exporting  # noqa: PLC0415 - an extra, which need not be installed
    except ImportError as missing:
        name = next(name for name in _ENDPOINTS if environment.get(name))
        raise Fatal(
            _REFUSED,
            "asks for traces, and the packages for them are not installed",
            "install target-profile-connector[otel], or set OTEL_TRACES_EXPORTER to none",
            setting=name,
        ) from missing
    for name in _HEADERS:
        for pair in environment.get(name, "").split(","):
            learn(unquote(pair.partition("=")[2].strip()), lasting=True)
    return exporting(version)
