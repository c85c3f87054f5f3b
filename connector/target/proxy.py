"""Which proxy leads to the endpoint, found once at start: looking at every request costs as much as sending it."""

from urllib.request import getproxies, proxy_bypass

from yarl import URL

from connector.errors import UnusableSetting
from connector.exchange.logins import basic


class ProxyError(UnusableSetting):
    """A proxy that cannot be used; the message names the variable and holds no password."""


def proxy_for(origin: str) -> str | None:
    """Give the proxy's address for `origin` (scheme, host, port) by the environment, or None for a direct connection.

    Reads HTTPS_PROXY or HTTP_PROXY by the origin's scheme, then ALL_PROXY; NO_PROXY lists hosts, domains and `*`, in
    small or capital letters, as the standard library reads them. An address without a scheme is an http:// one. Its
    user and password are kept in it. Raises `ProxyError`.
    """
    url = URL(origin)
    proxies = getproxies()
    text = proxies.get(url.scheme) or proxies.get("all")
    if not text or proxy_bypass(url.authority):
        return None
    variable = f"{url.scheme.upper()}_PROXY (or ALL_PROXY)"
    try:
        proxy = URL(text if "://" in text else f"http://{text}")
    except ValueError as error:
        msg = "is no address of a proxy"
        raise ProxyError(variable, msg) from error
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        msg = "only http:// and https:// proxies are supported"
        raise ProxyError(variable, msg)
    return str(proxy)


def login(proxy: URL) -> str | None:
    """The header Proxy-Authorization for the user and the password in a proxy's address; None: it has no user."""
    return None if proxy.user is None else basic(proxy.user, proxy.password or "")
