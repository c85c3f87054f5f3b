"""Community pages (CONTRIBUTING and the like) name only what exists: links, files, targets, variables."""

import re
from pathlib import Path

import pytest

from connector.cli import COMMANDS
from connector.settings import describe

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CODE_OF_CONDUCT.md",
    ROOT / "CHANGELOG.md",
    ROOT / "docs" / "releasing.md",
    ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md",
]
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[.\w/-]+\.(?:py|md|yaml|yml|json|tpl)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    """A dead link loses a new reader."""
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_and_command_exists(page: Path) -> None:
    """As in the README."""
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)\b", " ".join(_CODE.findall(text)))) <= targets
    commands = {command.name for command in COMMANDS}
    assert set(re.findall(r"`(?:\S*/)?connector ([a-z]+)", text)) <= commands


def test_every_file_of_a_recipe_is_there() -> None:
    """A moved file leaves a recipe that cannot be followed."""
    named = {name for code in _CODE.findall((ROOT / "CONTRIBUTING.md").read_text()) for name in _FILE.findall(code)}
    bare = {"_helpers.tpl", "CHANGELOG.md"}
    assert named >= {"connector/settings/model.py", "connector/ops/metrics.py", "connector/ops/events.py"}
    assert [name for name in sorted(named - bare) if not (ROOT / name).exists()] == []


def test_every_setting_that_security_speaks_of_exists() -> None:
    """A promise about a missing setting is void."""
    known = {doc.name for doc in describe()}
    assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)", (ROOT / "SECURITY.md").read_text())) <= known


def test_the_changelog_has_its_form() -> None:
    """Sections of versions, each with parts of Keep a Changelog alone, the newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (Unreleased|\d{4}-\d{2}-\d{2})", heading) for heading in headings)
    versions = [tuple(map(int, re.findall(r"\d+", heading)[:3])) for heading in headings]
    assert versions == sorted(versions, reverse=True)
    parts = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert parts <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
