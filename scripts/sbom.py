"""Makes a CycloneDX bill of materials from a lock: what the image installs, and what needs what.

The lock's own comments ("# via aiohttp") give the dependencies. Licences and the base image's packages are not in it.
"""

import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME: Final = "target-profile-connector"
SPEC_VERSION: Final = "1.6"
LINUX: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
"""Where the image runs: a pin for another platform is not part of it."""

_BLOCK: Final = re.compile(r"^(?=\S)", re.MULTILINE)
_VIA: Final = re.compile(r"^    #(?: via)? +([A-Za-z0-9._-]+)", re.MULTILINE)


class Pin(NamedTuple):
    """A package of the lock, and the packages that need it."""

    name: str
    version: str
    needed_by: frozenset[str]

    @property
    def purl(self) -> str:
        """Its package URL, which serves as its reference too."""
        return f"pkg:pypi/{self.name}@{self.version}"


def pins(lock: str) -> Iterator[Pin]:
    """The packages that are installed on Linux."""
    for block in _BLOCK.split(lock):
        first = block.partition("\n")[0].rstrip("\\ ")
        if "==" not in first:
            continue
        requirement = Requirement(first)
        if requirement.marker is not None and not requirement.marker.evaluate(LINUX):
            continue
        (specifier,) = requirement.specifier
        needed_by = frozenset(canonicalize_name(name) for name in _VIA.findall(block))
        yield Pin(canonicalize_name(requirement.name), specifier.version, needed_by)


def sbom(lock: str, version: str, made: datetime) -> Mapping[str, Any]:
    """The document: the same lock, version and time give the same document."""
    found = sorted(pins(lock))
    ours = {"type": "application", "name": NAME, "version": version, "purl": f"pkg:pypi/{NAME}@{version}"}
    ours["bom-ref"] = ours["purl"]
    purls = {NAME: ours["purl"], **{pin.name: pin.purl for pin in found}}
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(purls.values()))}",
        "version": 1,
        "metadata": {
            "timestamp": made.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "component": {**ours, "licenses": [{"license": {"id": "Apache-2.0"}}]},
        },
        "components": [
            {"type": "library", "name": pin.name, "version": pin.version, "purl": pin.purl, "bom-ref": pin.purl}
            for pin in found
        ],
        "dependencies": [
            {"ref": purl, "dependsOn": [pin.purl for pin in found if name in pin.needed_by]}
            for name, purl in purls.items()
        ],
    }
