"""What a failure on the way to the endpoint means: a table from aiohttp's exceptions to answers.

An error's own text is not used: it may hold the address, and with it the visitor's id.
"""

from collections.abc import Sequence
from typing import Final

import aiohttp
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from connector.delivery.answer import Answer, Verdict
from connector.target.connections import is_without_files
from connector.target.statuses import PROXY_REFUSED

FIELD_BYTES = 16_384
"""The longest header that is read: gateways add cookies and policies, and 8 KB of one is a usual limit of servers."""
FIELDS = 500
"""The most headers that are read."""

FAILURES: Final = (aiohttp.ClientError, OSError, ValueError)
"""OSError and ValueError are for what slips through aiohttp's own tree: TLS, and headers that its parser lets pass."""

_NO_FILES: Final = Answer(
    Verdict.UNAVAILABLE,
    "this process may open no more files; raise its limit (ulimit -n), or lower TARGET_MAX_IN_FLIGHT",
    reached=False,
    local=True,
)
_TOO_LARGE: Final = Answer(
    Verdict.UNAVAILABLE,
    f"the answer has a header beyond {FIELD_BYTES:,} bytes, or more than {FIELDS} of them; it may have been applied",
)


def _unreached(reason: str, verdict: Verdict = Verdict.UNAVAILABLE) -> Answer:
    return Answer(verdict, reason, reached=False)


_TABLE: Final[Sequence[tuple[type[Exception], Answer]]] = (
    (
        aiohttp.ConnectionTimeoutError,
        _unreached(
            "no connection in half of TARGET_TIMEOUT_SECONDS; look at the network, the proxy and TARGET_BASE_URL",
            Verdict.TIMEOUT,
        ),
    ),
    (TimeoutError, Answer(Verdict.TIMEOUT, "no whole answer within TARGET_TIMEOUT_SECONDS; it may have been applied")),
    (aiohttp.ClientProxyConnectionError, _unreached("the proxy cannot be reached; look at HTTPS_PROXY")),
    (aiohttp.ClientConnectorDNSError, _unreached("the host name is not known; look at TARGET_CLIENT_CODE")),
    (
        aiohttp.ClientConnectorCertificateError,
        _unreached("the certificate is not trusted; SSL_CERT_FILE names a CA of your own"),
    ),
    (
        aiohttp.ClientConnectorError,
        _unreached("the connection was refused or its TLS failed; look at TARGET_BASE_URL"),
    ),
    (
        aiohttp.ClientPayloadError,
        Answer(Verdict.UNAVAILABLE, "the answer's body broke off; it may have been applied"),
    ),
    (
        aiohttp.ClientResponseError,
        Answer(Verdict.UNAVAILABLE, "the answer is no valid HTTP; look whether TARGET_BASE_URL is the API"),
    ),
)
"""The first row that fits holds, so what is more special comes first."""
_BROKE_OFF: Final = Answer(Verdict.UNAVAILABLE, "the connection broke off before the answer; it may have been applied")


def failed(error: Exception) -> Answer:
    """Give the answer for a failure that is one of `FAILURES`."""
    if is_without_files(error):
        return _NO_FILES
    if isinstance(error, aiohttp.ClientHttpProxyError):
        verdict = Verdict.UNAUTHORIZED if error.status == PROXY_REFUSED else Verdict.UNAVAILABLE
        return _unreached(f"the proxy answered HTTP {error.status}; look at HTTPS_PROXY", verdict)
    if _is_too_large(error):
        return _TOO_LARGE
    return next((answer for kind, answer in _TABLE if isinstance(error, kind)), _BROKE_OFF)


def _is_too_large(error: Exception) -> bool:
    """Whether the answer's head went beyond what is read; aiohttp tells it by the cause's cause."""
    cause = error.__cause__ and error.__cause__.__cause__
    return isinstance(cause, LineTooLong) or (isinstance(cause, BadHttpMessage) and "Too many" in cause.message)
