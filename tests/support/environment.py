"""What the tests take from their caller's environment: tools and their caches, and nothing that decides a result."""

import signal
from collections.abc import MutableMapping
from typing import Final

from connector.settings.load import PREFIXES

CHOICES: Final = frozenset({"KAFKA_TEST_CACHE"})
"""The tests' own, where a setting's prefix would take it away."""

MAKE: Final = ("ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "MINUTES", "PYTHON", "SEEDS")
"""The variables of our Makefile, and how make hands them to the make that a test runs."""

TERMINAL: Final = ("CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TTY_COMPATIBLE")
"""How wide and how coloured a command prints, where a test does not say so."""

NETWORK: Final = ("ALL_PROXY", "FTP_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD")
"""Where requests go, in either case. A CGI's REQUEST_METHOD makes Python ignore HTTP_PROXY."""

PYTHON: Final = (
    *("PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "PYTHONHOME", "PYTHONINSPECT", "PYTHONIOENCODING", "PYTHONMALLOC"),
    *("PYTHONOPTIMIZE", "PYTHONPROFILEIMPORTTIME", "PYTHONSTARTUP", "PYTHONTRACEMALLOC", "PYTHONUTF8"),
    *("PYTHONVERBOSE", "PYTHONWARNINGS"),
)
"""How Python behaves, and what it prints besides, in the processes that tests start."""

_NAMES: Final = frozenset({*MAKE, *TERMINAL, *NETWORK, *(name.lower() for name in NETWORK), *PYTHON, "TZ"})
_PREFIXES: Final = (*PREFIXES, "OTEL_")


def restore_interrupt() -> None:
    """Undo that a shell ignores SIGINT for what it runs in the background: children would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def neutralise(environ: MutableMapping[str, str]) -> None:
    """Take away what the caller has set for another purpose."""
    for name in [name for name in environ if name in _NAMES or name.startswith(_PREFIXES)]:
        if name not in CHOICES:
            del environ[name]
