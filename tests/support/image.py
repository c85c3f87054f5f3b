"""The image built from the Dockerfile without a container engine or a registry, and run as a cluster would run it.

The base is a small Debian with Python, made by debootstrap: the tests prove the Dockerfile's steps and how the
result runs, not the base that it names. Needs root, buildah, runc and debootstrap.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.support.process import ColdConnector

ROOT: Final = Path(__file__).parents[2]
SUITE: Final = "bookworm"
PYTHON: Final = "3.11"
"""That suite's Python; the wheels are for it, whatever Python runs the tests."""

GLIBC: Final = 36
"""That suite's glibc, 2.36: wheels for this one and every older one fit."""

BASE: Final = f"localhost/target-profile-connector-base:{SUITE}"
NAME: Final = "localhost/target-profile-connector:test"
VERSION: Final = "0.0.0-test"
BUILD_SECONDS: Final = 1200.0


@dataclass(frozen=True, slots=True)
class Image:
    """The built image: its OCI configuration, and its root folder, mounted for reading."""

    config: Mapping[str, Any]
    root: Path


def build(folder: Path) -> Image:
    """Build it from this tree; the base and the wheels are cached. `folder` is for temporary files."""
    if BASE not in run("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").split():
        _make_base(folder / "base")
    wheels = ROOT / ".cache" / f"wheels-{PYTHON}"
    _fetch_wheels(wheels)
    run(
        *("buildah", "bud", "--isolation", "chroot", "--volume", f"{wheels}:/wheels:ro", "--tag", NAME),
        *_build_args(BASE_IMAGE=BASE, VERSION=VERSION, REVISION="none", PIP_NO_INDEX="1", PIP_FIND_LINKS="/wheels"),
        str(ROOT),
    )
    config = json.loads(run("buildah", "inspect", "--type", "image", NAME))["OCIv1"]["config"]
    container = run("buildah", "from", NAME).strip()
    return Image(config, Path(run("buildah", "mount", container).strip()))


def discard() -> None:
    """Remove the containers that `build` left; images stay, as a cache."""
    for container in json.loads(run("buildah", "containers", "--json")) or []:
        if container["imagename"] in (NAME, BASE):
            run("buildah", "rm", container["id"])


def run(*command: str) -> str:
    """Run it to its end; returns its output. A failure shows the end of it."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-3_000:]}{done.stderr[-3_000:]}"
    return done.stdout


def _make_base(folder: Path) -> None:
    sys.stderr.write(f"making a base of Debian {SUITE}, once\n")
    run("debootstrap", "--variant=minbase", "--include=python3,python3-venv", SUITE, str(folder))
    container = run("buildah", "from", "scratch").strip()
    run("buildah", "add", "--quiet", container, str(folder), "/")
    run("buildah", "commit", "--quiet", "--rm", container, BASE)
    shutil.rmtree(folder)


def _fetch_wheels(folder: Path) -> None:
    """Fetch what the build installs; the build itself may reach no index."""
    machine = platform.machine()
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(5, GLIBC + 1)] + [f"manylinux2014_{machine}"]
    for lock in ("requirements.lock", "requirements-image.lock"):
        run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:"),
            *("--python-version", PYTHON, *(part for tag in tags for part in ("--platform", tag))),
            *("--dest", str(folder), "--requirement", str(ROOT / lock)),
        )


def _build_args(**arguments: str) -> list[str]:
    return [part for name, value in arguments.items() for part in ("--build-arg", f"{name}={value}")]


class Container(ColdConnector):
    """The image run by runc: its user, its entry point, a root that is read-only, no capability, the host's network."""

    def __init__(self, image: Image, folder: Path, environment: Mapping[str, str], *arguments: str) -> None:
        """Start it with the image's own command, or these arguments instead."""
        self._bundle = folder / f"bundle-{os.urandom(4).hex()}"
        self._arguments = arguments
        self._image = image
        super().__init__(folder, environment)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        # Processes that runc started outlive its kill.
        subprocess.run(["runc", "delete", "--force", self._bundle.name], capture_output=True, check=False)

    def command(self, arguments: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        """Write the bundle; the image's configuration says what is started."""
        del arguments
        self._bundle.mkdir()
        run("runc", "spec", "--bundle", str(self._bundle))
        path = self._bundle / "config.json"
        path.write_text(json.dumps(self._spec(json.loads(path.read_text()), environment)))
        return ["runc", "run", "--bundle", str(self._bundle), self._bundle.name]

    def assert_log_is_sound(self) -> None:
        """Only `run` has a log; other commands print for people."""
        if not self._arguments:
            super().assert_log_is_sound()

    def pid(self) -> int:
        """The process inside, by the host's PID."""
        state = json.loads(run("runc", "state", self._bundle.name))
        return int(state["pid"])

    def _spec(self, spec: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
        config = self._image.config
        user, group = config["User"].split(":")
        spec["root"] = {"path": str(self._image.root), "readonly": True}
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group)},
            "args": [*config["Entrypoint"], *(self._arguments or config["Cmd"])],
            "env": [*config["Env"], *(f"{name}={value}" for name, value in environment.items())],
            "cwd": config.get("WorkingDir") or "/",
            "capabilities": {kind: [] for kind in spec["process"]["capabilities"]},
            "noNewPrivileges": True,
        }
        # On the host's network, where the broker and the sandbox are; all other namespaces are its own.
        spec["linux"]["namespaces"] = [one for one in spec["linux"]["namespaces"] if one["type"] != "network"]
        return spec
