"""Every lock installs on any machine: with an old pip, after any later release, with any environment."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "scripts" / "install"

HOSTILE = {
    "PIP_CONSTRAINT": "/nowhere/constraints.txt",
    "PIP_DRY_RUN": "1",
    "PIP_PREFIX": "/nowhere",
    "PIP_PYTHON": "/nowhere/python",
    "PIP_REQUIREMENT": "/nowhere/requirements.txt",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_ROOT": "/nowhere",
    "PIP_TARGET": "/nowhere",
    "PIP_USER": "1",
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/nowhere",
    "PYTHONSTARTUP": "/nowhere/startup.py",
    "VIRTUAL_ENV": "/nowhere",
}
"""Variables of other work that used to decide where our packages went, or stopped the installation."""


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv as `make` creates it, with the pip that this Python ships."""
    folder = tmp_path_factory.mktemp("install") / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The local index: the lock's packages, and a later release that it does not name."""
    folder = tmp_path / "index"
    folder.mkdir()
    _wheel(folder, "asking", "1.0", requires="asked[more]>=1")
    _wheel(folder, "asked", "1.0")
    _wheel(folder, "asked", "2.0")
    return folder


def _wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


def _install(venv: Path, index: Path, *names: str) -> subprocess.CompletedProcess[str]:
    lock = index / "requirements.lock"
    pins = [f"{name}==1.0 --hash=sha256:{_digest(index / f'{name}-1.0-py3-none-any.whl')}\n" for name in names]
    lock.write_text("".join(pins))
    around = {**os.environ, **HOSTILE, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
    command = [str(INSTALL), str(venv / "bin" / "python"), str(lock)]
    return subprocess.run(command, env=around, capture_output=True, text=True, check=False)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_lock_installs_after_a_newer_release_of_its_packages(venv: Path, index: Path) -> None:
    """coverage[toml]: by pip 22.3 to 23.2 a newer coverage on the index made a complete lock "unpinned"."""
    done = _install(venv, index, "asking", "asked")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    command = [str(venv / "bin" / "python"), "-I", "-c", "import asked, asking; print(asked.VERSION, asking.VERSION)"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1.0 1.0\n"


def test_what_a_lock_lacks_is_named(venv: Path, index: Path) -> None:
    """Nothing is resolved, so a gap must show at once and not at a rare import."""
    subprocess.run([venv / "bin" / "python", "-I", "-m", "pip", "uninstall", "-q", "-y", "asked"], check=True)
    done = _install(venv, index, "asking")
    assert done.returncode == 1
    assert "asking 1.0 requires asked, which is not installed" in done.stderr


TEXTS = ("Makefile", "Dockerfile", ".ci/*", "scripts/*", "tests/**/*.py", "benchmarks/*.py", "docs/*.md", "*.md")
_PIP = re.compile(r"\bpip\b[\s\"',]+(?:--?[\w-]+[\s\"',=]+|\"\$@\"|/\S+\s+)*(?:install|download|wheel)\b")
_STATEMENT = 400
"""Characters that delimit the options of one command."""


def _commands() -> Iterator[tuple[str, str]]:
    """Each place where pip installs or downloads, with what follows."""
    for path in sorted({path for pattern in TEXTS for path in ROOT.glob(pattern) if path.is_file()}):
        text = path.read_text(errors="replace")
        if path != Path(__file__):
            for found in _PIP.finditer(text):
                line = text.count("\n", 0, found.start()) + 1
                yield f"{path.relative_to(ROOT)}:{line}", text[found.start() : found.end() + _STATEMENT]


def test_no_lock_is_resolved_anywhere() -> None:
    """One forgotten place is a machine on which a later release of a dependency breaks the build."""
    commands = dict(_commands())
    assert {place.partition(":")[0] for place in commands} >= {
        "Dockerfile",
        "scripts/install",
        "tests/support/image.py",
    }
    for place, command in commands.items():
        options = re.split(r"\bpip\b.{0,80}?\b(?:install|download)\b|;;", command, flags=re.DOTALL)[1]
        if re.search(r"-r\b|--requirement\b|\.lock\b", options):
            assert "--no-deps" in options, f"{place} resolves a lock"
            assert "--require-hashes" in options, f"{place} accepts any file of the index"


@pytest.mark.parametrize(
    ("lock", "name", "asker"),
    [
        ("requirements.lock", "multidict", "aiohttp"),
        ("requirements-dev.lock", "tornado", ""),
        ("requirements-dev.lock", "coverage", "pytest-cov"),
        ("requirements-image.lock", "protobuf", "opentelemetry-proto"),
    ],
)
def test_a_gap_in_a_lock_is_found_without_the_network(lock: str, name: str, asker: str, tmp_path: Path) -> None:
    """The requirements of the installed packages are followed through each lock."""
    for path in (ROOT / "pyproject.toml", *ROOT.glob("requirements*.lock")):
        shutil.copy(path, tmp_path)
    text = (tmp_path / lock).read_text()
    (tmp_path / lock).write_text(re.sub(rf"^{name}==.*\n(?: .*\n)*", "", text, flags=re.MULTILINE))
    command = [sys.executable, str(ROOT / "scripts" / "check_locks.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if not asker:  # It is in no lock, so that nothing was taken away.
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 1
    assert re.search(rf"^{lock}: {asker} asks for '{name}.*', and {name} is not in it$", done.stderr, re.MULTILINE)
