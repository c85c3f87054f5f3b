"""What the header Authorization says, and which tokens of an endpoint can stand in it."""

import pytest

from connector.exchange.logins import basic, read_token


def test_a_login_is_utf_8() -> None:
    """RFC 7617 names it; aiohttp's own Latin-1 has no form for many letters."""
    assert basic("ü", "p:w") == "Basic w7w6cDp3"


@pytest.mark.parametrize(
    ("body", "token"),
    [
        ('{"access_token": "abc", "expires_in": 300, "token_type": "Bearer"}', ("abc", 300.0)),
        ('{"access_token": "abc", "expires_in": "300"}', ("abc", 300.0)),
        ('{"access_token": "abc"}', ("abc", None)),
        ('{"access_token": "a\\nb"}', None),
        ('{"access_token": ""}', None),
        ('{"access_token": "abc", "expires_in": "soon"}', None),
        ("<html>", None),
        ("", None),
    ],
)
def test_an_access_token(body: str, token: object) -> None:
    """What cannot stand in a header is none."""
    assert read_token(body.encode()) == token
