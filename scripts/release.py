"""Builds what a release consists of into dist/: wheel, sdist, chart package, SBOM, release notes, checksums.

python -m scripts.release [--out dist] [--tag v0.2.0]

It publishes nothing: scripts/publish does. With --tag, which the release workflow gives, the tag, the version and a
dated heading of CHANGELOG.md must agree; without it, the newest section may still be unreleased. The same commit gives
the same bytes.
"""

import argparse
import fnmatch
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import yaml

from connector import __version__
from scripts.sbom import NAME, sbom

ROOT: Final = Path(__file__).parents[1]
CHART: Final = ROOT / "helm" / NAME
CHANGELOG: Final = ROOT / "CHANGELOG.md"
LOCK: Final = ROOT / "requirements-image.lock"
SBOM: Final = "sbom.cdx.json"
NOTES: Final = "RELEASE_NOTES.md"
CHECKSUMS: Final = "SHA256SUMS"

_HEADING: Final = re.compile(r"^## \[(?P<version>[^]]+)\] - (?P<date>.+)$", re.MULTILINE)


def complaints(tag: str | None) -> list[str]:
    """What does not agree with the version."""
    found = []
    heading = _HEADING.search(CHANGELOG.read_text())
    if heading is None or heading["version"] != __version__:
        found.append(f"CHANGELOG.md: the newest section must be [{__version__}], the version of connector/__init__.py")
    elif tag is not None and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", heading["date"]):
        found.append(f"CHANGELOG.md: [{__version__}] is {heading['date']!r}; a release needs its date, as 2026-12-01")
    if tag not in (None, f"v{__version__}"):
        found.append(f"the tag {tag} is not that of the version: v{__version__}")
    if _chart()["appVersion"] != __version__:
        found.append("helm: appVersion is not the version; run `make chart`")
    return found


def notes() -> str:
    """The newest section of the changelog, without its heading and without empty parts."""
    sections = re.split(r"^## .*$", CHANGELOG.read_text(), flags=re.MULTILINE)
    parts = re.split(r"^(?=### )", sections[1].strip(), flags=re.MULTILINE)
    return "\n\n".join(part.strip() for part in parts if len(part.strip().splitlines()) > 1) + "\n"


def chart_package(made: int) -> bytes:
    """The chart as `helm package` would pack it, though the same at every run."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=made) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for path in chart_files(CHART):
            entry = tarfile.TarInfo(f"{NAME}/{path.relative_to(CHART).as_posix()}")
            entry.size, entry.mtime, entry.mode = path.stat().st_size, made, 0o644
            with path.open("rb") as content:
                tar.addfile(entry, content)
    return packed.getvalue()


def chart_files(chart: Path) -> Iterator[Path]:
    """What belongs into the package: all but what .helmignore names. Chart.yaml comes first, as helm has it."""
    lines = (chart / ".helmignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    files = sorted((path for path in chart.rglob("*") if path.is_file()), key=lambda p: (p.name != "Chart.yaml", p))
    for path in files:
        if not any(_ignored(path.relative_to(chart).parts, pattern) for pattern in patterns):
            yield path


def build(out: Path) -> list[Path]:
    """Build everything into the folder, which an earlier run may have filled; returns the files."""
    made = int(os.environ.get("SOURCE_DATE_EPOCH") or _commit_time())
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():
        old.unlink()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(out)],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(made)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (out / f"{NAME}-{_chart()['version']}.tgz").write_bytes(chart_package(made))
    document = sbom(LOCK.read_text(), __version__, datetime.fromtimestamp(made, UTC))
    (out / SBOM).write_text(json.dumps(document, indent=2) + "\n")
    (out / NOTES).write_text(notes())
    built = sorted(out.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in built]
    (out / CHECKSUMS).write_text("".join(sums))
    return [*built, out / CHECKSUMS]


def main() -> int:
    """Check, build, list; 1 when something does not agree with the version."""
    parser = argparse.ArgumentParser(description="Build what a release consists of.")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="the folder, emptied first (default: dist)")
    parser.add_argument("--tag", help="the tag that is released, such as v0.2.0")
    args = parser.parse_args()
    found = complaints(args.tag)
    if args.out.exists() and any(args.out.iterdir()) and not (args.out / CHECKSUMS).exists():
        found.append(f"{args.out} holds files of something else; name an empty folder")
    for line in found:
        print(line, file=sys.stderr)
    if found:
        return 1
    for path in build(args.out):
        print(f"{path.stat().st_size:>9}  {path}")
    return 0


def _chart() -> dict[str, str]:
    chart: dict[str, str] = yaml.safe_load((CHART / "Chart.yaml").read_text())
    return chart


def _ignored(parts: tuple[str, ...], pattern: str) -> bool:
    """By helm's rules, as far as our .helmignore uses them: a name anywhere, or with a leading slash at the top."""
    name = pattern.strip("/")
    within = parts[:-1] if pattern.endswith("/") else parts
    return any(fnmatch.fnmatch(part, name) for part in (within[:1] if pattern.startswith("/") else within))


def _commit_time() -> str:
    """Of the newest commit; outside a clone, the first moment that an archive can hold."""
    git = ["git", "-c", "safe.directory=*", "log", "-1", "--format=%ct"]
    done = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "315532800"


if __name__ == "__main__":
    sys.exit(main())
