"""The status page: one document with its style and scripts inside, and the policy that lets a browser run just these.

It loads nothing but `/status`, so it also works behind `kubectl port-forward`, a proxy with a path of its own, and
without the internet.
"""

import base64
import hashlib
from importlib.resources import files
from typing import Final

_SCRIPTS: Final = ("words.js", "charts.js", "page.js")
"""In the order in which they build on each other."""


def _read(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _document() -> tuple[bytes, str]:
    page, style = _read("page.html"), _read("page.css")
    scripts = [_read(name) for name in _SCRIPTS]
    page = page.replace("{style}", style).replace(
        "{scripts}", "\n".join(f"<script>{script}</script>" for script in scripts)
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {' '.join(map(_hash, scripts))}; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return page.encode(), policy


PAGE, POLICY = _document()
"""The document, and the Content-Security-Policy that belongs to it: what is not in it by hash does not run."""
