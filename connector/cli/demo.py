"""`connector demo`: the main job on embedded defaults, with a sum at the end that has to come out even."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from connector.cli.event_loop import loop_factory
from connector.cli.numbers import whole
from connector.demo.reconcile import Report
from connector.demo.run import PAGE_PORT, DemoConfig, DemoFailed, Watch, demo
from connector.demo.view import LiveView, NoView, PlainView, View

_EXAMPLE = """\
example:
  connector demo
  connector demo --faults --events 50000 --visitors 5000
  connector demo --format json
  connector demo --keep

Everything runs on this machine: an embedded broker, a sandbox Target, and the real connector as a process of its own.
"""
_REAL = """\
The broker was embedded and Target a sandbox. For your own, set at least
  KAFKA_BOOTSTRAP_SERVERS, KAFKA_TOPICS, TARGET_CLIENT_CODE
(and TARGET_AUTH_TOKEN_FILE where the account asks for a token), then `connector run`. `connector settings` has all."""

TERMINATED = 128 + signal.SIGTERM


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Say what can be asked for."""
    parser = subparsers.add_parser(
        "demo",
        help="the whole job on embedded broker and sandbox, in a minute",
        description="Send generated events through a real connector to a sandbox Target, and compare the profiles.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    count = whole("whole number from 1 to 1000000000", 1, 1_000_000_000)
    parser.add_argument("--events", type=count, default=20_000, help="events to generate (default %(default)s)")
    parser.add_argument("--visitors", type=count, default=2_000, help="visitors among them (default %(default)s)")
    parser.add_argument("--faults", action="store_true", help="with errors, malformed events and a crash")
    parser.add_argument(
        "--seed", type=whole("whole number, 0 or more", 0), default=1, help="of every random draw (default %(default)s)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help=f"leave the connector and its status page up until Ctrl-C, on port {PAGE_PORT} if that is free",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json: only one last JSON line")


def run(args: argparse.Namespace) -> int:
    """Run it; 0 only if it reconciles."""
    config = DemoConfig(args.events, args.visitors, args.faults, args.seed)
    folder = Path(tempfile.mkdtemp(prefix="connector-demo-"))
    needed = False
    try:
        report = _run(config, folder, _view(args.format), args.format if args.keep else None)
        needed = not report.reconciles
    except DemoFailed as failed:
        needed = True
        sys.stderr.write(f"{failed}\nThe whole log is in {folder}\n")
        return 1
    except asyncio.CancelledError:
        return TERMINATED
    finally:
        if not needed:
            shutil.rmtree(folder, ignore_errors=True)
    if not args.keep:
        sys.stdout.write(report.line() + "\n" if args.format == "json" else f"{_sum(report)}\n{_REAL}\n")
    if needed:
        sys.stderr.write(f"{_failings(report)}; the connector's log is in {folder}\n")
    return 1 if needed else 0


def _view(form: str) -> View:
    if form == "json":
        return NoView(sys.stdout)
    # A terminal that cannot move its cursor cannot draw over itself; and rich takes FORCE_COLOR for a terminal.
    board = sys.stdout.isatty() and Console(file=sys.stdout).is_interactive
    return LiveView(sys.stdout) if board else PlainView(sys.stdout)


def _run(config: DemoConfig, folder: Path, view: View, kept: str | None) -> Report:
    """Run it; `kept` is the form of the sum if the connector is to stay up until Ctrl-C, else None."""

    async def until_told() -> Report:
        task = asyncio.current_task()
        if task is not None:
            # Else the connector would outlive us. Ctrl-C is the runner's own; nohup ignores SIGHUP, and so do we.
            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await demo(config, folder, view, None if kept is None else _keep(view, kept))

    with view, asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(until_told())


def _keep(view: View, form: str) -> Watch:
    async def until_ctrl_c(report: Report, page: str) -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, ended.set)
        if form == "json":
            sys.stdout.write(report.line() + "\n")
            sys.stdout.flush()
        else:
            view.say(f"{_sum(report)}\nThe connector stays up, its status page is {page}; Ctrl-C ends it.")
        await ended.wait()
        loop.remove_signal_handler(signal.SIGINT)

    return until_ctrl_c


def _failings(report: Report) -> str:
    return (
        f"it does not reconcile: {report.lost} values lost, {report.wrong} wrong, {report.violations} broken API rules"
    )


def _sum(report: Report) -> str:
    verdict = "It reconciles." if report.reconciles else "IT DOES NOT RECONCILE."
    return (
        f"\n  events in            {report.events:>9,}\n"
        f"  updates accepted     {report.updates:>9,}\n"
        f"  calls saved          {report.saved:>9,}   by coalescing ({report.saved / report.events:.0%})\n"
        f"  requests             {report.requests:>9,}   retries included\n"
        f"  dead letters         {report.dead_letters:>9,}   malformed events\n"
        f"  lost                 {report.lost:>9,}\n"
        f"  wrong values         {report.wrong:>9,}\n"
        f"  broken API rules     {report.violations:>9,}\n\n{verdict}\n"
    )
