"""The environment decides which proxy is used, as in other programs."""

import pytest

from connector.target.proxy import ProxyError, proxy_for

ORIGIN = "https://mycompany.tt.omtrdc.net"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Start without any proxy variable of the machine."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    # Without it macOS would use the system's own settings.
    monkeypatch.setenv("ftp_proxy", "http://unused:1")
    return monkeypatch


def test_without_a_variable_the_connection_is_direct() -> None:
    """The usual case."""
    assert proxy_for(ORIGIN) is None


@pytest.mark.parametrize(
    ("name", "value", "origin", "expected"),
    [
        ("HTTPS_PROXY", "http://proxy:3128", ORIGIN, "http://proxy:3128"),
        ("https_proxy", "proxy:3128", ORIGIN, "http://proxy:3128"),
        ("HTTPS_PROXY", "https://user:p%40ss@proxy", ORIGIN, "https://user:p%40ss@proxy"),
        ("ALL_PROXY", "http://proxy:3128", ORIGIN, "http://proxy:3128"),
        ("HTTP_PROXY", "http://proxy:3128", ORIGIN, None),
        ("http_proxy", "http://proxy:3128", "http://127.0.0.1:8080", "http://proxy:3128"),
    ],
)
def test_the_variable_for_the_scheme_decides(
    environment: pytest.MonkeyPatch, name: str, value: str, origin: str, expected: str | None
) -> None:
    """HTTPS_PROXY for https, HTTP_PROXY for http, ALL_PROXY for both."""
    environment.setenv(name, value)
    assert proxy_for(origin) == expected


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [
        ("*", True),
        ("mycompany.tt.omtrdc.net", True),
        (".omtrdc.net", True),
        ("localhost, omtrdc.net", True),
        ("other.net", False),
        ("", False),
    ],
)
def test_no_proxy_makes_exceptions(environment: pytest.MonkeyPatch, exceptions: str, direct: bool) -> None:  # noqa: FBT001
    """Hosts and whole domains."""
    environment.setenv("HTTPS_PROXY", "http://proxy:3128")
    environment.setenv("NO_PROXY", exceptions)
    assert (proxy_for(ORIGIN) is None) is direct


@pytest.mark.parametrize(
    "value", ["socks5://user:hidden@proxy:1080", "http://", "http://user:hidden@proxy:99999", "ftp://x"]
)
def test_a_proxy_that_cannot_be_used_is_refused_at_start(environment: pytest.MonkeyPatch, value: str) -> None:
    """It must not be bypassed; and its password stays out of the message."""
    environment.setenv("HTTPS_PROXY", value)
    with pytest.raises(ProxyError, match="HTTPS_PROXY") as caught:
        proxy_for(ORIGIN)
    assert "hidden" not in str(caught.value)
