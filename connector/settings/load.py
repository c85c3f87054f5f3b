"""From the environment to `Settings`: all mistakes in one go, so that a start needs one correction, not five."""

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from connector.settings.conflicts import Conflict, conflicts
from connector.settings.describe import SettingDoc, describe
from connector.settings.errors import MASK, BadSettings, InvalidValue, Mistake
from connector.settings.model import Settings

PREFIXES: Final = (
    "KAFKA_",
    "TARGET_",
    "COALESCE_",
    "EVENT_",
    "SCHEMA_REGISTRY_",
    "RETRY_",
    "DEAD_LETTER_",
    "PRIORITY_",
    "QUOTA_",
    "COMMIT_",
    "SHUTDOWN_",
    "OPS_",
    "LOG_",
)
_FIELDS: Final = {field.upper(): field for field in Settings.model_fields}
# What Kubernetes sets in every container for each Service of the namespace ("enableServiceLinks"): nobody wrote it.
_SERVICE_LINK: Final = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_[A-Z]+)?)")
_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://.*")
_ALIKE: Final = 0.75
_MAY_HOLD_SECRETS: Final = ("KAFKA_PROPERTIES", "SCHEMA_REGISTRY_HEADERS")


def load(environ: Mapping[str, str]) -> Settings:
    """Make the settings of an environment, and read nothing else. Raises `BadSettings` with every mistake."""
    given = {field: environ[name] for name, field in _FIELDS.items() if name in environ}
    wrong = {}
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): problem for problem in error.errors(include_url=False)}
        settings = Settings.model_validate(_stand_in(given, wrong))
    mistakes = [mistake for field, problem in wrong.items() for mistake in _of_field(field, problem, environ)]
    mistakes += [
        _of_conflict(conflict, environ) for conflict in conflicts(settings) if not wrong.keys() & conflict.fields
    ]
    mistakes += _unknown(environ)
    if mistakes:
        raise BadSettings(mistakes)
    return settings


def load_part(environ: Mapping[str, str], names: Container[str], needs: Iterable[str]) -> Settings:
    """Make settings of which the caller reads only `names`; the rest is neither looked at nor asked for.

    What is required of the service and not among them has the value of its example. Raises `BadSettings` with every
    mistake, a missing one of `needs` among them.
    """
    missing = [_missing(_docs()[name], environ) for name in needs if name not in environ]
    rest = {name: doc.example for name, doc in _docs().items() if doc.required and name not in names}
    read = {name: text for name, text in environ.items() if name in names or name not in _docs()}
    try:
        settings = load({**read, **rest})
    except BadSettings as bad:
        raise BadSettings([*missing, *bad.mistakes]) from None
    if missing:
        raise BadSettings(missing)
    return settings


@cache
def _docs() -> Mapping[str, SettingDoc]:
    """Every setting by its variable. Made for mistakes only: the model's schema takes longer than all else here."""
    return {doc.name: doc for doc in describe()}


def _stand_in(given: Mapping[str, str], wrong: Container[str]) -> dict[str, str]:
    """Put an example or the default in the place of what is wrong, so that the rest can still be held together."""
    examples = {
        field: doc.example for name, field in _FIELDS.items() if field in wrong and (doc := _docs()[name]).required
    }
    return {field: text for field, text in given.items() if field not in wrong} | examples


def _of_field(field: str, error: ErrorDetails, environ: Mapping[str, str]) -> Iterator[Mistake]:
    doc = _docs()[field.upper()]
    if error["type"] == "missing":
        yield _missing(doc, environ)
        return
    cause = error.get("ctx", {}).get("error")
    for reason in cause.reasons if isinstance(cause, InvalidValue) else ("",):
        yield Mistake(doc.name, was=_shown(doc, environ), reason=reason, allowed=doc.allowed)


def _missing(doc: SettingDoc, environ: Mapping[str, str]) -> Mistake:
    # A name outside our prefixes is nobody's mistake, unless it is all but the name of what is missing.
    alike = difflib.get_close_matches(doc.name, [n for n in environ if not n.startswith(PREFIXES)], 1, 0.85)
    about = doc.description[0].lower() + doc.description[1:].rstrip(".")
    hint = f" ({alike[0]} is set: a misspelling?)" if alike else ""
    example = f"; for example {doc.name}={doc.example}" if doc.example else ""
    return Mistake(doc.name, reason=f"missing{hint}; {about}{example}")


def _of_conflict(conflict: Conflict, environ: Mapping[str, str]) -> Mistake:
    doc = _docs()[conflict.fields[0].upper()]
    return Mistake(doc.name, was=_shown(doc, environ), reason=conflict.reason)


def _shown(doc: SettingDoc, environ: Mapping[str, str]) -> str | None:
    """Give the value as it may be printed: an @ in an address may stand behind a password."""
    text = environ.get(doc.name)
    if text is None:
        return None
    return MASK if doc.secret or doc.name in _MAY_HOLD_SECRETS or "@" in text else text


def _unknown(environ: Mapping[str, str]) -> Iterator[Mistake]:
    """Find names that are meant for us and are no setting. Their values are not shown: it may be a secret's name."""
    for name in sorted(environ):
        if name in _FIELDS or _is_service_link(name, environ[name]):
            continue
        if name.upper() in _FIELDS:
            yield Mistake(name, reason="not a setting: names are upper case", nearest=name.upper())
        elif name.startswith(PREFIXES):
            yield _misspelt(name)


def _misspelt(name: str) -> Mistake:
    nearest = difflib.get_close_matches(name, _FIELDS, 1, 0.0)[0]
    if difflib.SequenceMatcher(None, name, nearest).ratio() >= _ALIKE:
        return Mistake(name, reason="not a setting", nearest=nearest)
    return Mistake(name, reason=f"not a setting; the nearest is {nearest}, else unset it")


def _is_service_link(name: str, value: str) -> bool:
    return bool(_SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_URL.fullmatch(value)))
