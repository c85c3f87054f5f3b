"""`connector sandbox`: the sandbox Target alone on a port, to point a connector, a test or curl at."""

import argparse
import re

from connector.cli.numbers import whole
from connector.cli.sandbox.serve import serve
from connector.sandbox.config import (
    DAY_SECONDS,
    BodyForm,
    SandboxConfig,
    TokenServiceConfig,
    UnknownVisitor,
    WrongPath,
)
from connector.sandbox.fault_text import Fault, FaultTextError, parse_fault
from connector.sandbox.rules import PathForm
from connector.settings.errors import InvalidValue
from connector.settings.formats import topics

TOPICS = ("profile-changes", "target-profile-connector.dead-letter")
"""Of the embedded broker; what a connector on default settings needs."""

_MOST_OFFSET_HOURS = 23

_EXAMPLE = """\
example:
  connector sandbox --port 8099 --fault status=503,p=0.1,retry_after=1 --fault delay=0.2 --quota 1000/60
  KAFKA_BOOTSTRAP_SERVERS=localhost:9092 KAFKA_TOPICS=profile-changes TARGET_CLIENT_CODE=demo \\
    TARGET_BASE_URL=http://127.0.0.1:8099 connector run
  connector sandbox --kafka-port 19092
  connector sandbox --update-only --expire-after 1209600 --session 1800 --empty-values ignore --value-limit 256 \\
    --time-offset=-04:00 --fault lag=60-3600 --fault lost,p=0.001

faults, each as kind[=value][,option=value...]:
  status=503  delay=0.2  drop  lost_answer  hang=60  false  xml=500  json=500  html=502  empty
  redirect=/elsewhere  unauthorized_after=30  quota=1000/60  fetch=503
faults of what is done with an accepted update, which no answer shows:
  lag=60  lag=60-3600  lost  reordered  overwritten=60
options of a fault:
  p=0.1  limit=5  visitors=1%  visitors=part-of-an-id  start=10  end=20  retry_after=1  status=503
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "sandbox",
        help="run the sandbox Target alone, with faults and limits as options",
        description="A stand-in for Adobe Target's profile update endpoint that holds its clients to the rules.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    count = whole("whole number, 0 or more", 0)
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add(
        "--port",
        type=whole("port (0 to 65535)", 0, 65_535),
        default=8099,
        help="port, 0 for a free one (default: %(default)s)",
    )
    add("--client-code", default="demo", help="the account's client code (default: %(default)s)")
    add(
        "--path",
        choices=[form.value for form in PathForm],
        default=PathForm.LITERAL.value,
        help="what stands before /profile/update: the documented word client, the client code, or either "
        "(default: %(default)s)",
    )
    add("--token", help="ask for this bearer token (default: none)")
    add(
        "--token-life",
        type=_seconds,
        metavar="SECONDS",
        help="be IMS and Target's token service too, for `connector token`: each profile token ends after this "
        "time, a new one ends the former one, and updates need it (default: off)",
    )
    add(
        "--token-fault",
        type=_fault,
        action="append",
        default=[],
        metavar="FAULT",
        help="a fault of these services; may be given several times",
    )
    add("--fault", type=_fault, action="append", default=[], help="a fault to show; may be given several times")
    add("--quota", type=_quota, metavar="N/SECONDS", help="answer 429 over N requests in any window of SECONDS")
    _add_profile_rules(parser)
    add(
        "--body",
        choices=[form.value for form in BodyForm],
        default=BodyForm.XML.value,
        help="form of the success body (default: %(default)s)",
    )
    add("--seed", type=count, default=0, help="seed of the faults' random draws (default: %(default)s)")
    add("--log-limit", type=count, default=2_000_000, help="requests kept in the log (default: %(default)s)")
    add(
        "--kafka-port",
        type=whole("port (0 to 65535)", 0, 65_535),
        metavar="PORT",
        help="also run an embedded Kafka broker on this port of 127.0.0.1, 0 for a free one; it keeps all in memory",
    )
    add(
        "--kafka-topics",
        type=_topics,
        default=TOPICS,
        metavar="NAMES",
        help="its topics, with commas between (default: profile-changes and the connector's dead letters)",
    )


def _add_profile_rules(parser: argparse.ArgumentParser) -> None:
    """Adobe's rules of profiles, each off by default; and what no source says, as the milder case by default."""
    rules = parser.add_argument_group("rules of profiles, as Adobe documents them for this or a neighbouring API")
    add = rules.add_argument
    add("--update-only", action="store_true", help="only visitors registered by POST /sandbox/visitors get a profile")
    add("--expire-after", type=_seconds, metavar="SECONDS", help="profiles expire without a visit (default: never)")
    add(
        "--session",
        type=_seconds,
        metavar="SECONDS",
        help="a visit lasts this long: until then an update of a new visitor finds nothing, and at its end the "
        "session's data replaces what is stored of an mbox3rdPartyId (default: no sessions; Adobe's are 1800)",
    )
    add(
        "--consecutive",
        choices=["merge", "override"],
        default="merge",
        help="what an update of an mbox3rdPartyId does to earlier ones since the last visit (default: %(default)s)",
    )
    add("--empty-values", choices=["keep", "ignore"], default="keep", help="of attributes (default: %(default)s)")
    add(
        "--value-limit",
        type=whole("number of characters, 1 or more", 1),
        metavar="N",
        help="cut longer values (default: none; a page's are cut at 256)",
    )
    add("--fetch-quota", type=_quota, metavar="N/SECONDS", help="refuse profile fetches over N in any SECONDS")
    add(
        "--time-offset",
        type=_offset,
        default=0,
        metavar="HH:MM",
        help="from UTC, of the times in a fetched profile, as in --time-offset=-04:00 (default: UTC)",
    )
    silent = parser.add_argument_group("where Adobe is silent")
    silent.add_argument(
        "--unknown-visitor",
        choices=[each.value for each in UnknownVisitor],
        default=UnknownVisitor.SUCCESS.value,
        help="the answer to an update that finds no profile: success, 404, or 200 with `false` (default: %(default)s)",
    )
    silent.add_argument(
        "--wrong-path",
        choices=[each.value for each in WrongPath],
        default=WrongPath.REFUSE.value,
        help="the answer to the other form of the path; by success nothing is updated (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM: 0 then, 1 if an address cannot be had."""
    quota: Fault | None = args.quota
    config = SandboxConfig(
        host=args.host,
        port=args.port,
        client_code=args.client_code,
        path=PathForm(args.path),
        token=args.token,
        faults=tuple(args.fault),
        quota=quota,
        update_only=args.update_only,
        override=args.consecutive == "override",
        expire_after_seconds=args.expire_after,
        session_seconds=args.session,
        ignore_empty=args.empty_values == "ignore",
        value_limit=args.value_limit,
        fetch_quota=args.fetch_quota,
        utc_offset_minutes=args.time_offset,
        wrong_path=WrongPath(args.wrong_path),
        unknown_visitor=UnknownVisitor(args.unknown_visitor),
        seed=args.seed,
        body=BodyForm(args.body),
        log_limit=args.log_limit,
        window_seconds=DAY_SECONDS if quota is None else quota.seconds,
        token_service=(
            None if args.token_life is None else TokenServiceConfig(args.token_life, faults=tuple(args.token_fault))
        ),
    )
    return serve(config, args.kafka_port, args.kafka_topics)


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except FaultTextError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _topics(text: str) -> tuple[str, ...]:
    try:
        return topics(text)
    except InvalidValue as unfit:
        raise argparse.ArgumentTypeError("; ".join(unfit.reasons)) from unfit


def _quota(text: str) -> Fault:
    return _fault(f"quota={text}")


def _offset(text: str) -> int:
    """Minutes east of UTC."""
    found = re.fullmatch(r"([+-]?)(\d{2}):([0-5]\d)", text)
    if found is None or int(found[2]) > _MOST_OFFSET_HOURS:
        message = f"{text!r} is no offset from UTC, such as -04:00 or 05:30"
        raise argparse.ArgumentTypeError(message)
    minutes = int(found[2]) * 60 + int(found[3])
    return -minutes if found[1] == "-" else minutes


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        message = f"{text!r} is no number of seconds above 0"
        raise argparse.ArgumentTypeError(message)
    return seconds
