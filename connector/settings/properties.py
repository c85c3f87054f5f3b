"""Which librdkafka properties KAFKA_PROPERTIES may carry: none that breaks what is promised or has its own variable."""

import json
import re
from collections.abc import Mapping
from typing import Final, NoReturn

from pydantic import Secret

from connector.settings.errors import MASK, InvalidValue, quoted

SECURITY: Final = {
    "security.protocol": "kafka_security_protocol",
    "sasl.mechanism": "kafka_sasl_mechanism",
    "sasl.username": "kafka_sasl_username",
    "sasl.password": "kafka_sasl_password",
    "ssl.ca.location": "kafka_ssl_ca_location",
    "ssl.certificate.location": "kafka_ssl_certificate_location",
    "ssl.key.location": "kafka_ssl_key_location",
    "ssl.key.password": "kafka_ssl_key_password",
}
"""librdkafka's name to our field, for what a secured cluster needs."""

OWN_VARIABLE: Final = {
    **{name: field.upper() for name, field in SECURITY.items()},
    "sasl.mechanisms": "KAFKA_SASL_MECHANISM",
    "bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "KAFKA_BOOTSTRAP_SERVERS",
    "group.id": "KAFKA_GROUP_ID",
    "group.protocol": "KAFKA_GROUP_PROTOCOL",
    "group.instance.id": "KAFKA_GROUP_INSTANCE_ID",
    "auto.offset.reset": "KAFKA_AUTO_OFFSET_RESET",
}

_COMMITS: Final = "the connector itself commits an offset, and only when every record before it is done"
_INTERVAL: Final = f"{_COMMITS}; how often: COMMIT_INTERVAL_SECONDS"
_ACKS: Final = "a dead letter counts only when all in-sync replicas have it, once"
_AGAIN: Final = "the connector itself writes again what was not acknowledged, for as long as that takes"
REFUSED: Final = {
    "enable.auto.commit": _COMMITS,
    "auto.commit.enable": _COMMITS,
    "auto.commit.interval.ms": _INTERVAL,
    "enable.auto.offset.store": _COMMITS,
    "offset.store.method": _COMMITS,
    "offset.store.path": _COMMITS,
    "offset.store.sync.interval.ms": _INTERVAL,
    "partition.assignment.strategy": "the connector hands partitions over one at a time, as cooperative-sticky does",
    "enable.partition.eof": "the connector learns by it that it has read a log to its end",
    "acks": _ACKS,
    "request.required.acks": _ACKS,
    "enable.idempotence": _ACKS,
    "delivery.timeout.ms": _AGAIN,
    "message.timeout.ms": _AGAIN,
    "statistics.interval.ms": "the connector itself looks at them, to notice a client that librdkafka has given up",
    "transactional.id": "the connector uses no transactions: an update that Target accepted cannot be rolled back",
}
REFUSED_SHAPES: Final = (
    (re.compile(r".*_cb|logger|on_commit|on_delivery|default\.topic\.config"), "it takes code, and a variable is text"),
    (re.compile(r"test\.mock\..*"), "it puts a broker made of nothing in the place of yours"),
)
MILLISECONDS: Final = ("session.timeout.ms", "max.poll.interval.ms")
"""The connector itself reckons with these; all others are librdkafka's to judge, when the clients are made."""
WHOLE: Final = re.compile(r"[0-9]{1,10}")
ISOLATION: Final = ("read_committed", "read_uncommitted")
_UNFIT_FOR_C: Final = re.compile(r"[\x00\ud800-\udfff]")
_SECRET: Final = re.compile(r"password|secret|key|token|jaas", re.IGNORECASE)


class Properties(Secret[Mapping[str, str]]):
    """Property to value, both text as librdkafka takes them; printed, what may be a secret is masked."""

    def _display(self) -> str:
        return json.dumps({name: MASK if is_secret(name) else v for name, v in self.get_secret_value().items()})


def is_secret(name: str) -> bool:
    """Whether a property of this name may hold a secret."""
    return _SECRET.search(name) is not None


def properties(text: str) -> dict[str, str]:
    """Read the JSON object of KAFKA_PROPERTIES; a number keeps its written form.

    Raises `InvalidValue` with a reason for each property that is refused; a reason never holds a value.
    """
    try:
        # Each object comes as its pairs: of a name that is given twice, a dict would keep one and hide the other.
        pairs = json.loads(text, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        place = f" at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        reason = f"it is not JSON{place}"
        raise InvalidValue(reason) from None  # The cause holds the whole text, which may hold a secret.
    if not isinstance(pairs, _Pairs):
        reason = "it is JSON, but no object"
        raise InvalidValue(reason)
    names = [name for name, _ in pairs]
    reasons = [f"{quoted(name)} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    reasons += [reason for name, value in pairs if (reason := _unfit(name, value))]
    if reasons:
        raise InvalidValue(*reasons)
    return {name: _as_text(value) for name, value in pairs}


class _Pairs(list[tuple[str, object]]):
    """A JSON object as it was written, told apart from a JSON array."""


def _no_constant(_name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python's reader would take although JSON has none."""
    raise ValueError


def _unfit(name: str, value: object) -> str:
    """Say why this property is not taken; empty when it is."""
    why = ""
    if variable := OWN_VARIABLE.get(name):
        why = f"has its own variable, {variable}"
    elif refusal := REFUSED.get(name) or next((text for shape, text in REFUSED_SHAPES if shape.fullmatch(name)), ""):
        why = f"is refused: {refusal}"
    elif not isinstance(value, str | bool):
        why = "is neither text nor a number nor true or false"
    elif _UNFIT_FOR_C.search(str(value)):
        why = "holds a NUL, where the value would end, or half a surrogate pair"
    elif name == "isolation.level" and value not in ISOLATION:
        why = f"is neither {ISOLATION[0]} nor {ISOLATION[1]}"
    elif name in MILLISECONDS and not WHOLE.fullmatch(str(value)):
        why = "is no whole number of milliseconds, such as 45000"
    return why and f"{quoted(name)} {why}"


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
