"""What a sandbox can be told at its start, in one frozen value."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connector.sandbox.fault_text import Fault
from connector.sandbox.rules import PathForm

DAY_SECONDS: Final = 86_400.0


class BodyForm(StrEnum):
    """Which of the two known success bodies is sent."""

    XML = "xml"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class TokenServiceConfig:
    """Who may have profile tokens of Adobe's token services, how long each is good, and the faults of these services.

    The credentials are no secret: they open nothing but a sandbox.
    """

    life_seconds: float
    tenant: str = "sandbox-tenant"
    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - as above
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """Every option of the sandbox.

    port: 0 picks a free one. path: what the segment before `profile/update` may be. token: the bearer token asked for,
    None for none. faults: the plan at the start, which the sandbox's own API can replace. quota: a fault of kind quota,
    which stays when the plan is replaced. update_only, override, expire_after_seconds: see ProfileStore. seed: of every
    random draw. body: the success body. log_limit: requests kept in the log, the oldest go first. window_seconds: of
    the rolling window whose fullest count is reported. token_service: Adobe's token services, None for none; then
    `token` is the profile token that there is at the start.
    """

    host: str = "127.0.0.1"
    port: int = 0
    client_code: str = "demo"
    path: PathForm = PathForm.LITERAL
    token: str | None = None
    faults: tuple[Fault, ...] = ()
    quota: Fault | None = None
    update_only: bool = False
    override: bool = False
    expire_after_seconds: float | None = None
    seed: int = 0
    body: BodyForm = BodyForm.XML
    log_limit: int = 2_000_000
    window_seconds: float = DAY_SECONDS
    token_service: TokenServiceConfig | None = None
