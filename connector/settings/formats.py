"""What one text setting may hold: pure functions from text to value, which raise `InvalidValue` with the reasons."""

import json
import re
from collections import Counter
from typing import Final
from urllib.parse import urlsplit

from connector.registry.config import RegistryError, check_headers, parse_addresses
from connector.settings.errors import MASK, InvalidValue, quoted
from connector.target.endpoint import unfit_path
from connector.target.statuses import VERDICTS

CLIENT_CODE: Final = "{client_code}"
TENANT_PLACE: Final = "{tenant}"
TENANT: Final = r"[A-Za-z0-9._-]{1,63}"
VISIBLE: Final = r"[\x21-\x7e]+"
URL: Final = r"https?://[^\s#]+"
UPDATE_PATH: Final = r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|\{client_code\}|%[0-9A-Fa-f]{2})*"
TOPIC: Final = r"[A-Za-z0-9._-]{1,249}"
SERVER: Final = r"(?:\[[0-9A-Za-z:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})"
LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST: Final = r"[A-Za-z0-9._:%-]+"
_TOPIC: Final = re.compile(TOPIC)
_SERVER: Final = re.compile(SERVER)
_LABEL: Final = re.compile(LABEL)
_HOST: Final = re.compile(HOST)
_TENANT: Final = re.compile(TENANT)
_VISIBLE: Final = re.compile(VISIBLE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # The last are bytes that are not UTF-8.
_LOGIN: Final = re.compile(r"//[^/,]*@")
_STATUS: Final = re.compile(r"[2-5][0-9]{2}")
_HIGHEST_PORT: Final = 65535


def topic(text: str) -> str:
    """Take one topic name, legal by Kafka's own rule (letters, digits, `.`, `_`, `-`; at most 249 characters)."""
    if text.startswith("^"):
        reason = f"{quoted(text)} is a pattern: which topics count must be known at the start, so name each"
        raise InvalidValue(reason)
    if text in {".", ".."} or not _TOPIC.fullmatch(text):
        reason = f"{quoted(text)} is no topic name" if text else "a name is empty"
        raise InvalidValue(reason)
    return text


def topics(text: str) -> tuple[str, ...]:
    """Split comma-separated topic names; spaces around them do not count."""
    names = tuple(name.strip() for name in text.split(","))
    reasons = [f"{quoted(name)} is named twice" for name, times in Counter(names).items() if name and times > 1]
    for name in dict.fromkeys(names):
        try:
            topic(name)
        except InvalidValue as unfit:
            reasons.extend(unfit.reasons)
    if reasons:
        raise InvalidValue(*reasons)
    return names


def dead_letter_topic(text: str) -> str:
    """Take a topic name, or an empty text, which means: stop instead."""
    return topic(text) if text else ""


def servers(text: str) -> str:
    """Take comma-separated `host:port`, an IPv6 address in brackets; spaces around them do not count."""
    entries = [entry.strip() for entry in text.split(",")]
    reasons = []
    for entry in entries:
        found = _SERVER.fullmatch(entry)
        if not entry:
            reasons.append("a server is empty")
        elif "@" in entry:
            reasons.append("a server holds an @: user and password go in KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
        elif "://" in entry:
            reasons.append(f"{quoted(entry)} has a protocol: that goes in KAFKA_SECURITY_PROTOCOL")
        elif found is None:
            reasons.append(f"{quoted(entry)} is not host:port")
        elif not 1 <= int(found[1]) <= _HIGHEST_PORT:
            reasons.append(f"{quoted(entry)} has no port from 1 to {_HIGHEST_PORT}")
    if reasons:
        raise InvalidValue(*reasons)
    return ",".join(entries)


def label(text: str) -> str:
    """Take one word that can stand in a host name."""
    if not _LABEL.fullmatch(text):
        reason = "it is not one word of a host name"
        raise InvalidValue(reason)
    return text


def host(text: str) -> str:
    """Take an address or a host name to listen on, without a port."""
    if not _HOST.fullmatch(text):
        reason = "it is no address and no host name"
        raise InvalidValue(reason)
    return text


def base_url(text: str) -> str:
    """Take the part of a URL that is before the update path; the slash at its end goes, `{client_code}` stays."""
    if reason := _unfit_url(text, CLIENT_CODE):
        raise InvalidValue(reason)
    return text.rstrip("/")


def ims_url(text: str) -> str:
    """Take a whole URL, its query included."""
    if reason := _unfit_url(text, "", may_query=True):
        raise InvalidValue(reason)
    return text


def token_url(text: str) -> str:
    """Take a whole URL, its query included; `{tenant}` stays."""
    if reason := _unfit_url(text, TENANT_PLACE, may_query=True):
        raise InvalidValue(reason)
    return text


def tenant(text: str) -> str:
    """Take a name that can stand in a path."""
    if not _TENANT.fullmatch(text) or text in {".", ".."}:
        reason = "it is not the name in an Experience Cloud address"
        raise InvalidValue(reason)
    return text


def visible(text: str) -> str:
    """Take one word of visible ASCII."""
    if not _VISIBLE.fullmatch(text):
        reason = "it holds a space, a control character or a letter that is not ASCII" if text else "it is empty"
        raise InvalidValue(reason)
    return text


def update_path(text: str) -> str:
    """Take the path of a URL, as the sender will; `{client_code}` stays."""
    if reason := unfit_path(text):
        raise InvalidValue(reason)
    return text


def word(text: str) -> str:
    """Take a text that is not empty and holds no control character."""
    if not text.strip():
        reason = "it is empty: leave the variable unset instead"
        raise InvalidValue(reason)
    if _CONTROL.search(text):
        reason = "it holds a line break, another control character, or bytes that are not UTF-8"
        raise InvalidValue(reason)
    return text


def text(given: str) -> str:
    """Take a text of several lines that is not empty."""
    if not given.strip():
        reason = "it is empty: leave the variable unset instead"
        raise InvalidValue(reason)
    return given


def registry_urls(given: str) -> str:
    """Take the comma-separated addresses of a Schema Registry; one may hold a user and a password."""
    try:
        parse_addresses(given)
    except RegistryError as error:
        raise InvalidValue(error.failure.reason) from error
    return given


def without_logins(addresses: str) -> str:
    """Give addresses as they may be printed."""
    return _LOGIN.sub(f"//{MASK}@", addresses)


def headers(given: str) -> dict[str, str]:
    """Read the JSON object of SCHEMA_REGISTRY_HEADERS; a reason never holds a value."""
    try:
        read = json.loads(given)
    except (ValueError, RecursionError) as error:
        reason = 'it is no JSON object, such as {"target-sr-cluster": "lsrc-1"}'
        raise InvalidValue(reason) from error
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        reason = "it is no JSON object of texts"
        raise InvalidValue(reason)
    try:
        check_headers(read)
    except RegistryError as error:
        raise InvalidValue(error.failure.reason) from error
    return read


def status_verdicts(given: str) -> dict[int, str]:
    """Read the JSON object of TARGET_STATUS_VERDICTS: from a status of 200 to 599 to one of the verdicts."""
    try:
        # Each object comes as its pairs: of a status that is given twice, a dict would keep one and hide the other.
        pairs = json.loads(given, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        reason = 'it is no JSON object, such as {"404": "unknown_visitor"}'
        raise InvalidValue(reason) from error
    if not given.lstrip().startswith("{"):
        reason = 'it is no JSON object, such as {"404": "unknown_visitor"}'
        raise InvalidValue(reason)
    reasons = []
    for status, verdict in pairs:
        if not _STATUS.fullmatch(status):
            reasons.append(f"{quoted(status)} is no status from 200 to 599")
        if not isinstance(verdict, str) or verdict not in VERDICTS:
            reasons.append(f"what {quoted(status)} means must be one of {', '.join(VERDICTS)}")
    times = Counter(status for status, _ in pairs)
    reasons += [f"{quoted(status)} is named twice" for status, count in times.items() if count > 1]
    if reasons:
        raise InvalidValue(*reasons)
    return {int(status): verdict for status, verdict in pairs}


def secret(text: str) -> str:
    """Take a password; a line break at its end comes from how the secret was made, and would only be refused later."""
    if not text:
        reason = "it is empty: leave the variable unset instead"
        raise InvalidValue(reason)
    if _CONTROL.search(text):
        reason = (
            "it holds a line break (made with echo? printf adds none), a control character, or bytes that are not UTF-8"
        )
        raise InvalidValue(reason)
    return text


def token(text: str) -> str:
    """Take what can stand behind `Bearer` in a header: visible ASCII (RFC 6750, section 2.1, is narrower still)."""
    if not _VISIBLE.fullmatch(secret(text)):
        reason = "it holds a space or a letter that no header can carry"
        raise InvalidValue(reason)
    return text


def no_service_link(text: str) -> str:
    """Refuse what Kubernetes sets for each Service of the namespace, here of one that is called like our prefix."""
    if text.startswith(("tcp://", "udp://", "sctp://")):
        reason = 'it is a Kubernetes service link, not from you: set "enableServiceLinks: false" in the pod\'s spec'
        raise InvalidValue(reason)
    return text


def _unfit_url(text: str, placeholder: str, *, may_query: bool = False) -> str:
    """Say why a text is no URL, or none without a query; empty when it is. `placeholder` may stand in it."""
    filled = text.replace(placeholder, "code") if placeholder else text
    braces = f"it has braces that are not {placeholder}" if placeholder else "it has braces"
    if not _VISIBLE.fullmatch(filled):
        return "it holds a space, a control character or a letter that is not ASCII" if text else "it is empty"
    try:
        parts = urlsplit(filled)
        port = parts.port
    except ValueError:
        return "it has a host or a port that cannot be read"
    checks = (
        (parts.scheme not in {"http", "https"}, "it does not begin with http:// or https://"),
        ("@" in parts.netloc, "it holds a user or a password; a token goes in TARGET_AUTH_TOKEN"),
        (not parts.hostname or not _HOST.fullmatch(parts.hostname), "it has no legal host"),
        (port == 0, "it has port 0"),
        ("#" in filled or ("?" in filled and not may_query), "it holds a query or a fragment"),
        ("{" in filled or "}" in filled, braces),
    )
    return next((reason for wrong, reason in checks if wrong), "")
