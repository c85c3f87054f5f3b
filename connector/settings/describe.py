"""The settings told to people and tools: a list, a JSON Schema, a page, and the effective values, masked."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue, SecretStr

from connector.settings.errors import MASK
from connector.settings.model import Settings

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ABOUT: Final = (
    "Each property is an environment variable. A number is written out in the variable; a text stands as it is. "
    "Secrets are shown masked."
)
_TYPES: Final = {"integer": "whole number", "number": "number", "string": "text"}


@dataclass(frozen=True, slots=True)
class SettingDoc:
    """One setting for people. `default` is the text of the default, or what it follows from; empty: there is none."""

    name: str
    type: str
    unit: str
    default: str
    allowed: str
    description: str
    required: bool
    secret: bool
    example: str


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of the variables; `masked` settings are valid by it."""
    made = Settings.model_json_schema()
    return {
        "$schema": _DIALECT,
        "title": made["title"],
        "description": _ABOUT,
        "type": "object",
        "properties": {name.upper(): _flat(field) for name, field in made["properties"].items()},
        "required": [name.upper() for name in made["required"]],
        "additionalProperties": False,
    }


def describe() -> list[SettingDoc]:
    """Give every setting in the order of the model."""
    schema = json_schema()
    return [_doc(name, field, required=name in schema["required"]) for name, field in schema["properties"].items()]


def masked(settings: Settings) -> dict[str, JsonValue]:
    """Give the effective settings by variable, for a log line or a status page: defaults filled in, no secrets."""
    filled: dict[str, JsonValue] = {
        "kafka_topics": ",".join(settings.kafka_topics),
        "kafka_dead_letter_topic": settings.dead_letter_topic or "",
        "quota_topic": settings.ledger_topic,
        "quota_horizon_seconds": settings.quota_horizon,
        "target_base_url": settings.base_url,
        "target_update_path": settings.update_path,
    }
    return {
        name.upper(): filled[name] if name in filled else _plain(getattr(settings, name))
        for name in Settings.model_fields
    }


def markdown() -> str:
    """Give the page `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Every setting is an environment variable; names are upper case. A wrong value, a missing one, or a misspelt",
        "name ends `connector run` with code 2 and one line for each mistake. A file (certificate, key, token) that",
        "cannot be used at the start ends it with code 1, since it may be there at the next. This page is made by",
        "`connector settings --format markdown`.",
        "",
    ]
    for doc in describe():
        lines += [f"## {doc.name}", "", doc.description, "", *_facts(doc), ""]
    return "\n".join(lines)


def _facts(doc: SettingDoc) -> list[str]:
    default = "required" if doc.required else f"default `{doc.default}`" if doc.default else "default: unset"
    unit = f", {doc.unit}" if doc.unit else ""
    example = [f"- example `{doc.example}`"] if doc.example else []
    return [f"- {doc.type}{unit}; {default}", f"- allowed: {doc.allowed}", *example]


def _plain(value: object) -> JsonValue:
    if isinstance(value, SecretStr):
        return MASK
    return value if isinstance(value, str | int | float | None) else str(value)


def _flat(field: dict[str, Any]) -> dict[str, Any]:
    """Join pydantic's "this or null" into one type with null, and drop the title that only repeats the name."""
    flat = {key: value for key, value in field.items() if key not in {"anyOf", "title"}}
    if "anyOf" in field:
        inner = field["anyOf"][0]
        flat |= inner | {"type": [inner["type"], "null"]}
        if "enum" in inner:
            flat["enum"] = [*inner["enum"], None]
    return flat


def _doc(name: str, field: dict[str, Any], *, required: bool) -> SettingDoc:
    kind = field["type"][0] if isinstance(field["type"], list) else field["type"]
    secret = bool(field.get("writeOnly"))
    choice = [value for value in field.get("enum", [field.get("const")]) if value is not None]
    default = field.get("default")
    return SettingDoc(
        name=name,
        type="secret" if secret else "choice" if choice and kind == "string" else _TYPES[kind],
        unit=field.get("x-unit", ""),
        default=field.get("x-default", "" if default is None else f"{default:g}" if kind == "number" else str(default)),
        allowed=field.get("x-allowed") or _choice(list(map(str, choice))) or _range(kind, field),
        description=field["description"],
        required=required,
        secret=secret,
        example=field.get("examples", [""])[0],
    )


def _choice(values: list[str]) -> str:
    if len(values) <= 1:
        return f"only {values[0]}" if values else ""
    return ", ".join(values[:-1]) + " or " + values[-1]


def _range(kind: str, field: dict[str, Any]) -> str:
    """Say the bounds of a number in words."""
    word, top = f"a {_TYPES[kind]}", field["maximum"]
    if "exclusiveMinimum" in field:
        return f"{word} above {field['exclusiveMinimum']} and up to {top}"
    if field["minimum"] == top:
        return f"only {top}"
    return f"{word} from {field['minimum']} to {top}"
