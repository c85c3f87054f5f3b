"""What a sandbox can be told at its start, in one frozen value: Adobe's rules, choices where it is silent, faults."""

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


class UnknownVisitor(StrEnum):
    """What an update of a visitor without a profile is answered: no source says."""

    SUCCESS = "success"
    NOT_FOUND = "not_found"
    """404, in the words of the profile fetch."""
    FALSE = "false"
    """200 with a body that says `false`, as the bulk API fails."""


class WrongPath(StrEnum):
    """What the other form of the path is answered: no source says."""

    REFUSE = "refuse"
    SUCCESS = "success"
    """A success, and nothing is updated."""


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

    Of the server: port (0 picks a free one), token (the bearer token asked for, None for none), log_limit (requests
    kept in the log, the oldest go first), window_seconds (of the rolling window whose fullest count is reported), seed
    (of every random draw).

    Adobe's rules of profiles (documented): update_only, expire_after_seconds, session_seconds, override, ignore_empty,
    value_limit, each in ProfileRules. fetch_quota: a quota of fetches. utc_offset_minutes: of the times in a fetch.

    Choices where Adobe is silent: path (what the segment before `profile/update` may be), wrong_path, unknown_visitor,
    body (the success body).

    Faults: faults (the plan at the start, which the sandbox's own API can replace), quota (a fault of kind quota, which
    stays when the plan is replaced). token_service: Adobe's token services, None for none; then `token` is the profile
    token that there is at the start.
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
    session_seconds: float | None = None
    ignore_empty: bool = False
    value_limit: int | None = None
    fetch_quota: Fault | None = None
    utc_offset_minutes: int = 0
    wrong_path: WrongPath = WrongPath.REFUSE
    unknown_visitor: UnknownVisitor = UnknownVisitor.SUCCESS
    seed: int = 0
    body: BodyForm = BodyForm.XML
    log_limit: int = 2_000_000
    window_seconds: float = DAY_SECONDS
    token_service: TokenServiceConfig | None = None
