"""What a check says and how checks are run: side by side, each within its time, told in their order."""

import asyncio
import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from connector.cli.terminal import printable
from connector.errors import CommandError

T = TypeVar("T")


class State(enum.StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, what was seen, and what to do about it."""

    state: State
    what: str
    detail: str
    remedy: str = ""


def text_line(finding: Finding) -> str:
    """For people: the state first, so that `grep ^failed` is the list of what to do."""
    remedy = f" -> {finding.remedy}" if finding.remedy else ""
    return printable(f"{finding.state:<8} {finding.what}: {finding.detail}{remedy}")


class CheckFailed(CommandError):
    """What a step found, so that what rests on it need not be tried."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


_SLOW = "something on the way swallows what is sent (a firewall?), or the other side is overloaded"

Step = tuple[str, float, Callable[[], Awaitable[Finding | str]]]
"""A name, seconds, and what to do: it gives what it saw, or a whole finding, or raises `CheckFailed`."""


async def in_turn(what: str, steps: Sequence[Step]) -> list[Finding]:
    """Take steps of which each rests on the one before; after the first that fails the others are skipped."""
    findings: list[Finding] = []
    failed = ""
    for name, seconds, step in steps:
        label = f"{what} {name}"
        if failed:
            findings.append(Finding(State.SKIPPED, label, f"because {failed} failed"))
            continue
        try:
            async with asyncio.timeout(seconds):
                seen = await step()
        except TimeoutError:
            seen = Finding(State.FAILED, label, f"no answer in {seconds:.0f} s", _SLOW)
        except CheckFailed as wrong:
            seen = Finding(State.FAILED, label, wrong.detail, wrong.remedy)
        findings.append(seen if isinstance(seen, Finding) else Finding(State.OK, label, seen))
        if findings[-1].state is State.FAILED:
            failed = name
    return findings


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the list of checks. `needs` are names of some before it, without which there is nothing to ask."""

    name: str
    seconds: float
    ask: Callable[[], Awaitable[Sequence[Finding]]]
    needs: Sequence[str] = ()


async def run_checks(checks: Sequence[Check], seconds: float, say: Callable[[Finding], None]) -> bool:
    """Run all at once, in `seconds` at most; say each finding in the order of the list. True when nothing failed."""
    end = asyncio.get_running_loop().time() + seconds
    tasks: dict[str, asyncio.Task[Sequence[Finding]]] = {}
    for check in checks:
        tasks[check.name] = asyncio.create_task(_run(check, {name: tasks[name] for name in check.needs}, end))
    well = True
    for task in tasks.values():
        for finding in await task:
            well = well and finding.state is not State.FAILED
            say(finding)
    return well


async def _run(check: Check, needed: Mapping[str, asyncio.Task[Sequence[Finding]]], end: float) -> Sequence[Finding]:
    for name, task in needed.items():
        if _is_missing(await task):
            return [Finding(State.SKIPPED, check.name, f"because {name} failed")]
    seconds = max(0.0, min(check.seconds, end - asyncio.get_running_loop().time()))
    try:
        async with asyncio.timeout(seconds):
            return await check.ask()
    except TimeoutError:
        return [Finding(State.FAILED, check.name, f"no answer in {seconds:.0f} s", _SLOW)]
    except CheckFailed as wrong:
        return [Finding(State.FAILED, check.name, wrong.detail, wrong.remedy)]
    except Exception as error:  # noqa: BLE001 - one check that broke must not hide what the others found
        name = type(error).__name__
        return [Finding(State.FAILED, check.name, f"the check itself failed: {name}", "please report it")]


def _is_missing(findings: Sequence[Finding]) -> bool:
    """Whether one failed, or it was not asked at all; of a part that was skipped the rest may do."""
    states = [finding.state for finding in findings]
    return State.FAILED in states or states == [State.SKIPPED]
