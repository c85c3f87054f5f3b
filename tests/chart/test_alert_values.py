"""An alert with false alarms must be disabled or tuned by a value, or operators disable all of them."""

from typing import Any

from tests.support.chart import Chart

OWN = {"alert": "Ours", "expr": "up == 0", "annotations": {"summary": "{{ $labels.pod }}"}}


def groups(chart: Chart, **values: Any) -> dict[str, list[dict[str, Any]]]:
    """The rules of each group, as rendered."""
    rule = chart.render("minimal", values={"prometheusRule": {"enabled": True, **values}}).of("PrometheusRule")
    return {group["name"]: group["rules"] for group in rule["spec"]["groups"]}


def test_a_disabled_alert_is_left_out_and_no_other(chart: Chart) -> None:
    """Catches a template that drops the group, or the rule beside it."""
    name = "TargetConnectorQuotaNearlyUsed"
    before = groups(chart)["target-profile-connector"]
    after = groups(chart, disabled=[name])["target-profile-connector"]
    assert any(rule["alert"] == name for rule in before)
    assert after == [rule for rule in before if rule["alert"] != name]


def test_own_rules_go_in_as_they_are(chart: Chart) -> None:
    """Their `{{ $labels.pod }}` is for Prometheus; a runbook's link is for ours only."""
    found = groups(chart, additionalRules=[OWN], runbookUrl="https://example.com/runbook")
    assert found.pop("target-profile-connector-additional") == [OWN]
    assert list(found) == ["target-profile-connector"]


def test_a_name_that_is_no_alert_is_refused_with_those_there_are(chart: Chart) -> None:
    """A typo would leave the alert on while its operator believes that it is off."""
    said = chart.refusal("prometheusRule.enabled=true", "prometheusRule.disabled={TargetConnectorLagGrows}")
    assert "prometheusRule.disabled: there is no alert TargetConnectorLagGrows; there are TargetConnectorGone, " in said
