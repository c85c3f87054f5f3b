"""`connector token`: Target's profile token, kept from ending, without a person."""

import argparse
import asyncio
import json
import os
import random
import re
import ssl
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from connector.cli.moments import utc_text
from connector.cli.numbers import number
from connector.cli.settings import print_mistakes
from connector.cli.units import span
from connector.errors import ConnectorError, UnusableSetting
from connector.settings import BadSettings, Settings, load_part

if TYPE_CHECKING:
    from connector.cli import Subparsers
    from connector.cli.token.renew import Done
    from connector.cli.token.store import Store
    from connector.target.profile_token.client import Credentials

WEEK: Final = 604_800.0
LONGEST: Final = 31_536_000.0
BAD_SETTINGS: Final = 2
_SECRET_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_TENANT: Final = "{tenant}"
_SECRET: Final = "TARGET_TOKEN_CLIENT_SECRET"  # noqa: S105 - the name of a variable
_SECRET_FILE: Final = "TARGET_TOKEN_CLIENT_SECRET_FILE"  # noqa: S105 - likewise
NAMES: Final = (
    "TARGET_TENANT",
    "TARGET_TOKEN_CLIENT_ID",
    _SECRET,
    _SECRET_FILE,
    "TARGET_TOKEN_SCOPE",
    "TARGET_TOKEN_IMS_URL",
    "TARGET_TOKEN_URL",
    "TARGET_TIMEOUT_SECONDS",
)
"""The settings that it reads."""

_EXAMPLE: Final = """\
example:
  export TARGET_TENANT=acmeinc TARGET_TOKEN_CLIENT_ID=… TARGET_TOKEN_CLIENT_SECRET_FILE=/run/secrets/client
  connector token --check
  connector token --file /run/secrets/target/token

Run it by a timer, once a day, and only in one place: a new token ends the one before at once, for every holder. One is
made only if there is none, or it ends within --renew-before. The connector reads the file that TARGET_AUTH_TOKEN_FILE
names again when it changes. The token is never printed.
Exit code 0: there is a token, and it is stored; 1: it cannot be had or stored, with what to do; 2: bad settings.
"""


def add_parser(subparsers: "Subparsers") -> None:
    """Add the command's parser."""
    parser = subparsers.add_parser(
        "token",
        help="gets Target's profile token, and renews it before it ends",
        description="Gets Target's profile token by OAuth client credentials of Adobe's IMS, and stores it.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--file", type=Path, metavar="PATH", help="store it in this file (mode 0600), and its end in PATH.expires"
    )
    where.add_argument(
        "--secret",
        type=_secret_name,
        metavar="NAME",
        help="store it in this Kubernetes Secret of the Pod's namespace, keys token and token.expires",
    )
    where.add_argument("--check", action="store_true", help="only print when it ends; nothing is made or stored")
    parser.add_argument(
        "--renew-before",
        type=number(f"number of seconds from 0 to {LONGEST:.0f}", 0, LONGEST),
        default=WEEK,
        metavar="SECONDS",
        help="have a new one made when it ends within these seconds (default: 604800, a week)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="a line (default), or a JSON object")


def run(args: argparse.Namespace) -> int:
    """Get it, store it, and say when it ends."""
    try:
        settings = load_part(os.environ, NAMES, _needs(os.environ))
    except BadSettings as bad:
        print_mistakes(bad, sys.stderr)
        return BAD_SETTINGS
    try:
        done = asyncio.run(_run(settings, args))
    except UnusableSetting as wrong:
        sys.stderr.write(f"{wrong}\n")
        return BAD_SETTINGS
    except ConnectorError as error:
        sys.stderr.write(f"token: {error}\n")
        return 1
    now = time.time()
    sys.stdout.write((_json(done, now) if args.format == "json" else _line(done, now)) + "\n")
    if done.made and done.expires is not None and done.expires - now <= args.renew_before:
        sys.stderr.write("token: the new token ends within --renew-before, so each run makes another: set it lower\n")
    return 0


def _needs(environ: Mapping[str, str]) -> Iterable[str]:
    if _TENANT in environ.get("TARGET_TOKEN_URL", _TENANT):
        yield "TARGET_TENANT"
    yield "TARGET_TOKEN_CLIENT_ID"
    if _SECRET_FILE not in environ:
        yield _SECRET


async def _run(settings: Settings, args: argparse.Namespace) -> "Done":
    # Wrong settings are said before the HTTP client is loaded.
    from connector import __version__  # noqa: PLC0415
    from connector.cli.token.renew import look, renew  # noqa: PLC0415
    from connector.exchange.exchange import Exchange  # noqa: PLC0415
    from connector.target.profile_token.client import AdobeTokenService  # noqa: PLC0415
    from connector.target.proxy import proxy_for  # noqa: PLC0415

    rng = random.Random()
    store = None if args.check else _store(args, rng)
    credentials = _credentials(settings)
    exchange = Exchange(
        user_agent=f"target-profile-connector/{__version__}",
        timeout_seconds=settings.target_timeout_seconds,
        context=ssl.create_default_context(),
        proxy=proxy_for,
    )
    try:
        service = AdobeTokenService(credentials, exchange, time.time)
        if store is None:
            return await look(service, rng, time.time)
        return await renew(service, store, args.renew_before, rng, time.time)
    finally:
        await exchange.close()


def _store(args: argparse.Namespace, rng: random.Random) -> "Store":
    if args.file is not None:
        from connector.cli.token.token_file import TokenFile  # noqa: PLC0415 - as above

        return TokenFile(args.file)
    from connector.cli.token.kubernetes_secret import KubernetesSecret, in_cluster  # noqa: PLC0415

    return KubernetesSecret(args.secret, in_cluster(os.environ), rng)


def _credentials(settings: Settings) -> "Credentials":
    """What is set, the secret by value or by file. Raises TokenError, which says only what is wrong with the file."""
    from connector.target.profile_token.client import Credentials  # noqa: PLC0415 - as above
    from connector.target.token import read_word  # noqa: PLC0415

    value = settings.target_token_client_secret
    if value is None:
        _, secret = read_word(settings.target_token_client_secret_file or Path(), "the client secret")
    return Credentials(
        ims_url=settings.target_token_ims_url,
        token_url=settings.token_url,
        client_id=settings.target_token_client_id or "",
        client_secret=secret if value is None else value.get_secret_value(),
        scope=settings.target_token_scope,
    )


def _line(done: "Done", now: float) -> str:
    said = "its end is not told"
    if done.expires is not None:
        said = f"valid until {_moment(done.expires)}, for {span(max(0.0, done.expires - now))}"
    if not done.place:
        return f"token: {said}"
    how = "made now" if done.made else "kept"
    return f"token: {said}; {how}; {'written to' if done.written else 'unchanged in'} {done.place}"


def _json(done: "Done", now: float) -> str:
    expires, left = None, None
    if done.expires is not None:
        expires, left = _moment(done.expires), round(done.expires - now, 3)
    return json.dumps({"expires": expires, "expires_seconds": left, "made": done.made, "written": done.written})


def _moment(seconds: float) -> str:
    return utc_text(int(seconds * 1_000))


def _secret_name(text: str) -> str:
    if not _SECRET_NAME.fullmatch(text):
        msg = f"{text[:64]!r} is no name of a Secret (small letters, digits, dots and dashes)"
        raise argparse.ArgumentTypeError(msg)
    return text
