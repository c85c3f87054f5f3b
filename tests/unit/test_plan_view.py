"""An engineer reads the tables, a program the JSON: both must have each number under its own name."""

import json
from io import StringIO

from connector.cli.plan_view import print_json, print_text
from connector.plan import Cost, LingerForecast, Quota, SurveyResult
from tests.support import surveys

QUOTA = Quota()
MANY = 123_456_789.0


def forecast(linger: float, calls: float) -> LingerForecast:
    """A forecast whose numbers all differ."""
    return LingerForecast(
        linger=linger,
        updates=7,
        updates_per_day=calls,
        quota_share=12.34567,
        delay_p50=1.0,
        delay_p99=600.0,
        peak_visitors=1_999_999,
        peak_bytes=9_999 << 20,
        paused=60.0,
        longest_wait=0.0,
        with_unchanged=Cost(calls, 12.34567, 60.0),
        without_unchanged=Cost(0.6 * calls, 7.0, 0.0),
        unchanged_bytes=1_234,
        updates_per_day_by_class={"high": 0.00123 * calls, "normal": 0.75 * calls, "low": 0.25 * calls},
        updates_per_day_older_than={
            3_600: 0.41 * calls,
            21_600: 0.31 * calls,
            86_400: 0.21 * calls,
            604_800: 0.00011 * calls,
        },
    )


def found(*outlooks: LingerForecast) -> SurveyResult:
    """A day's records."""
    return surveys.found(outlooks, records=10, events=10, unchanged_seconds=7_200.0, calls_per_update=1.2)


def test_the_tables_show_every_number_in_100_columns() -> None:
    """Wrong designs: a cut number; an age in the row of a linger with which the service refuses it."""
    file = StringIO()
    print_text(file, ["t"], found(forecast(0.0, MANY), forecast(3_600.0, 0.0)), QUOTA, None, [])
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert "…" not in file.getvalue()
    words = [" ".join(line.split()) for line in lines]
    assert words[-3:-1] == [
        "0 s 123,456,789 74,074,073 0.12 % 75 % 25 % 41 % 31 % 21 % 0.011 %",
        "1 h 0 0 - - - - - - -",
    ]
    assert words[-6:-4] == [
        "unchanged unchanged class class class older older older older",
        "linger sent left out high normal low > 1 h > 6 h > 1 day > 7 days",
    ]
    assert any("left out by COALESCE_UNCHANGED_SECONDS=7200." in line for line in lines)
    file = StringIO()
    print_text(file, ["t"], found(forecast(3_600.0, 100.0)), QUOTA, None, [])
    assert " ".join(file.getvalue().splitlines()[-2].split()).endswith(" 25 % - 31 % 21 % 0.011 %")


def test_the_object_has_each_number_by_a_stable_name() -> None:
    """Scripts read these; wrong design: a name that changes, or numbers that only the table has."""
    file = StringIO()
    print_json(file, ["t"], found(forecast(0.0, 1_000.0)), QUOTA, 0.0, ["Say."])
    report = json.loads(file.getvalue())
    assert (report["unchanged_seconds"], report["calls_per_update"]) == (7_200.0, 1.2)
    (row,) = report["lingers"]
    assert list(row) == [
        *("linger", "updates", "updates_per_day", "quota_share", "delay_p50", "delay_p99", "peak_visitors"),
        *("peak_bytes", "paused", "longest_wait", "with_unchanged", "without_unchanged", "unchanged_bytes"),
        *("updates_per_day_by_class", "updates_per_day_older_than"),
    ]
    assert row["with_unchanged"] == {"updates_per_day": 1_000.0, "quota_share": 12.34567, "paused": 60.0}
    assert row["without_unchanged"] == {"updates_per_day": 600.0, "quota_share": 7.0, "paused": 0.0}
    assert row["updates_per_day_by_class"] == {"high": 1.23, "normal": 750.0, "low": 250.0}
    assert row["updates_per_day_older_than"] == {"3600": 410.0, "21600": 310.0, "86400": 210.0, "604800": 0.11}
