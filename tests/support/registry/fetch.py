"""Brings the real registry and a Java to run it onto this machine once, so that no test run downloads anything.

`make registry` does it ahead; the fixture does it when it was not done.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.java import ROOT, Unavailable, java, maven

VERSION: Final = "3.3.3"
SHA256: Final = "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
"""Of the archive; a newer version has another one."""
JAVA: Final = 21
"""The oldest Java that runs it."""

_POM: Final = Path(__file__).with_name("pom.xml")


@dataclass(frozen=True, slots=True)
class Distribution:
    """All that starting the registry takes. `folder` also keeps what is worth making once per machine."""

    java: str
    jar: Path
    folder: Path


def cache() -> Path:
    """Where it is kept: in the project, or where `REGISTRY_TEST_CACHE` says."""
    return Path(os.environ.get("REGISTRY_TEST_CACHE") or ROOT / ".cache").absolute() / f"apicurio-{VERSION}"


def obtain() -> Distribution:
    """Everything that a start takes, fetched unless that was done. Raises `Unavailable`."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        jar = folder / "app" / "quarkus-run.jar"
        if not jar.exists():
            _fetch(folder)
        return Distribution(java(JAVA), jar, folder)


def _fetch(folder: Path) -> None:
    sys.stderr.write(f"fetching Apicurio Registry {VERSION} with Maven, once\n")
    # A folder of its own until all is there; Maven's local repository goes with it.
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as name:
        work = Path(name)
        shutil.copy(_POM, work)
        maven(
            work,
            f"-Dapicurio.version={VERSION}",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={work / 'archives'}",
        )
        (archive,) = (work / "archives").iterdir()
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != SHA256:
            msg = f"{archive.name} has the SHA-256 {found}, not {SHA256}: nothing of it was used"
            raise Unavailable(msg)
        with tarfile.open(archive) as packed:
            packed.extractall(work / "app", filter="data")
        (work / "app").rename(folder / "app")
