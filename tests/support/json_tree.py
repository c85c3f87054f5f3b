"""JSON read in the plainest exact way: the oracle of what is faster, and a reader for tests of what comes after."""

import json
from typing import Any

from connector.events import Refused


def plain(value: bytes) -> Any:
    """Return the tree, numbers as they are written; refuse what is no JSON by RFC 8259."""
    try:
        tree = json.loads(value.decode(), parse_int=_integer, parse_float=str, parse_constant=_no_constant)
        json.dumps(tree, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        record = "(record)"
        raise Refused(record, "must be valid JSON") from error
    return tree


def _integer(text: str) -> int | str:
    return text if text == "-0" or len(text) > 4_300 else int(text)


def _no_constant(name: str) -> Any:
    raise ValueError(name)
