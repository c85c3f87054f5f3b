"""Builds Kubernetes once from its Go modules, since a test must not depend on a registry of images.

`make test-cluster` does it ahead of its tests. All files are in the project's cache; etcd, containerd, runc and the
network plugins are Debian's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
VERSION: Final = "v1.37.2"
PROGRAMS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
FROM_DEBIAN: Final = ("etcd", "containerd", "ctr", "runc", "buildah", "debootstrap", "ip", "nsenter", "unshare")
PLUGINS: Final = Path("/usr/lib/cni")
BUILD_SECONDS: Final = 5400.0

PAUSE: Final = """\
// Package main holds a Pod's namespaces open, and does nothing else.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGINT, syscall.SIGTERM)
	<-told
}
"""


class Unavailable(Exception):
    """No cluster is available here; the text names what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """Everything of Kubernetes that the tests start."""

    folder: Path

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def cache() -> Path:
    """Where it is kept: in the project, or where `CLUSTER_TEST_CACHE` says."""
    return Path(os.environ.get("CLUSTER_TEST_CACHE") or ROOT / ".cache" / "kubernetes").absolute()


def missing() -> list[str]:
    """What this machine lacks, apart from what is built."""
    if sys.platform != "linux":
        return ["Linux"]
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    lacking = [name for name in FROM_DEBIAN if shutil.which(name, path=path) is None]
    if not (PLUGINS / "bridge").exists():
        lacking.append(f"the network plugins in {PLUGINS}")
    if os.geteuid() != 0:
        lacking.insert(0, "root")
    return lacking


def installed() -> Programs:
    """Find built programs. Raises `Unavailable` when one is missing."""
    programs = Programs(cache() / VERSION)
    lacking = missing()
    lacking += [name for name in (*PROGRAMS, "pause") if not Path(programs[name]).exists()]
    if lacking:
        message = f"{', '.join(lacking)} missing: `make test-cluster`, as root on Debian, installs what it needs"
        raise Unavailable(message)
    return programs


def install() -> None:
    """Build what is missing: a quarter of an hour of two cores, once. Raises `Unavailable` with the reason."""
    programs = cache() / VERSION
    wanted = [name for name in PROGRAMS if not (programs / name).exists()]
    if not wanted and (programs / "pause").exists():
        return
    if shutil.which("go") is None:
        message = "Go is needed to build Kubernetes: https://go.dev/doc/install"
        raise Unavailable(message)
    programs.mkdir(parents=True, exist_ok=True)
    module = cache() / f"module-{VERSION}"
    _write_module(module)
    _write_pause(cache() / "pause")
    for name in wanted:
        sys.stderr.write(f"building {name} of Kubernetes {VERSION}, once\n")
        _go(module, "build", "-mod=mod", "-trimpath", _ldflags(), "-o", f"{programs}/", f"k8s.io/kubernetes/cmd/{name}")
    _go(cache() / "pause", "build", "-trimpath", "-ldflags=-s -w", "-o", str(programs / "pause"), ".")


def main() -> int:
    """Build; a missing part is one line, and an error."""
    try:
        install()
    except Unavailable as problem:
        sys.stderr.write(f"there can be no cluster here: {problem}\n")
        return 1
    return 0


def _write_module(folder: Path) -> None:
    """A module around Kubernetes: its own names its parts by folders of its repository, here they are modules too."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "go.mod").exists():
        return
    source = json.loads(_go(folder, "mod", "download", "-json", f"k8s.io/kubernetes@{VERSION}"))
    own = Path(source["GoMod"]).read_text()
    parts = re.findall(r"^\s(\S+) v0\.0\.0$", own, re.MULTILINE)
    lines = [
        "module cluster.test/kubernetes",
        *re.findall(r"^(?:go|godebug) .*$", own, re.MULTILINE),
        f"require k8s.io/kubernetes {VERSION}",
        *(f"replace {part} => {part} v0{VERSION.removeprefix('v1')}" for part in parts),
        "",
    ]
    (folder / "go.mod").write_text("\n".join(lines))


def _write_pause(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "go.mod").write_text("module cluster.test/pause\n\ngo 1.22\n")
    (folder / "main.go").write_text(PAUSE)


def _ldflags() -> str:
    """Programs built as a dependency do not know their version; kubelet and API server compare theirs."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    stamps = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return "-ldflags=-s -w " + " ".join(
        f"-X k8s.io/component-base/version.{name}={value}" for name, value in stamps.items()
    )


def _go(folder: Path, *arguments: str) -> str:
    """Run it there, at low priority. Raises `Unavailable` with the end of its output."""
    done = subprocess.run(
        ["nice", "-n", "10", "go", *arguments],
        env={**os.environ, "CGO_ENABLED": "0"},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        message = f"`go {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()[-2_000:]}"
        raise Unavailable(message)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
