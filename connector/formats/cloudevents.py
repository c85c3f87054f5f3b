"""CloudEvents: the attributes, and `data` decoded, alike whether the event is binary or structured."""

import base64
import binascii
from collections.abc import Callable
from typing import Final

from connector.events.change import Refused
from connector.formats.document import VALUE, Node, RawHeaders, header_text, refused_header
from connector.formats.json_tree import read_json

_PREFIX: Final = "ce_"
_CONTENT_TYPE: Final = "content-type"
_STRUCTURED: Final = "application/cloudevents"
_BATCH: Final = "application/cloudevents-batch"
_BASE64: Final = "data_base64"
_VERSION: Final = "specversion"
_JSON: Final = "application/json"

ReadFramed = Callable[[bytes, RawHeaders], tuple[bool, Node]]
"""Reads what a registry's frame describes; says whether there was one."""


class CloudEventReader:
    """Reads records of the Kafka binding of CloudEvents 1.0, binary and structured."""

    def __init__(self, read_framed: ReadFramed) -> None:
        self._read_framed = read_framed

    def __call__(self, data: bytes, headers: RawHeaders) -> Node:
        """Return the event with its attributes and `data`; None when it has no data."""
        attributes = _attributes(headers)
        content_type = attributes.get("datacontenttype")
        media = _media(content_type)
        if media.startswith(_BATCH):
            raise Refused(VALUE, "must be one event, and is a batch of CloudEvents")
        if media.startswith(_STRUCTURED) or _VERSION not in attributes:
            return self._structured(data, media, headers)
        _check_version(attributes[_VERSION])
        if not data:
            return None
        node = self._data(data, media, headers)
        return None if node is None else {**attributes, "data": node}

    def _structured(self, data: bytes, media: str, headers: RawHeaders) -> Node:
        if media.startswith(_STRUCTURED) and media not in (_STRUCTURED, f"{_STRUCTURED}+json"):
            raise Refused(VALUE, f"must be a CloudEvent in JSON, and its content type is {media[:60]}")
        is_framed, event = self._read_framed(data, headers)
        if not is_framed:
            event = read_json(VALUE, data)
        if type(event) is list:
            raise Refused(VALUE, "must be one event, and is a batch of CloudEvents")
        if type(event) is not dict or _VERSION not in event:
            raise Refused(VALUE, "must be a CloudEvent: neither header ce_specversion nor field specversion is there")
        _check_version(event[_VERSION])
        binary = event.pop(_BASE64, None)
        if binary is not None:
            event["data"] = self._from_base64(binary, event.get("datacontenttype"))
        return event if event.get("data") is not None else None

    def _from_base64(self, text: Node, content_type: Node) -> Node:
        try:
            if type(text) is not str:
                raise ValueError  # noqa: TRY301 - one refusal for both
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refused(_BASE64, "must be base64") from None
        return self._data(data, _media(content_type if type(content_type) is str else None), None)

    def _data(self, data: bytes, media: str, headers: RawHeaders) -> Node:
        is_framed, node = self._read_framed(data, headers)
        if is_framed:
            return node
        if media == _JSON or media.endswith(("+json", "/json")):
            return read_json(VALUE, data)
        if media.startswith("text/"):
            try:
                return data.decode()
            except UnicodeDecodeError as error:
                raise Refused(VALUE, f"must be UTF-8, and is not at byte {error.start}") from None
        if "avro" in media or "protobuf" in media:
            raise Refused(VALUE, f"must begin with a registry's schema id, since its content type is {media[:60]}")
        return data


def _attributes(headers: RawHeaders) -> dict[str, Node]:
    """Return what the headers say of the event; `Refused` names one that comes twice or is no text."""
    attributes: dict[str, Node] = {}
    for header, data in headers or ():
        if header.startswith(_PREFIX):
            name = header[len(_PREFIX) :]
        elif len(header) == len(_CONTENT_TYPE) and header.lower() == _CONTENT_TYPE:
            name = "datacontenttype"
        else:
            continue
        if data is None:
            continue
        if name in attributes:
            raise refused_header(header, "must not be there twice")
        attributes[name] = header_text(header, data)
    return attributes


def _media(content_type: Node) -> str:
    """Return the media type without parameters, in lower case; JSON where there is none, as the standard says."""
    return content_type.partition(";")[0].strip().lower() if type(content_type) is str else _JSON


def _check_version(version: Node) -> None:
    if type(version) is not str or not version.startswith("1."):
        raise Refused(_VERSION, "must be 1.0")
