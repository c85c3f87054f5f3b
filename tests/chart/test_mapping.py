"""A mapping in the values, or in a ConfigMap of the user's, is what the connector reads at its start."""

import json
from typing import Any

import pytest

from connector.mapping import load
from tests.support.chart import Chart, Objects

TEXT = """\
# The connector reads this by the rules of YAML 1.2.
version: 1
sources:
  - topics: [profile-changes]
    format: json
    when: [{path: state, in: [on, "10.50", 10.50]}]
    visitor: {mbox3rdPartyId: "$headers['a.b']"}
    attributes: {points: {path: p, default: 10000000}, text: {template: "<{a}> & {b}"}}
"""
OBJECT: dict[str, Any] = {
    "version": 1,
    "sources": [
        {
            "topics": ["profile-changes"],
            "format": "json",
            "visitor": {"mbox3rdPartyId": "$headers['a.b']"},
            "attributes": {"points": {"path": "p", "default": 10000000}, "text": {"template": "<{a}> & {b}"}},
        }
    ],
}
"""The same without the condition, whose words YAML in Helm reads otherwise."""


def mounted(objects: Objects) -> str:
    """The file that EVENT_MAPPING_FILE names, from the volume that is mounted at its folder."""
    folder, _, name = objects.environment()["EVENT_MAPPING_FILE"].rpartition("/")
    (mount,) = [mount for mount in objects.container()["volumeMounts"] if mount["mountPath"] == folder]
    (volume,) = [volume for volume in objects.pod["volumes"] if volume["name"] == mount["name"]]
    (item,) = [item for item in volume["configMap"]["items"] if item["path"] == name]
    text: str = objects.of("ConfigMap", volume["configMap"]["name"])["data"][item["key"]]
    return text


def checksums(objects: Objects) -> dict[str, str]:
    """What makes new pods when it changes."""
    annotations: dict[str, str] = objects.workload["spec"]["template"]["metadata"]["annotations"]
    return {name: text for name, text in annotations.items() if name.startswith("checksum/")}


def test_a_text_arrives_as_it_is(chart: Chart) -> None:
    """With its comment, and with words and numbers that YAML in Helm would read otherwise."""
    assert mounted(chart.render("minimal", values={"event": {"mapping": TEXT}})) == TEXT


def test_an_object_arrives_as_the_same_mapping(chart: Chart) -> None:
    """A template that writes it as YAML makes 1e+07 of 10000000, and that is what would be sent."""
    objects = chart.render("minimal", values={"event": {"mapping": OBJECT}})
    assert load(mounted(objects)) == load(json.dumps(OBJECT))
    assert "10000000" in mounted(objects)


def test_a_changed_mapping_makes_new_pods_and_nothing_else_does(chart: Chart) -> None:
    """The file is read at the start alone; a Pod that runs on with the old one would be a mapping nobody sees."""
    first = checksums(chart.render("minimal", values={"event": {"mapping": TEXT}}))
    again = checksums(chart.render("minimal", values={"event": {"mapping": TEXT}, "replicaCount": 2}))
    other = checksums(chart.render("minimal", values={"event": {"mapping": TEXT + "# another\n"}}))
    assert first == again
    assert first["checksum/mapping"] != other["checksum/mapping"]


def test_a_config_map_of_the_users_is_mounted_and_none_is_made(chart: Chart) -> None:
    """Its text may come from another repository; the chart must not write a second one beside it."""
    objects = chart.render("minimal", values={"event": {"existingMappingConfigMap": "ours"}})
    (volume,) = [volume for volume in objects.pod["volumes"] if volume["name"] == "mapping"]
    assert volume["configMap"] == {"name": "ours", "items": [{"key": "mapping.yaml", "path": "mapping.yaml"}]}
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "ConfigMap"] == ["x-target-profile-connector"]
    assert objects.environment()["EVENT_MAPPING_FILE"].endswith("/mapping.yaml")
    assert "checksum/mapping" not in checksums(objects)


def test_a_release_without_a_mapping_mounts_none(chart: Chart) -> None:
    """A volume of a ConfigMap that is not there keeps every Pod from starting."""
    objects = chart.render("minimal")
    assert [volume["name"] for volume in objects.pod["volumes"]] == ["tmp"]
    assert "EVENT_MAPPING_FILE" not in objects.environment()


@pytest.mark.parametrize(
    ("registry", "ports"),
    [
        ({}, [443]),
        ({"url": "https://registry"}, [443]),
        ({"url": "http://one:8081/apis/ccompat/v7, https://me:pass%40@[2001:db8::1]:8443"}, [443, 8081, 8443]),
        ({"url": "http://one/8085:1", "oauthTokenUrl": "https://login:9443/t"}, [443, 80, 9443]),
    ],
)
def test_the_network_policy_lets_out_to_the_registry(chart: Chart, registry: dict[str, str], ports: list[int]) -> None:
    """A registry that is not reached holds every partition of Avro back; the policy's author may not think of it."""
    if "oauthTokenUrl" in registry:
        registry = {**registry, "oauthClientId": "a", "oauthClientSecret": "b"}
    values = {"networkPolicy": {"enabled": True}, "schemaRegistry": registry}
    egress = chart.render("minimal", values=values).of("NetworkPolicy")["spec"]["egress"]
    assert [port["port"] for port in egress[2]["ports"]] == ports
