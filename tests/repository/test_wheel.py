"""Users install the wheel, not the clone: it must hold all that the product needs, and none of the tests."""

import email
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCHEMAS = ("profile-change.v1.schema.json", "event-mapping.v1.schema.json")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the installed backend; nothing is downloaded and nothing in the tree changes."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def names(wheel: Path) -> list[str]:
    """Every file in it."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def read(wheel: Path, ending: str) -> bytes:
    """The one file whose name ends so."""
    (name,) = [name for name in names(wheel) if name.endswith(ending)]
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_schema_is_inside_as_published(wheel: Path, schema: str) -> None:
    """Producers validate with the installed copy; one that differs from the published one would be a second truth."""
    assert read(wheel, f"connector/schemas/{schema}") == (ROOT / "schemas" / schema).read_bytes()


def test_every_module_is_inside_and_nothing_else(wheel: Path) -> None:
    """No tests, no benchmarks, no caches: installed modules must not shadow those of other packages."""
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "connector").rglob("*.py")}
    inside = {name for name in names(wheel) if not name.startswith("target_profile_connector-")}
    assert inside >= modules
    assert {name for name in inside - modules if name.endswith(".py")} == set()
    assert {name.split("/")[0] for name in inside} == {"connector"}
    assert not [name for name in inside if "__pycache__" in name]


def test_the_status_page_is_inside(wheel: Path) -> None:
    """It is no Python, so a build of modules alone would leave an ops port that fails at import."""
    folder = ROOT / "connector" / "ops" / "page"
    for part in [path for path in folder.iterdir() if path.suffix in (".html", ".css", ".js")]:
        assert read(wheel, f"connector/ops/page/{part.name}") == part.read_bytes()


def test_its_types_are_declared(wheel: Path) -> None:
    """Without the marker (PEP 561) a type checker treats all of it as untyped, despite the classifier."""
    assert read(wheel, "connector/py.typed") == b""
    assert "Typing :: Typed" in read(wheel, "METADATA").decode()


def test_it_has_the_command_the_licence_and_its_needs(wheel: Path) -> None:
    """Installers, indexes and auditors read its metadata."""
    assert read(wheel, "entry_points.txt").decode().split() == [
        "[console_scripts]",
        "connector",
        "=",
        "connector.cli:main",
    ]
    assert read(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    metadata = email.message_from_bytes(read(wheel, "METADATA"))
    assert metadata["Name"] == "target-profile-connector"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    needs = " ".join(metadata.get_all("Requires-Dist", []))
    for package in (
        "aiohttp",
        "confluent-kafka",
        "msgspec",
        "prometheus-client",
        "pydantic-settings",
        "structlog",
        "uvloop",
    ):
        assert package in needs


def test_it_works_away_from_the_clone(wheel: Path, tmp_path: Path) -> None:
    """A module that is found only in the clone would fail at the first user's."""
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    script = (
        f"import sys; sys.path.insert(0, {str(unpacked)!r})\n"
        "import importlib, importlib.resources, json, pkgutil, connector\n"
        "for module in pkgutil.walk_packages(connector.__path__, 'connector.'):\n"
        "    if module.name != 'connector.__main__': importlib.import_module(module.name)\n"
        f"for schema in {SCHEMAS!r}:\n"
        "    json.loads(importlib.resources.files('connector').joinpath('schemas', schema).read_text())\n"
        "print(connector.__file__)\n"
        "from connector.cli import main\n"
        "sys.exit(main(['--version']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert (done.returncode, done.stderr) == (0, "")
    where, version = done.stdout.splitlines()
    assert Path(where).is_relative_to(unpacked)
    assert version.startswith("connector ")
