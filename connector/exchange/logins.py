"""What the header Authorization says: a user and a password, or a token of a token endpoint. Pure."""

import base64

import msgspec


def basic(user: str, password: str) -> str:
    """A user and a password in UTF-8, which RFC 7617 names; for what is ASCII any encoding gives the same."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: float | str | None = None


def read_token(body: bytes) -> tuple[str, float | None] | None:
    """The access token of RFC 6749, section 5.1, and its life in seconds, if said; None: there is none to be used."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
        life = None if answer.expires_in is None else float(answer.expires_in)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return None
    return (answer.access_token, life) if is_bearer(answer.access_token) else None


def is_bearer(token: str) -> bool:
    """Whether it can stand behind `Bearer` in a header: one word of visible ASCII."""
    return bool(token) and token.isascii() and token.isprintable() and " " not in token
