"""Says, without the network, whether the locks still answer pyproject.toml; a forgotten `make lock` fails the lint."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

LOCKS = {
    "requirements.lock": ("", "build"),
    "requirements-dev.lock": ("", "otel", "build", "test", "lint", "lock"),
    "requirements-java.lock": ("java",),
    "requirements-chart.lock": ("chart",),
    "requirements-image.lock": ("", "otel"),
}
"""Lock to the groups and extras that it holds; `""` stands for the project's own dependencies."""

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
DIRECT = re.compile(r"target-profile-connector \(pyproject\.toml(?::([a-z]+))?\)")


def wanted(project: Mapping[str, list[str]], groups: tuple[str, ...]) -> dict[NormalizedName, Requirement]:
    """The named requirements of these groups, by canonical name."""
    parsed = [Requirement(line) for group in groups for line in project[group]]
    return {canonicalize_name(each.name): each for each in parsed}


def complaints(
    lock: str, text: str, requirements: Mapping[NormalizedName, Requirement], pins: Mapping[NormalizedName, Version]
) -> list[str]:
    """What is missing from a lock, does not answer its requirement, or is in it for no reason any more."""
    found = [f"{lock}: {name} is not in it" for name in requirements if name not in pins]
    found += [
        f"{lock}: {name}=={pins[name]} does not answer '{requirement}'"
        for name, requirement in requirements.items()
        if name in pins and not requirement.specifier.contains(pins[name], prereleases=True)
    ]
    direct: set[NormalizedName] = set()
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        if DIRECT.search(block) and (pin := PIN.match(block)):
            direct.add(canonicalize_name(pin[1]))
    found += [f"{lock}: {name} is no longer asked for" for name in sorted(direct - requirements.keys())]
    return found


def main() -> int:
    """Compare each lock with pyproject.toml, and the locks with each other; 1 when something differs."""
    document = tomllib.loads(Path("pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"]
    project = {"": document["project"]["dependencies"], **extras, **document["dependency-groups"]}
    found: list[str] = []
    seen: dict[NormalizedName, tuple[str, Version]] = {}
    for lock, groups in LOCKS.items():
        text = Path(lock).read_text()
        pins = {canonicalize_name(name): Version(version) for name, version in PIN.findall(text)}
        found += complaints(lock, text, wanted(project, groups), pins)
        for name, version in pins.items():
            first, other = seen.setdefault(name, (lock, version))
            if other != version:
                found.append(f"{lock}: {name}=={version}, but {first} has {other}")
    for line in found:
        print(line, file=sys.stderr)
    print("the locks differ from pyproject.toml: run `make lock`" if found else "the locks are those of pyproject.toml")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
