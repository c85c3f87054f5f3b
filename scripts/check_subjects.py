"""Says which commits of a change have no subject of 1 to 72 characters.

python3 scripts/check_subjects.py origin/main..HEAD     the commits of a range, but for merges
python3 scripts/check_subjects.py FILE                  the message of a commit that is being made (commit-msg hook)

Only the commits of the change are looked at: history that exists stays as it is.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MOST: Final = 72


def complaint(commit: str, subject: str) -> str:
    """What is wrong with a subject; empty when nothing is."""
    if 1 <= len(subject) <= MOST:
        return ""
    return f"{commit}: its subject has {len(subject)} characters, 1 to {MOST} are allowed; the rest belongs in the body"


def first_line(message: str) -> str:
    """The subject that git will take from a message with its comments."""
    lines = (line.strip() for line in message.splitlines() if not line.startswith("#"))
    return next((line for line in lines if line), "")


def subjects(commits: str) -> Iterator[tuple[str, str]]:
    """Abbreviated commit and subject of each commit of a range; merges are git's own words."""
    git = ["git", "-c", "safe.directory=*", "log", "--no-merges", "--format=%h %s", commits, "--"]
    done = subprocess.run(git, capture_output=True, text=True, check=True, encoding="utf-8")
    for line in done.stdout.splitlines():
        commit, _, subject = line.partition(" ")
        yield commit, subject


def main(arguments: list[str]) -> int:
    """Look at a file or a range; 1 when a subject is wrong, 2 when there is nothing to look at."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        if path.is_file():
            found = [("this commit", first_line(path.read_text(encoding="utf-8")))]
        else:
            found = list(subjects(arguments[0]))
    except subprocess.CalledProcessError as error:
        print(f"{arguments[0]} is neither a file nor a range of commits: {error.stderr.strip()}", file=sys.stderr)
        return 2
    wrong = [said for commit, subject in found if (said := complaint(commit, subject))]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
