"""Downloads the broker's jars and a Java once per machine, so that no test run downloads anything.

`make kafka` does it ahead; otherwise the fixtures do it.
"""

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.java import ROOT, java, maven

VERSION = "4.4.0"
JAVA = 17
"""The oldest Java that runs this Kafka."""

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a broker's start needs. `folder` also caches what is made once per machine."""

    java: str
    jars: tuple[Path, ...]
    folder: Path


def cache() -> Path:
    """Where it is kept: in the project, or where `KAFKA_TEST_CACHE` says."""
    return Path(os.environ.get("KAFKA_TEST_CACHE") or ROOT / ".cache").absolute() / f"kafka-{VERSION}"


def fetch(folder: Path) -> Distribution:
    """Find what was fetched into the folder, fetch the rest. Raises `Unavailable`."""
    fetched = _fetched(folder)
    if not fetched:
        _fetch(folder)
        fetched = _fetched(folder)
    return Distribution(java(JAVA), fetched, folder)


def _fetched(folder: Path) -> tuple[Path, ...]:
    """The jars, if all that the stamp lists exist. Sorted: a class archive is valid for one order only."""
    stamp = folder / "libs" / "complete"
    jars = [folder / "libs" / name for name in stamp.read_text().split()] if stamp.exists() else []
    return tuple(jars) if all(jar.exists() for jar in jars) else ()


def _fetch(folder: Path) -> None:
    sys.stderr.write(f"fetching Apache Kafka {VERSION} with Maven, once\n")
    # A folder of its own until all is complete; Maven's local repository goes with it.
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as name:
        work = Path(name)
        shutil.copy(HERE / "pom.xml", work)
        maven(
            work,
            f"-Dkafka.version={VERSION}",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            f"-DoutputDirectory={work / 'libs'}",
        )
        jars = sorted(jar.name for jar in (work / "libs").glob("*.jar"))
        (work / "libs" / "complete").write_text("\n".join(jars))
        shutil.rmtree(folder / "libs", ignore_errors=True)
        (work / "libs").rename(folder / "libs")
