"""What is wrong in a mapping is found at start: all of it, with line, field and the nearest right name."""

import pytest

from connector.mapping import BadMapping, Mistake, check_topics, load, rules, unmapped_topics
from connector.mapping.paths import BadPath, Path, Root, Select, parse_path, parse_template

GOOD = """\
version: 1
sources:
  - topics: [crm]
    format: json
    visitor: {mbox3rdPartyId: id}
    attributes: {tier: tier}
"""
FORMATS = "json, json-schema, avro, protobuf, cloudevents, debezium, connect-json"
FORMS = (
    "epoch-s, epoch-ms, epoch-us, epoch-ns, epoch-days, join, lower, upper, hex, base64, {decimal: SCALE}, {join: TEXT}"
)
NAME_NEEDED = "a name must follow the dot; one with spaces, dots or quotes is written ['so']"


def mistakes(text: str) -> list[str]:
    """Return what the loader says about a mapping."""
    with pytest.raises(BadMapping) as caught:
        load(text)
    assert str(caught.value) == "\n".join(map(str, caught.value.mistakes))
    return [str(mistake) for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("priority", "mistake"),
    [
        ("hihg", "priority: must be one of high, normal, low; did you mean high?"),
        ("[high]", "priority: must be an object with at least one field"),
        ("{hgh: [{path: a, equals: b}]}", "priority.hgh: unknown field; did you mean high?"),
        ("{high: []}", "priority.high: must be a list with at least one item"),
        ("{high: [{path: a}]}", "priority.high[0]: must have exactly one of equals, in, not-in, begins, exists"),
        ("{else: lowest}", "priority.else: must be one of high, normal, low; did you mean low?"),
    ],
)
def test_a_mistake_in_a_priority_is_told(priority: str, mistake: str) -> None:
    """With line, field and the nearest word."""
    assert mistakes(GOOD + f"    priority: {priority}\n") == [f"line 7, sources[0].{mistake}"]


def test_a_typo_an_unknown_field_and_a_topic_twice_are_all_found_at_once() -> None:
    """Acceptance 42: one start shows every mistake, not the first of them."""
    text = """\
version: 1
sources:
  - topics: [crm, web]
    format: jsn
    visitor: {mbox3rdPartyID: id}
    attributes:
      tier: {pth: a, default: none}
      city: a..b
      at: $timestmp
  - topics:
      - app
      - web
    format: json
    wen: [{path: a, equals: b}]
    visitor: {pcId: id}
    attributes: {a: {path: a, as: epoch-m}, b: $key}
"""
    assert mistakes(text) == [
        f"line 4, sources[0].format: must be one of {FORMATS}; did you mean json?",
        "line 5, sources[0].visitor.mbox3rdPartyID: unknown field; did you mean mbox3rdPartyId?",
        "line 7, sources[0].attributes.tier: must have exactly one of path, template and constant",
        "line 7, sources[0].attributes.tier.pth: unknown field; did you mean path?",
        f"line 8, sources[0].attributes.city: is no path at character 2: {NAME_NEEDED}",
        "line 9, sources[0].attributes.at: unknown root $timestmp; did you mean $timestamp?",
        "line 12, sources[1].topics[1]: web has a source already, in line 3",
        "line 14, sources[1].wen: unknown field; did you mean when?",
        f"line 16, sources[1].attributes.a.as: must be one of {FORMS}; did you mean epoch-ms?",
        "line 16, sources[1].attributes.b: $key needs key: text, or key: format",
    ]


def test_a_topic_without_its_other_half_is_found_at_start() -> None:
    """Acceptance 42: a source's topic that nobody consumes has its line; a topic without a source is told."""
    mapping = load(GOOD)
    assert check_topics(mapping, ["crm"]) == ()
    assert check_topics(mapping, ["crn", "web"]) == (
        Mistake(3, "sources[0].topics", "crm is not among the topics consumed; did you mean crn?"),
    )
    assert unmapped_topics(mapping, ["web", "crm"]) == ("web",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1, (mapping): must not be empty"),
        (
            "version: 1\nsources: [",
            "line 2, (mapping): must be YAML or JSON: expected the node content, but found '<stream end>'",
        ),
        ("[1]", "line 1, (mapping): must be an object with at least one field"),
        ("version: 1\nversion: 1", "line 2, version: is given already in line 1"),
        ("version: 2\nsources: [{}]", "line 1, version: must be 1"),
        ("version: 1\nsources:", "line 2, sources: must be a list with at least one item"),
        ("a: \x07", "line 1, (mapping): must be text without control characters"),
        ("? [a]\n: b", "line 1, (mapping): must not have a list or an object as a name"),
        ("[" * 1_000, "line 1, (mapping): must not nest so deep"),
        (GOOD.replace("tier: tier", "tier: {path: a[0]}"), "a path with brackets and a template need quotes"),
        (
            GOOD.replace("id}", "$item}"),
            "line 5, sources[0].visitor.mbox3rdPartyId: $item needs each; the whole value is $value",
        ),
        (GOOD.replace("[crm]", "[a b]"), "is no topic's name"),
        (GOOD.replace("[crm]", "[1]"), "line 3, sources[0].topics[0]: must be a text, in quotes if it is a number"),
        (GOOD + "    zeroValues: true", "has no meaning in json, only in protobuf and cloudevents"),
        (GOOD + "    each: $key", "$key needs key: text, or key: format"),
        (GOOD + "    key: text\n    each: $key", "sources[0].each: must lead into the value"),
        (GOOD.replace("{tier: tier}", "{t: {path: $timestamp, as: epoch-ms}}"), "$timestamp is a date-time already"),
        (GOOD.replace("{tier: tier}", "{t: {path: a, as: decimal}}"), "must say its scale, such as {decimal: 2}"),
        (GOOD.replace("{tier: tier}", "{t: {constant: a, default: b}}"), "must not be given beside constant"),
        (
            GOOD.replace("{tier: tier}", "{t: {template: abc}}"),
            "must have a path in braces; a fixed text is a constant",
        ),
        (GOOD.replace(": id", ": {path: id, default: x}"), "unknown field"),
        (GOOD + "    copy: [{from: $topic}]", "must lead to an object"),
        (GOOD + "    copy: [{from: a, only: [b], except: [c]}]", "must not be given beside only"),
        (
            GOOD + "    when: [{path: a, equals: b, exists: true}]",
            "must have exactly one of equals, in, not-in, begins, exists",
        ),
    ],
)
def test_each_mistake_has_words(text: str, said: str) -> None:
    """What a person reads names place and remedy."""
    assert any(said in mistake for mistake in mistakes(text)), mistakes(text)


@pytest.mark.no_cover
def test_aliases_cannot_name_billions_of_parts() -> None:
    """A short text whose aliases multiply is refused, not expanded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert mistakes("\n".join(lines)) == ["line 1, (mapping): must have at most 100,000 parts, aliases counted"]


def test_json_with_tabs_and_surrogate_pairs_is_read_as_yaml_is() -> None:
    """A mapping in JSON needs no other loader, and its lines are counted too."""
    text = (
        '{\n\t"version":\t1,\n\t"sources": [{"topics": ["crm"], "format": "json",'
        ' "visitor": {"mbox3rdPartyId": "id"}, "attributes": {"\\ud83d\\ude00": "tier"}}]\n}'
    )
    assert set(load(text).sources[0].attributes) == {"\U0001f600"}


def test_yaml_keeps_what_other_loaders_change() -> None:
    """The word no, a date and 10.50 are the texts that they look like."""
    text = GOOD.replace(
        "{tier: tier}", "{a: {constant: no}, b: {constant: 2026-11-22}, c: {constant: 10.50}, d: {constant: yes}}"
    )
    values = load(text).sources[0].attributes.values()
    assert [value.constant for value in values] == ["no", "2026-11-22", "10.50", "yes"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a.b", Path(Root.ITEM, ("a", "b"))),
        ("$value.a[-1]", Path(Root.VALUE, ("a", -1))),
        ("a['x.y'][\"it's\"]", Path(Root.ITEM, ("a", "x.y", "it's"))),
        ("a[b.c=d e].f", Path(Root.ITEM, ("a", Select(("b", "c"), "d e"), "f"))),
        ("a[b^='iglu:com.acme/']", Path(Root.ITEM, ("a", Select(("b",), "iglu:com.acme/", begins=True)))),
        ("$headers['x.y']", Path(Root.HEADERS, ("x.y",))),
        ("[0].a", Path(Root.ITEM, (0, "a"))),
    ],
)
def test_a_path_is_read(text: str, path: Path) -> None:
    """Each form of a step leads where it says."""
    assert parse_path(text) == path
    assert parse_path(str(path)) == path


@pytest.mark.parametrize(
    "text", ["", ".a", "a.", "a b", "a[", "a[]", "a[b]", "a['']", "$headers", "$topic.a", "$nothing", "a" * 401]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    """A path is never guessed at."""
    with pytest.raises(BadPath):
        parse_path(text)


def test_a_template_has_its_braces_doubled() -> None:
    """A brace itself can be written."""
    assert parse_template("{{{a.b}}}") == ("{", Path(Root.ITEM, ("a", "b")), "}")


def test_the_rules_beside_offsets_change_with_the_meaning_only() -> None:
    """Acceptance 44: a changed mapping has other rules; a comment, an order or another spelling has not."""
    same = """\
# the customers
sources:
  - attributes: {tier: {path: [$value.tier]}}
    visitor: {mbox3rdPartyId: {path: id}}
    key: none
    format: json
    topics: [crm]
version: 1
"""
    assert rules(load(same)) == rules(load(GOOD))
    for changed in (
        GOOD.replace("tier: tier", "tier: level"),
        GOOD.replace("format: json", "format: avro"),
        GOOD.replace("[crm]", "[crm, web]"),
        GOOD + "    occurredAt: time\n",
        GOOD + "    when: [{path: a, equals: b}]\n",
    ):
        assert rules(load(changed)) != rules(load(GOOD))
