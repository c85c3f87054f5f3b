"""The meaning of a mapping as a short text: offsets beside which another text stands were done by another meaning."""

import hashlib
import json
from typing import Any

from connector.mapping.model import Condition, Copy, Mapping, Source, Value

MEANING = 2
"""Raised whenever the same mapping may give other changes than before."""


def rules(mapping: Mapping) -> str:
    """Return a text that changes exactly when the meaning of some source does.

    Comments, the order of fields, topics, conditions and sources, and other ways to write the same do not count, nor
    do priorities: they decide when a change is sent, and what was done stays done.
    """
    sources = sorted(json.dumps(_source(source), sort_keys=True) for source in mapping.sources)
    text = json.dumps([MEANING, sources])
    return f"mapping-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _source(source: Source) -> Any:
    return {
        "topics": sorted(source.topics),
        "format": source.format,
        "key": source.key,
        "zeroValues": source.zero_values,
        "when": sorted(json.dumps(_condition(one)) for one in source.when),
        "each": source.each and str(source.each),
        "visitor": {kind: _value(value) for kind, value in source.visitor.items()},
        "occurredAt": source.occurred_at and _value(source.occurred_at),
        "copy": [_copy(copy) for copy in source.copies],
        "attributes": {name: _value(value) for name, value in source.attributes.items()},
    }


def _condition(condition: Condition) -> Any:
    return [str(condition.path), condition.operator, sorted(set(condition.texts)), condition.exists]


def _copy(copy: Copy) -> Any:
    only = None if copy.only is None else sorted(copy.only)
    return [str(copy.path), copy.prefix, only, sorted(copy.leave_out)]


def _value(value: Value) -> Any:
    conversion = value.conversion
    return {
        "paths": [str(path) for path in value.paths],
        "template": [part if isinstance(part, str) else [str(part)] for part in value.template],
        "constant": value.constant,
        "default": value.default,
        "as": conversion and [conversion.form, conversion.scale, conversion.separator],
        "values": None if value.table is None else dict(value.table),
    }
