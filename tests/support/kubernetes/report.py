"""Results of a run on the cluster, as the table that docs/kubernetes.md keeps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Step:
    """One line of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.saw = ""
        self._began = time.monotonic()
        self._seconds: float | None = None

    def close(self) -> None:
        """Its duration; the first call counts."""
        if self._seconds is None:
            self._seconds = time.monotonic() - self._began

    @property
    def seconds(self) -> float:
        """So far, or in all."""
        return time.monotonic() - self._began if self._seconds is None else self._seconds

    def __str__(self) -> str:
        return f"| {self.name} | {self.seconds:.0f} s | {self.saw} |"


class Report:
    """The lines in order."""

    def __init__(self) -> None:
        self.versions = ""
        self._steps: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; the caller sets what was seen."""
        step = Step(name)
        self._steps.append(step)
        try:
            yield step
        finally:
            step.close()

    def __str__(self) -> str:
        return "\n".join([self.versions, "", "| step | took | seen |", "|---|---|---|", *map(str, self._steps)])
