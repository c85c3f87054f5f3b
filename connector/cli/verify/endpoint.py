"""The endpoint as the settings name it, for the command's fetches and its two updates."""

from dataclasses import dataclass
from typing import Final

from connector import __version__
from connector.service import open_token
from connector.settings import Settings
from connector.target.endpoint import endpoint
from connector.target.profile import PROFILES_PATH
from connector.target.profile_fetch import FetchConfig
from connector.target.proxy import proxy_for
from connector.target.sender import SenderConfig

LITERAL: Final = "/m2/client/profile/update"
CODE: Final = "/m2/{client_code}/profile/update"
"""The known forms of the path: Adobe's page has the first, some integrations the second."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How to fetch, how to send, and the paths of updates, all by the settings."""

    fetching: FetchConfig
    sending: SenderConfig
    configured: str
    literal: str
    code: str


def open_endpoint(settings: Settings) -> Endpoint:
    """Raise TokenError or UnusableSetting where the settings cannot be used."""

    def path_of(text: str) -> str:
        return endpoint(settings.target_base_url, text, settings.target_client_code).path

    where = endpoint(settings.target_base_url, PROFILES_PATH, settings.target_client_code)
    agent = f"target-profile-connector/{__version__}"
    token, proxy = open_token(settings), proxy_for(where.origin)
    return Endpoint(
        FetchConfig(
            origin=where.origin,
            path=where.path,
            client_code=settings.target_client_code,
            user_agent=agent,
            timeout_seconds=settings.target_timeout_seconds,
            token=token,
            proxy=proxy,
        ),
        SenderConfig(
            origin=where.origin,
            user_agent=agent,
            timeout_seconds=settings.target_timeout_seconds,
            token=token,
            proxy=proxy,
        ),
        configured=path_of(settings.target_update_path),
        literal=path_of(LITERAL),
        code=path_of(CODE),
    )
