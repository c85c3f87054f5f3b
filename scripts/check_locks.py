"""Says, without the network, whether the locks still answer pyproject.toml; a forgotten `make lock` fails the lint.

Locks are installed without resolving, so nothing may be missing from one: what the packages of this venv ask for is
followed through each lock. `make test-install` proves the rest.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

EXTRAS = ("avro", "otel", "protobuf")

LOCKS = {
    "requirements.lock": ("", "build"),
    "requirements-dev.lock": ("", *EXTRAS, "build", "test", "lint", "lock"),
    "requirements-java.lock": ("java",),
    "requirements-chart.lock": ("chart",),
    "requirements-pip.lock": ("pip",),
    "requirements-image.lock": ("", *EXTRAS),
}
"""Lock to the groups and extras that it holds; `""` stands for the project's own dependencies."""

MACHINES = tuple(
    {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system, "platform_system": name}
    for python, (system, name) in product(("3.11", "3.12", "3.13"), (("linux", "Linux"), ("darwin", "Darwin")))
)
"""What differs between the machines that a lock is for, as markers name it."""

PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
DIRECT = re.compile(r"target-profile-connector \(pyproject\.toml(?::([a-z]+))?\)")


def wanted(project: Mapping[str, list[str]], groups: tuple[str, ...]) -> dict[NormalizedName, Requirement]:
    """The named requirements of these groups, by canonical name."""
    parsed = [Requirement(line) for group in groups for line in project[group]]
    return {canonicalize_name(each.name): each for each in parsed}


def leftovers(lock: str, text: str, requirements: Mapping[NormalizedName, Requirement]) -> list[str]:
    """What is in a lock for no reason any more."""
    direct: set[NormalizedName] = set()
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        if DIRECT.search(block) and (pin := PIN.match(block)):
            direct.add(canonicalize_name(pin[1]))
    return [f"{lock}: {name} is no longer asked for" for name in sorted(direct - requirements.keys())]


def gaps(
    lock: str, requirements: Mapping[NormalizedName, Requirement], pins: Mapping[NormalizedName, Version]
) -> set[str]:
    """What a package of the lock asks for on some machine and the lock does not have.

    A package tells it by its installed metadata; one that is not installed here in the locked version tells nothing.
    """
    found: set[str] = set()
    for machine in MACHINES:
        left = [(each, "pyproject.toml") for each in requirements.values() if _holds(each, machine, "")]
        seen: set[tuple[NormalizedName, str]] = set()
        while left:
            wanted, asker = left.pop()
            name = canonicalize_name(wanted.name)
            if name not in pins:
                found.add(f"{lock}: {asker} asks for '{wanted}', and {name} is not in it")
                continue
            if not wanted.specifier.contains(pins[name], prereleases=True):
                found.add(f"{lock}: {asker} asks for '{wanted}', and it has {name}=={pins[name]}")
            new = {extra for extra in ("", *wanted.extras) if (name, extra) not in seen}
            seen |= {(name, extra) for extra in new}
            asked = asked_by(name, pins[name])
            left += [(each, name) for each in asked if any(_holds(each, machine, extra) for extra in new)]
    return found


@cache
def asked_by(name: str, version: Version) -> tuple[Requirement, ...]:
    """What it asks for, if it is installed in this version."""
    try:
        installed = distribution(name)
    except PackageNotFoundError:
        return ()
    return tuple(map(Requirement, installed.requires or ())) if Version(installed.version) == version else ()


def _holds(requirement: Requirement, machine: Mapping[str, str], extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({**machine, "extra": extra})


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
        found += leftovers(lock, text, wanted(project, groups))
        found += sorted(gaps(lock, wanted(project, groups), pins))
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
