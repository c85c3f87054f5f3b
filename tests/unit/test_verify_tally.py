"""What a report says must follow from its counts, and hold nothing of any visitor."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from connector.cli.verify import textfile
from connector.cli.verify.view import Report, print_json, print_text
from connector.verify.judge import Judgement, Verdict
from connector.verify.tally import Conclusion, Tally


def tally(drawn: int, *visitors: Mapping[str, Judgement] | Verdict) -> Tally:
    """Of visitors with these judgements, or with one attribute of this verdict."""
    made = Tally(drawn=drawn)
    for each in visitors:
        judgements = {"a": Judgement(each)} if isinstance(each, Verdict) else each
        made.add(judgements, is_known=all(one.verdict is not Verdict.UNKNOWN for one in judgements.values()))
    return made


def report(made: Tally, failed: int = 0) -> Report:
    """A report around it."""
    return Report(("profile-changes",), 48.0, 1_000, 200, 3_600.0, made, failed)


def text(made: Tally, failed: int = 0) -> str:
    """As people see it, in one line."""
    out = io.StringIO()
    print_text(out, report(made, failed))
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize(
    ("drawn", "visitors", "conclusion"),
    [
        (0, [], Conclusion.TOO_FEW),
        (2, [Verdict.MATCH, Verdict.MATCH], Conclusion.GOOD),
        (2, [Verdict.MATCH, Verdict.UNKNOWN], Conclusion.GOOD),
        (3, [Verdict.MATCH, Verdict.UNKNOWN, Verdict.LATE], Conclusion.TOO_FEW),
        (3, [Verdict.MATCH], Conclusion.TOO_FEW),
        (1, [Verdict.OVERWRITTEN], Conclusion.TOO_FEW),
        (1, [Verdict.EMPTY_IGNORED], Conclusion.TOO_FEW),
        *[(9, [harm], Conclusion.HARMED) for harm in (Verdict.LOST, Verdict.REPLACED, Verdict.CUT)],
    ],
)
def test_harm_is_told_however_few_and_its_absence_only_of_enough(
    drawn: int, visitors: list[Verdict], conclusion: Conclusion
) -> None:
    """An exit code of 0 with nobody judged would be believed for months."""
    made = tally(drawn, *visitors)
    assert made.conclusion is conclusion
    assert made.conclusion.value in (0, 1, 3)


def test_the_bound_is_that_of_the_visitors_that_could_be_judged() -> None:
    """Three hundred without harm say below one percent; with harm, both bounds are told."""
    good = tally(300, *[Verdict.MATCH] * 300)
    assert "0 of 300 visitors that could be judged have a lost, replaced or cut value" in text(good)
    assert "below 0.99 % of all visitors, at 95 % confidence." in text(good)
    harmed = tally(302, *[Verdict.MATCH] * 297, *[Verdict.LOST] * 3, *[Verdict.LATE] * 2)
    assert "3 of 300 visitors" in text(harmed)
    assert "between 0.21 % and 2.9 % of all visitors" in text(harmed)
    assert tally(0).bounds == (0.0, 1.0)


def test_a_visitor_counts_once_however_many_attributes() -> None:
    """The sample is of visitors: attributes of one are lost together, and would pretend more certainty."""
    made = tally(1, {"a": Judgement(Verdict.LOST), "b": Judgement(Verdict.LOST), "c": Judgement(Verdict.MATCH)})
    assert (made.judged, made.harmed, made.attributes[Verdict.LOST], made.visitors[Verdict.LOST]) == (1, 1, 2, 1)


def test_hints_name_what_to_look_at() -> None:
    """Each only where the counts say so."""
    matched = Judgement(Verdict.MATCH, applied_after=30.0)
    gone = {"a": Judgement(Verdict.REPLACED, is_followed=True), "b": matched}
    assert "consecutive updates override each other" in text(tally(5, *[gone] * 5))
    kept = {"a": Judgement(Verdict.MATCH, is_followed=True), "b": matched}
    assert "override" not in text(tally(6, *[gone] * 5, kept))
    assert "half within 30 s" in text(tally(1, kept))
    assert "look at TARGET_CLIENT_CODE" in text(tally(2, Verdict.UNKNOWN, Verdict.UNKNOWN))
    assert "connector verify --round-trip ID" in text(tally(1, Verdict.LOST))
    assert "1 could not be fetched." in text(tally(1), failed=1)
    assert "Nothing could be judged." in text(tally(1))
    assert "Fewer than half could be judged." in text(tally(3, Verdict.MATCH))


def test_the_json_has_every_count() -> None:
    """One line; every verdict, also those of which there are none."""
    out = io.StringIO()
    print_json(out, report(tally(2, Verdict.MATCH, Verdict.CUT)))
    found = json.loads(out.getvalue())
    assert set(found["attributes"]) == set(Verdict)
    assert found["conclusion"] == "harmed"
    assert found["applied_seconds"] == {"p50": None, "p95": None, "most": None}
    assert found["harmed_share"]["confidence"] == 0.95


def test_the_textfile_has_every_metric_of_its_list(tmp_path: Path) -> None:
    """Alerts are written on these names; the file is replaced as a whole."""
    file = tmp_path / "verify.prom"
    made = tally(1, {"a": Judgement(Verdict.MATCH, applied_after=4.0)})
    textfile.write(file, report(made), 0, 17.0)
    written = file.read_text()
    assert {line.split()[2] for line in written.splitlines() if line.startswith("# TYPE")} == set(textfile.METRICS)
    assert 'target_connector_verify_applied_seconds{quantile="0.5"} 4.0' in written
    assert "target_connector_verify_timestamp_seconds 17.0" in written
    assert list(tmp_path.iterdir()) == [file]
