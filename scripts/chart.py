"""Writes into the chart what follows from the settings and from values.yaml; `--check` says what is behind.

What is written by hand stays in its file: of values.yaml all but the block between its two marks, of values.schema.json
the types of all other values, of the chart's README all but the table, of Chart.yaml and ci/ all but the connector's
version. files/properties.json is made as a whole.
"""

import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from connector import __version__
from connector.settings import formats
from connector.settings.conflicts import CLASSIC_ONLY
from connector.settings.describe import SettingDoc, describe, json_schema
from connector.settings.properties import ISOLATION, MILLISECONDS, OWN_VARIABLE, REFUSED, REFUSED_SHAPES, WHOLE
from connector.target.statuses import VERDICTS

CHART: Final = Path("helm/target-profile-connector")
WIDTH: Final = 120
SECTIONS: Final = {
    "KAFKA": "kafka",
    "TARGET": "target",
    "COALESCE": "coalesce",
    "EVENT": "event",
    "SCHEMA_REGISTRY": "schemaRegistry",
    "RETRY": "retry",
    "DEAD_LETTER": "deadLetter",
    "PRIORITY": "priority",
    "QUOTA": "quota",
    "COMMIT": "commit",
    "SHUTDOWN": "shutdown",
    "OPS": "ops",
    "LOG": "logging",
}
"""Prefix of the variables to the section of the values; the templates have the same list."""

NO_VALUE: Final = {"KAFKA_GROUP_INSTANCE_ID": "each pod has another one: `workload.staticMembership` sets it"}
"""Settings that one value for all replicas would make wrong."""

_TEXT: Final = {"type": "string", "minLength": 1}
_TOPIC: Final = {**_TEXT, "pattern": f"^{formats.TOPIC}$"}
_SERVER: Final = {**_TEXT, "pattern": f"^{formats.SERVER}$"}
SHAPES: Final[Mapping[str, dict[str, Any]]] = {
    "KAFKA_BOOTSTRAP_SERVERS": {"type": ["array", "string"], "items": _SERVER, "minItems": 1, "minLength": 1},
    "KAFKA_TOPICS": {"type": "array", "items": _TOPIC, "minItems": 1, "uniqueItems": True},
    "KAFKA_PROPERTIES": {
        "type": "object",
        "properties": {
            **{name: {"type": ["integer", "string"], "pattern": f"^{WHOLE.pattern}$"} for name in MILLISECONDS},
            "isolation.level": {"enum": list(ISOLATION)},
        },
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    },
    "EVENT_MAPPING": {"type": ["null", "object", "string"], "required": ["version", "sources"], "minLength": 1},
    "SCHEMA_REGISTRY_HEADERS": {"type": "object", "additionalProperties": {"type": "string"}},
    "TARGET_STATUS_VERDICTS": {"type": "object", "additionalProperties": {"enum": list(VERDICTS)}},
    "OPS_PORT": {"minimum": 1},
}
"""Where a value is no plain text: YAML has lists and objects, and a port that is known only later cannot be probed."""

NEW: Final = (
    "COALESCE_UNCHANGED_SECONDS",
    "COALESCE_UNCHANGED_MAX_VISITORS",
    "EVENT_MAX_AGE_SECONDS",
    "QUOTA_LOW_SHARE",
    "QUOTA_NORMAL_SHARE",
    "TARGET_TOKEN_URL",
)
NEW_SECTIONS: Final = ("schemaRegistry", "priority")
"""What the chart's previous version did not have: `helm upgrade --reuse-values` leaves it out, templates allow that."""

UNLESS_SET: Final = ("QUOTA_HORIZON_SECONDS",)
"""Settings whose default follows from others, unless they are set; to write the default down would set them."""

OBJECTS: Final = ("KAFKA_PROPERTIES", "SCHEMA_REGISTRY_HEADERS", "TARGET_STATUS_VERDICTS")
"""Settings whose variable holds an object as JSON."""


class Own(NamedTuple):
    """A value that is the chart's own and stands among the settings."""

    key: str
    about: str
    schema: Mapping[str, Any]


OWN: Final[Mapping[str, Own]] = {
    "EVENT_MAPPING": Own(
        "existingMappingConfigMap",
        "Name of a ConfigMap of yours that holds the mapping under the key mapping.yaml. After a change of it: kubectl "
        "rollout restart.",
        {"type": ["null", "string"]},
    ),
}
"""By the setting that it follows."""

PASSED_ON: Final = ("type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "pattern")
VALUES_MARKS: Final = ("# >>> settings\n", "# <<< settings\n")
README_MARKS: Final = ("<!-- values -->\n", "<!-- /values -->\n")


class Value(NamedTuple):
    """One value as a person reads of it: its place, what it is for, and its default as YAML."""

    group: str
    path: str
    about: str
    default: str


_FOR: Final = "/livez, /readyz, /metrics and /status"
ABOUT: Final[Mapping[str, str]] = {
    "OPS_HOST": f"Address for {_FOR}. Probes come from outside the pod: 0.0.0.0, or :: where it has IPv6 alone.",
    "EVENT_MAPPING": "The mapping that reads events of other formats. It is mounted as a file; a changed one makes new "
    "pods.",
    "EVENT_MAPPING_FILE": "File with the mapping, where it comes by a volume of yours.",
    "OPS_PORT": f"Port for {_FOR}; the probes, the Service and the monitors follow it.",
}
"""What a setting is for where the chart allows less than the connector."""

ALLOWED: Final[Mapping[str, str]] = {
    "KAFKA_TOPICS": "a list of topic names",
    "KAFKA_BOOTSTRAP_SERVERS": "host:port, or a list of them",
    "KAFKA_PROPERTIES": "text, numbers and booleans; a Secret holds them when a name looks like one's",
    "EVENT_MAPPING": "an object, or its text in YAML or JSON, from which numbers arrive as they are written",
    "SCHEMA_REGISTRY_HEADERS": "texts; a Secret holds them",
    "OPS_HOST": "an IP address or a host name, but not the pod's own loopback",
    "OPS_PORT": "a whole number from 1 to 65535",
}
"""What the chart takes where that is not what the variable takes."""


def place(variable: str) -> tuple[str, str]:
    """Section and key of a variable's value."""
    prefix = next(prefix for prefix in SECTIONS if variable.startswith(f"{prefix}_"))
    first, *others = variable.removeprefix(f"{prefix}_").lower().split("_")
    return SECTIONS[prefix], first + "".join(word.capitalize() for word in others)


def settings() -> Iterator[tuple[str, str, SettingDoc, dict[str, Any]]]:
    """Every setting that has a value: section, key, and what is known of it."""
    schema = json_schema()["properties"]
    for doc in describe():
        if doc.name not in NO_VALUE:
            about, allowed = ABOUT.get(doc.name, doc.description), ALLOWED.get(doc.name, doc.allowed)
            yield *place(doc.name), replace(doc, description=about, allowed=allowed), schema[doc.name]


def settings_block() -> str:
    """The settings as YAML with comments, in the order of the model."""
    lines = [
        "",
        "## Settings of the connector",
        "# Made by `make chart` from connector/settings/model.py. Null: the connector's own default.",
    ]
    section = ""
    for name, key, doc, schema in settings():
        if name != section:
            section = name
            lines += ["", f"{name}:"]
        facts = f"{doc.name}: {', '.join(part for part in (doc.type, doc.unit) if part)}; {doc.allowed}."
        lines += [f"  # {line}" for text in (doc.description, facts) for line in textwrap.wrap(text, WIDTH - 4)]
        lines.append(f"  #{key}: {_example(doc)}" if doc.required else f"  {key}: {_default(doc, schema)}")
        if own := OWN.get(doc.name):
            lines += [f"  # {line}" for line in textwrap.wrap(own.about, WIDTH - 4)]
            lines.append(f"  {own.key}: null")
    return "\n".join([*lines, "", ""])


def settings_schema() -> dict[str, Any]:
    """The sections' schemas: nothing but the settings, each held to the model's type and bounds."""
    sections: dict[str, Any] = {}
    for name, key, doc, schema in settings():
        section = sections.setdefault(name, {"type": "object", "additionalProperties": False, "properties": {}})
        shape = {word: schema[word] for word in PASSED_ON if word in schema} | SHAPES.get(doc.name, {})
        if doc.required and shape["type"] == "string":
            shape |= _TEXT
        if shape["type"] == "array":
            del shape["pattern"]  # That of the variable, where the list is one text.
        if shape["type"] == "number":
            # `--set` reads 0.5 as a text; the template writes it down as it stands.
            shape |= {"type": ["number", "string"], "pattern": r"^[0-9]+(\.[0-9]+)?$"}
        if doc.name in UNLESS_SET:
            shape |= {"type": ["null", *shape["type"]]}
        read = doc.required or (key in read_by_templates(name) and doc.name not in NEW)
        if "null" not in shape["type"] and read:
            # `--set kafka.groupId=null` must be refused, and not render as the text "<nil>". What no template reads may
            # be missing, as it is after `helm upgrade --reuse-values` from a version that did not have it.
            section.setdefault("required", []).append(key)
        section["properties"][key] = {**shape, "description": f"{doc.description} ({doc.name})"}
        if own := OWN.get(doc.name):
            section["properties"][own.key] = {**own.schema, "description": own.about}
    return sections


@cache
def read_by_templates(section: str) -> frozenset[str]:
    """The keys of a section that some template names."""
    text = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    return frozenset(re.findall(rf"(?:\.Values\.|\$){section}\.(\w+)", text))


def properties() -> dict[str, Any]:
    """Which names kafka.properties may not carry, and why: a schema would refuse them without a word of reason."""
    own = {name: NO_VALUE.get(variable) or _has_value(variable) for name, variable in OWN_VARIABLE.items()}
    return {
        "names": own | {name: f"is refused: {why}" for name, why in REFUSED.items()},
        "shapes": {f"^(?:{shape.pattern})$": f"is refused: {why}" for shape, why in REFUSED_SHAPES},
        "classicOnly": list(CLASSIC_ONLY),
    }


def read_values(text: str) -> list[Value]:
    """Every value with the comment above it; an object is read as its parts when those have comments of their own."""
    found: list[Value] = []
    document = yaml.safe_load(text)
    group, comment, stack = "", "", list[tuple[int, str]]()
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("## "):
            group, comment = stripped[3:], ""
        elif stripped.startswith("# "):
            comment = f"{comment} {stripped[2:].strip()}".strip()
        elif ":" in stripped:
            indent = len(line) - len(line.lstrip())
            key = stripped.removeprefix("#").split(":")[0]
            stack = [(depth, name) for depth, name in stack if depth < indent]
            path = ".".join([*(name for _, name in stack), key])
            if _is_example(stripped):
                found.append(Value(group, path, comment, f"needed, such as `{stripped.split(': ', 1)[1]}`"))
            else:
                stack.append((indent, key))
                if comment:
                    found.append(Value(group, path, comment, f"`{_flow(_at(document, path))}`"))
            comment = ""
        elif not stripped:
            comment = ""
    return found


def uncommented(text: str) -> list[str]:
    """Values of the file that nothing explains, neither at them nor at an object that they are part of."""
    explained = {value.path for value in read_values(text)}
    return [path for path in _leaves(yaml.safe_load(text)) if not explained & set(_ancestors(path))]


def readme_tables(values: list[Value]) -> str:
    """The values as a table for each group."""
    lines: list[str] = []
    for number, value in enumerate(values):
        if not number or values[number - 1].group != value.group:
            lines += ["", f"### {value.group}", "", "| value | default | what for |", "|---|---|---|"]
        cells = (f"`{value.path}`", value.default, value.about)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, "", ""])


def made(chart: Path) -> dict[Path, str]:
    """Each file as it ought to be."""
    values, schema, readme = chart / "values.yaml", chart / "values.schema.json", chart / "README.md"
    names = chart / "files" / "properties.json"
    values_text = _between(values.read_text(), VALUES_MARKS, settings_block())
    document = json.loads(schema.read_text())
    sections = settings_schema()
    document["properties"] |= sections
    document["required"] = [name for name in sections if name not in NEW_SECTIONS]
    documented = read_values(values_text)
    for value in documented:
        _describe(document, value)
    return {
        **{path: _of_this_version(path.read_text()) for path in (chart / "Chart.yaml", *chart.glob("ci/*.yaml"))},
        values: values_text,
        schema: json.dumps(document, indent=2, ensure_ascii=False) + "\n",
        names: json.dumps(properties(), indent=2, ensure_ascii=False) + "\n",
        readme: _between(readme.read_text(), README_MARKS, readme_tables(documented)),
    }


def main(arguments: list[str]) -> int:
    """Write, or with `--check` only compare; 1 when something is behind."""
    behind = {path: text for path, text in made(CHART).items() if not path.exists() or path.read_text() != text}
    if "--check" not in arguments:
        for path, text in behind.items():
            path.write_text(text)
        return 0
    bare = uncommented((CHART / "values.yaml").read_text())
    for path in behind:
        print(f"{path} is behind the settings, values.yaml or the version: run `make chart`", file=sys.stderr)
    for name in bare:
        print(f"{CHART}/values.yaml: nothing says what {name} is for", file=sys.stderr)
    return 1 if behind or bare else 0


def _of_this_version(text: str) -> str:
    """With the connector's version as that of the application, and of its own image where values name it."""
    text = re.sub(r"^appVersion: .*$", f'appVersion: "{__version__}"', text, flags=re.MULTILINE)
    return re.sub(rf"\b(image: {CHART.name}):\S+", rf"\1:{__version__}", text)


def _has_value(variable: str) -> str:
    return f"has its own value, {'.'.join(place(variable))}"


def _example(doc: SettingDoc) -> str:
    return f"[{doc.example}]" if doc.name == "KAFKA_TOPICS" else doc.example


def _default(doc: SettingDoc, schema: Mapping[str, Any]) -> str:
    default = None if doc.name in UNLESS_SET else schema.get("default")
    if doc.name in OBJECTS:
        return str(default)
    return f"{default:.15g}" if isinstance(default, float) else json.dumps(default)


def _is_example(stripped: str) -> bool:
    """Whether a comment is the line of a value that has no default."""
    return stripped.startswith("#") and stripped[1:2].isalpha()


def _flow(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _at(document: Mapping[str, Any], path: str) -> Any:
    value: Any = document
    for key in path.split("."):
        value = value[key]
    return value


def _leaves(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path


def _ancestors(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _describe(document: dict[str, Any], value: Value) -> None:
    """Give a value's schema what values.yaml says of it; a value without a schema is a mistake that KeyError names."""
    node = document
    for key in value.path.split("."):
        node = node["properties"][key]
    node["description"] = value.about


def _between(text: str, marks: tuple[str, str], middle: str) -> str:
    head, _, rest = text.partition(marks[0])
    _, _, tail = rest.partition(marks[1])
    return f"{head}{marks[0]}{middle}{marks[1]}{tail}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
