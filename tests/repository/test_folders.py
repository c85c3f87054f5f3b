"""Each test folder has one line that says what belongs there, and no test lives anywhere else."""

import re
from pathlib import Path

from tests.conftest import COMPUTING, WAITING

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
ROWS = re.findall(
    r"^\| `tests/(\w+)` \| (.+?) \| .*\|$", (ROOT / "docs" / "development.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_every_folder_says_in_one_line_what_belongs_there() -> None:
    """One row a folder in docs/development.md, no row without a folder, no two folders for the same."""
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))}
    assert sorted(name for name, _ in ROWS) == sorted(folders)
    assert len({what for _, what in ROWS}) == len(ROWS)


def test_every_folder_of_the_plain_run_has_its_turn() -> None:
    """A folder that is in neither list would come last, when only one worker is left to run it."""
    apart = {"support", "chart", "image", "cluster"}
    assert sorted((*WAITING, *COMPUTING)) == sorted({name for name, _ in ROWS} - apart)


def test_no_test_lives_outside_of_its_folder() -> None:
    """Support holds no test, and the root of the tests holds none either."""
    homes = {name for name, _ in ROWS} - {"support"}
    strays = [path for path in TESTS.rglob("test_*.py") if path.relative_to(TESTS).parts[0] not in homes]
    assert strays == []


def test_every_test_file_that_a_page_names_exists() -> None:
    """A guarantee names its test: after a move the name must still be right."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"`(tests/[\w/*.]+)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert [name for name in sorted(named) if not any(ROOT.glob(name))] == []
