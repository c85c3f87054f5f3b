"""The endpoint's address: a mistake in three settings is found at start, not by a million requests."""

import pytest

from connector.target.endpoint import Endpoint, EndpointError, endpoint

BASE = "https://{client_code}.tt.omtrdc.net"
PATH = "/m2/client/profile/update"


@pytest.mark.parametrize(
    ("base_url", "path", "code", "expected"),
    [
        (BASE, PATH, "mycompany", Endpoint("https://mycompany.tt.omtrdc.net", PATH)),
        (
            BASE,
            "/m2/{client_code}/profile/update",
            "a-b_1",
            Endpoint("https://a-b_1.tt.omtrdc.net", "/m2/a-b_1/profile/update"),
        ),
        (
            "http://127.0.0.1:8080",
            "/m2/{client_code}",
            "a b/ü",
            Endpoint("http://127.0.0.1:8080", "/m2/a%20b%2F%C3%BC"),
        ),
        ("http://[::1]:80/gateway/", PATH, "x", Endpoint("http://[::1]", "/gateway" + PATH)),
        ("https://gw.example/{client_code}", "/u%20p", "x", Endpoint("https://gw.example", "/x/u%20p")),
        ("HTTPS://Target.Example", "/", "x", Endpoint("https://target.example", "/")),
    ],
)
def test_the_settings_compose_to_an_address(base_url: str, path: str, code: str, expected: Endpoint) -> None:
    """The client code stands where the placeholder is, encoded as the place wants it."""
    assert endpoint(base_url, path, code) == expected


@pytest.mark.parametrize(
    ("base_url", "path", "code", "variable"),
    [
        (BASE, PATH, "", "TARGET_CLIENT_CODE"),
        (BASE, PATH, "evil.example/", "TARGET_CLIENT_CODE"),
        (BASE, PATH, "a.b", "TARGET_CLIENT_CODE"),
        (BASE, PATH, "-a", "TARGET_CLIENT_CODE"),
        (BASE, PATH, "a" * 64, "TARGET_CLIENT_CODE"),
        ("http://h", PATH, "a\r\nb", "TARGET_CLIENT_CODE"),
        ("http://h", "/{client_code}/x", "..", "TARGET_CLIENT_CODE"),
        ("target.example", PATH, "x", "TARGET_BASE_URL"),
        ("ftp://target.example", PATH, "x", "TARGET_BASE_URL"),
        ("https://", PATH, "x", "TARGET_BASE_URL"),
        ("https://h:99999", PATH, "x", "TARGET_BASE_URL"),
        ("https://user:secret@h", PATH, "x", "TARGET_BASE_URL"),
        ("https://h?a=b", PATH, "x", "TARGET_BASE_URL"),
        ("https://h#a", PATH, "x", "TARGET_BASE_URL"),
        ("https://h/{code}", PATH, "x", "TARGET_BASE_URL"),
        ("http://h", "m2/update", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/a?b=c", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/a#b", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/a b", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/a%2", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/a\r\nX: y", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/a/../b", "x", "TARGET_UPDATE_PATH"),
        ("http://h", "/{clientcode}/b", "x", "TARGET_UPDATE_PATH"),
    ],
)
def test_an_invalid_address_is_refused_by_the_name_of_its_variable(
    base_url: str, path: str, code: str, variable: str
) -> None:
    """The message begins with the variable, and never holds a password."""
    with pytest.raises(EndpointError) as caught:
        endpoint(base_url, path, code)
    assert str(caught.value).startswith(variable)
    assert "secret" not in str(caught.value)
