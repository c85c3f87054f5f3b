"""What the tests keep of their caller's environment: tools and their caches, and nothing that decides a result."""

import signal
from collections.abc import MutableMapping
from typing import Final

from connector.settings.load import PREFIXES

CHOICES: Final = frozenset({"KAFKA_TEST_CACHE"})
"""The tests' own, which a setting's prefix would otherwise remove."""

MAKE: Final = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "MINUTES", "PYTHON", "SEEDS")
"""The variables of our Makefile, and those by which make passes them to a make that a test runs."""

TERMINAL: Final = ("CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE")
"""Width and colour of a command's output, where a test does not set them."""

NETWORK: Final = ("ALL_PROXY", "FTP_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD")
"""Proxy variables, in either case. A CGI's REQUEST_METHOD makes Python ignore HTTP_PROXY."""

PYTHON: Final = (
    *("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONINSPECT"),
    *("PYTHONIOENCODING", "PYTHONMALLOC", "PYTHONOPTIMIZE", "PYTHONPROFILEIMPORTTIME", "PYTHONSTARTUP"),
    *("PYTHONTRACEMALLOC", "PYTHONUTF8", "PYTHONVERBOSE", "PYTHONWARNINGS"),
)
"""Variables that change Python's behaviour and output in the processes that tests start.

Without bytecode, each of them would compile our modules again, and each worker the tests.
"""

_NAMES: Final = frozenset({*MAKE, *TERMINAL, *NETWORK, *(name.lower() for name in NETWORK), *PYTHON, "TZ"})
_PREFIXES: Final = (*PREFIXES, "OTEL_")


def restore_interrupt() -> None:
    """Undo that a shell ignores SIGINT for what it runs in the background: children would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def neutralise(environ: MutableMapping[str, str]) -> None:
    """Remove variables that the caller has set for another purpose."""
    for name in [name for name in environ if name in _NAMES or name.startswith(_PREFIXES)]:
        if name not in CHOICES:
            del environ[name]
