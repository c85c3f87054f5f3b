"""A release is what scripts/release.py builds and scripts/publish sends: complete, of one version, reproducible."""

import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector import __version__
from scripts import check_subjects, release
from scripts.sbom import pins

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NAME = "target-profile-connector"
DIGEST = f"sha256:{'0' * 64}"


def run(*words: str, cwd: Path = ROOT, **around: str) -> "subprocess.CompletedProcess[str]":
    """Run a program without a terminal."""
    return subprocess.run(words, cwd=cwd, env={**os.environ, **around}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of `make release`, in a folder of its own."""
    folder = tmp_path_factory.mktemp("dist")
    done = run(sys.executable, "-m", "scripts.release", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


def test_it_has_all_parts_and_a_sum_of_each(dist: Path) -> None:
    """The attestation covers the checksums: a file without one is not attested."""
    assert sorted(path.name for path in dist.iterdir()) == [
        "RELEASE_NOTES.md",
        "SHA256SUMS",
        "sbom.cdx.json",
        f"{NAME}-{chart()['version']}.tgz",
        f"target_profile_connector-{__version__}-py3-none-any.whl",
        f"target_profile_connector-{__version__}.tar.gz",
    ]
    lines = (line.split("  ") for line in (dist / "SHA256SUMS").read_text().splitlines())
    assert {name: digest for digest, name in lines} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in dist.iterdir() if path.name != "SHA256SUMS"
    }


def test_the_same_commit_gives_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    """Otherwise a release could not be verified by building it."""
    assert run(sys.executable, "-m", "scripts.release", "--out", str(tmp_path)).returncode == 0
    assert (tmp_path / "SHA256SUMS").read_text() == (dist / "SHA256SUMS").read_text()


def test_wheel_chart_changelog_and_image_have_one_version(dist: Path) -> None:
    """A reported version must be unambiguous."""
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"target_profile_connector-{__version__}.dist-info/METADATA").decode()
    assert f"\nVersion: {__version__}\n" in metadata
    assert chart()["appVersion"] == __version__
    assert re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0] == __version__
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "\nARG VERSION=unknown\n" in dockerfile
    assert 'org.opencontainers.image.version="${VERSION}"' in dockerfile
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"] == ["version"]


def test_the_sdist_builds_the_same_wheel(dist: Path, tmp_path: Path) -> None:
    """A packager has nothing else."""
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    done = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=source)
    assert done.returncode == 0, done.stderr
    (built,) = tmp_path.glob("*.whl")
    (released,) = dist.glob("*.whl")
    assert contents(built) == contents(released)


def contents(wheel: Path) -> dict[str, bytes]:
    """Name and bytes of every file of it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_chart_package_has_every_file_but_the_ignored_ones(dist: Path) -> None:
    """As in the package that helm itself made of the previous version."""
    packed = (dist / f"{NAME}-{chart()['version']}.tgz").read_bytes()
    folder = ROOT / "helm" / NAME
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        names = archive.getnames()
        assert names[0] == f"{NAME}/Chart.yaml"
        for name in names:
            member = archive.extractfile(name)
            assert member is not None
            assert member.read() == (folder.parent / name).read_bytes()
    present = {f"{NAME}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*") if path.is_file()}
    assert present - set(names) == {name for name in present if name.startswith(f"{NAME}/ci/")}
    assert f"{NAME}/templates/tests/check.yaml" in names
    (previous,) = (ROOT / "tests" / "chart" / "previous").glob("*.tgz")
    with tarfile.open(previous) as archive:
        assert set(archive.getnames()) <= set(names)


def test_the_sbom_names_what_the_image_installs(dist: Path) -> None:
    """Every pin for Linux, none for another platform, and each with what needs it."""
    document: dict[str, Any] = json.loads((dist / "sbom.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["version"] == __version__
    lock = (ROOT / "requirements-image.lock").read_text()
    components = {part["purl"] for part in document["components"]}
    assert components == {pin.purl for pin in pins(lock)}
    for windows_only in ("colorama", "tzdata"):
        assert not any(f"/{windows_only}@" in purl for purl in components)
    edges = {edge["ref"]: edge["dependsOn"] for edge in document["dependencies"]}
    (ours,) = [purl for purl in edges if f"/{NAME}@" in purl]
    needs = {purl.split("/")[1].split("@")[0] for purl in edges[ours]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    assert needs == {re.split(r"[^A-Za-z0-9-]", line)[0] for line in asked}
    needed = {purl for found in edges.values() for purl in found}
    assert needed == components, "each is required by another"


def test_the_notes_are_the_newest_section(dist: Path) -> None:
    """Without the older sections and without empty parts."""
    notes = (dist / "RELEASE_NOTES.md").read_text()
    assert notes.startswith("### Added\n- ")
    assert "## [" not in notes
    for part in re.split(r"^### ", notes, flags=re.MULTILINE)[1:]:
        assert "\n- " in part


@pytest.mark.parametrize(
    ("tag", "said"),
    [("v9.9.9", f"the tag v9.9.9 is not that of the version: v{__version__}"), (__version__, "is not that of the")],
)
def test_a_tag_of_another_version_is_refused(tag: str, said: str, tmp_path: Path) -> None:
    """Code 1 before anything is built."""
    done = run(sys.executable, "-m", "scripts.release", "--out", str(tmp_path / "dist"), "--tag", tag)
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / "dist").exists()


def test_a_release_needs_the_date_of_its_section(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tag on an unreleased section is a release without notes."""
    monkeypatch.setattr(release, "CHANGELOG", tmp_path / "CHANGELOG.md")
    for date, wrong in (("Unreleased", 1), ("2026-12-01", 0)):
        (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{__version__}] - {date}\n\n### Added\n- x\n")
        assert len(release.complaints(f"v{__version__}")) == wrong
        assert release.complaints(None) == []
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [0.0.1] - 2026-12-01\n")
    assert "the newest section must be" in release.complaints(None)[0]


def test_a_folder_of_something_else_is_not_emptied(tmp_path: Path) -> None:
    """A mistyped --out must not cost a home directory."""
    (tmp_path / "thesis.tex").write_text("x")
    assert run(sys.executable, "-m", "scripts.release", "--out", str(tmp_path)).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def chart() -> dict[str, str]:
    """What Chart.yaml says."""
    about: dict[str, str] = yaml.safe_load((ROOT / "helm" / NAME / "Chart.yaml").read_text())
    return about


# Publishing, with stubs for the programs that need the network.


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Docker, helm and gh that log their arguments, and answer as the real ones do."""
    folder = tmp_path / "bin"
    folder.mkdir()
    answers = {
        "docker": f'case "$*" in *RepoDigests*) echo "x/y@{DIGEST}" ;; esac',
        "helm": f'case "$1" in push) echo "Pushed: x"; echo "Digest: {DIGEST}" ;; esac',
        "gh": "",
    }
    for name, answer in answers.items():
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/asked"\n{answer}\n')
        program.chmod(0o755)
    return folder


def publish(what: str, programs: Path, **around: str) -> "subprocess.CompletedProcess[str]":
    """Call scripts/publish with the stubs first on the path."""
    token = {"REGISTRY": "registry.example.com/Acme", "REGISTRY_USER": "someone", "REGISTRY_TOKEN": "s3cret-token"}
    output, path = str(programs.parent / "output"), f"{programs}:{os.environ['PATH']}"
    variables = {**os.environ, **token, "PATH": path, "GITHUB_OUTPUT": output, **around}
    return subprocess.run(
        ["scripts/publish", what], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


def test_the_image_is_built_with_its_version_pushed_and_named_by_digest(programs: Path, tmp_path: Path) -> None:
    """The attestation is about the digest; a token on a command line would be in every process list."""
    done = publish("image", programs)
    assert done.returncode == 0, done.stderr
    name = f"registry.example.com/acme/{NAME}"
    assert done.stdout == (tmp_path / "output").read_text() == f"name={name}\ndigest={DIGEST}\n"
    login, build, push, _ = (tmp_path / "asked").read_text().splitlines()
    assert login == "docker login registry.example.com --username someone --password-stdin"
    assert f"--build-arg VERSION={__version__} --build-arg REVISION=" in build
    assert build.endswith(f"--tag {name}:{__version__} .")
    assert push == f"docker push {name}:{__version__}"


def test_the_chart_is_pushed_as_an_oci_artifact(programs: Path, tmp_path: Path) -> None:
    """The package that was built and attested, not a new one."""
    done = publish("chart", programs)
    assert done.returncode == 0, done.stderr
    name = f"registry.example.com/acme/charts/{NAME}"
    assert (tmp_path / "output").read_text() == f"name={name}\ndigest={DIGEST}\n"
    assert "oci://registry.example.com/acme/charts" in (tmp_path / "asked").read_text().splitlines()[1]


def test_the_release_has_the_files_and_the_notes(programs: Path, tmp_path: Path) -> None:
    """On a tag that exists."""
    done = publish("github", programs, GH_TOKEN="s3cret-token", TAG="v1.2.3")
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "asked").read_text()
    assert asked.startswith("gh release create v1.2.3 --verify-tag --title v1.2.3 --notes-file dist/RELEASE_NOTES.md ")


@pytest.mark.parametrize(
    ("what", "around", "said"),
    [
        ("image", {"REGISTRY_TOKEN": ""}, "scripts/publish: REGISTRY_TOKEN is not set"),
        ("github", {"TAG": "v1", "GH_TOKEN": ""}, "scripts/publish: GH_TOKEN is not set"),
        ("wheel", {}, "usage: scripts/publish image|chart|github"),
    ],
)
def test_what_is_missing_is_named(what: str, around: dict[str, str], said: str, programs: Path, tmp_path: Path) -> None:
    """Code 2 before anything is built or sent."""
    done = publish(what, programs, **around)
    assert (done.returncode, done.stderr) == (2, f"{said}\n")
    assert not (tmp_path / "asked").exists()


# The workflows.


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    """Every step of every job."""
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        yield from job.get("steps", [])
        if "uses" in job:
            yield {"uses": job["uses"]}


def targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_runs_only_scripts_and_targets_of_this_tree(workflow: Path) -> None:
    """Logic in a workflow cannot be run before a push."""
    runs = [step["run"] for step in steps(workflow) if "run" in step]
    assert runs
    for line in runs:
        assert "\n" not in line.strip(), "one command a step"
        words = shlex.split(line)
        if words[0] == "make":
            assert words[1] in targets()
        else:
            program = words[1] if words[0] == "python3" else words[0]
            assert (ROOT / program).is_file(), line
            assert words[0] == "python3" or os.access(ROOT / program, os.X_OK), line


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_its_commit(workflow: Path) -> None:
    """A tag can be moved to other code; the comment says which version it was."""
    for line in workflow.read_text().splitlines():
        if (found := re.search(r"uses: (\S+)(.*)$", line)) is None:
            continue
        if found[1].startswith("./"):
            assert (ROOT / found[1]).is_file()
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", found[1]), line
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", found[2]), line


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_says_more(workflow: Path) -> None:
    """A token with all rights is an attacker's target; an expression in a shell line is a way to it."""
    document = yaml.safe_load(workflow.read_text())
    assert document["permissions"] == {"contents": "read"}
    assert not [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")]
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_ci_runs_the_oldest_and_the_newest_python() -> None:
    """Of those that the package says it supports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [text.rpartition(" ")[2] for text in project["classifiers"] if re.search(r":: 3\.\d+$", text)]
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["ci"]
    assert ci["strategy"]["matrix"]["python"] == [named[0], named[-1]]
    assert [step["run"] for step in ci["steps"] if "run" in step] == [".ci/run"]


def test_the_hooks_run_what_exists() -> None:
    """Only programs of this clone: a hook that downloads fails behind a proxy."""
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    for hook in repo["hooks"]:
        words = shlex.split(hook["entry"])
        assert hook["language"] == "system"
        assert words[1] in targets() if words[0] == "make" else (ROOT / words[-1]).is_file()
    assert "make lint" in [hook["entry"] for hook in repo["hooks"]]


def test_templates_and_dependabot_are_readable() -> None:
    """A template with an error is not offered, silently."""
    for path in (ROOT / ".github").rglob("*.yml"):
        assert yaml.safe_load(path.read_text()), path
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"):
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= form.keys()
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids))


# Subjects of commits.


@pytest.mark.parametrize(
    ("message", "subject"),
    [("Say it\n\nmore\n", "Say it"), ("# a comment\n\n  Say it  \n", "Say it"), ("# nothing\n", ""), ("", "")],
)
def test_the_subject_is_the_first_line_that_git_keeps(message: str, subject: str) -> None:
    """As a commit-msg hook gets the message."""
    assert check_subjects.first_line(message) == subject


@pytest.mark.parametrize(("length", "wrong"), [(0, True), (1, False), (72, False), (73, True)])
def test_a_subject_has_1_to_72_characters(length: int, wrong: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """Characters, not bytes."""
    said = check_subjects.complaint("abc1234", "ä" * length)
    assert bool(said) is wrong
    if wrong:
        assert said.startswith(f"abc1234: its subject has {length} characters, 1 to 72 are allowed")


def test_only_the_commits_of_a_change_are_looked_at(tmp_path: Path) -> None:
    """Existing history cannot be changed."""
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    script = str(ROOT / "scripts" / "check_subjects.py")
    assert run("git", "init", "-q", str(tmp_path)).returncode == 0
    for subject in ("x" * 99, "good", "too long " * 9):
        assert run("git", "commit", "-q", "--allow-empty", "-m", subject, cwd=tmp_path, **who).returncode == 0
    good = run(sys.executable, script, "HEAD~2..HEAD~1", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    bad = run(sys.executable, script, "HEAD~2..HEAD", cwd=tmp_path)
    assert bad.returncode == 1
    assert len(bad.stderr.splitlines()) == 1
    assert run(sys.executable, script, "HEAD..HEAD", cwd=tmp_path).returncode == 0
    assert run(sys.executable, script, "nothing..HEAD", cwd=tmp_path).returncode == 2
    assert run(sys.executable, script, cwd=tmp_path).returncode == 2
