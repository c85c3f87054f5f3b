"""The page of a running service and its metrics must agree."""

import json
import random
import re
from pathlib import Path

from connector.sandbox.broker import EmbeddedBroker
from tests.support.browser import UNKNOWN, Browser
from tests.support.kafka.client import Kafka
from tests.support.oracle import plain_events
from tests.support.process import Connector, Demo, Sandbox, environment, request, samples, until

EVENTS = 6_000
VISITORS = 300


def shown(page: Browser) -> dict[str, float]:
    """The page's numbers by the names of the metrics that they claim to be."""
    prefix = "target_connector_"
    numbers = {
        f"{prefix}events_consumed_total": page.text("in-total"),
        f"{prefix}updates_pending": page.text("updates-pending"),
        f"{prefix}updates_in_flight": page.text("updates-in-flight"),
        f'{prefix}updates_total{{outcome="accepted"}}': page.text("out-total"),
        f'{prefix}calls_saved_total{{by="merging"}}': page.text("saved-total"),
        # Neither unchanged values nor classes are shown where there are none.
        f'{prefix}calls_saved_total{{by="unchanged"}}': page.text("saved-unchanged") or "0",
        f"{prefix}partitions_assigned": re.sub(r"\D", "", page.text("partitions-note")) or "0",
        f"{prefix}circuit_open": "0" if page.text("circuit") == "closed" else "1",
        f"{prefix}schema_waits": str(len(page.rows("waits"))),
        f"{prefix}paused": "0" if page.text("paused") == "consuming" else "1",
    }
    for outcome, number in page.rows("records"):
        labels = f'done_total{{outcome="{outcome.replace("dead letters", "dead_lettered").replace(" ", "_")}"}}'
        numbers[f"{prefix}events_{'pending' if outcome == 'pending' else labels}"] = number
    for outcome, number, *_ in page.rows("requests"):
        numbers[f'{prefix}requests_total{{outcome="{outcome}"}}'] = number
    for name, _, _, lag in page.rows("partitions"):
        topic, _, partition = name.rpartition("/")
        if lag != UNKNOWN:
            numbers[f'{prefix}consumer_lag{{partition="{partition}",topic="{topic}"}}'] = lag
    return {name: float(number.replace(",", "")) for name, number in numbers.items()}


def scraped(url: str) -> dict[str, float]:
    """The metrics that the page shows; labels in the order of their names."""
    order = re.compile(r'(\w+="[^"]*"),(\w+="[^"]*")')
    return {
        order.sub(lambda pair: ",".join(sorted(pair.groups())), name): number
        for name, number in samples(request(url, "GET", "/metrics")[1]).items()
        if not re.search(
            r"_created|_seconds|_bytes|_info|_slots|letters_pending|_missed|quota|questionable|updates_unknown|updates_waiting|dead_lettered\"}$",
            name,
        )
        or name.startswith("target_connector_events_done")
    }


def agrees(page: Browser, url: str) -> dict[str, float]:
    """Read the page between two scrapes: each count lies between theirs. Returns the second scrape."""
    before = scraped(url)
    page.ask_again()
    seen, after = shown(page), scraped(url)
    for name in before:
        if "_total" in name:
            assert before[name] <= seen[name] <= after[name], name
    return after


def test_the_page_of_a_running_service_agrees_with_its_metrics(chromium: Browser, tmp_path: Path) -> None:
    """From before the first assignment to after the end; separate counts in the page would drift from the metrics."""
    with EmbeddedBroker() as broker, Sandbox(tmp_path, "--fault", "delay=0.02") as sandbox:
        broker.create_topic("events")
        broker.create_topic("events.dead-letter")  # A mock cluster cannot be asked to make one.
        settings = environment(
            broker.bootstrap, "events", sandbox.url, KAFKA_GROUP_PROTOCOL="consumer", TARGET_AUTH_TOKEN="hush-hush-hush"
        )
        with Connector(tmp_path, settings) as connector:
            url = f"http://127.0.0.1:{connector.until_said('ops_listening')['port']}/"
            chromium.open(url)
            chromium.until(lambda: chromium.text("in-total") == "0", "the page is there before anything happened")
            for number in range(EVENTS):
                value = {"mbox3rdPartyId": f"visitor-{number % VISITORS}", "profile": {"n": number}}
                broker.produce("events", json.dumps(value).encode(), str(number % VISITORS).encode())
            broker.produce("events", b'{"mbox3rdPartyId": "visitor-77", "profile": []}', b"x")
            broker.flush()
            connector.until(
                lambda: agrees(chromium, url) == shown(chromium) and chromium.text("verdict-headline") == "Caught up",
                "the page and the metrics say that all is done",
            )
            assert shown(chromium)["target_connector_events_consumed_total"] == EVENTS + 1
            status = connector.status()
            saved = status["events"]["accepted"] - status["updates"]["accepted"]
            assert saved > EVENTS / 2
            assert chromium.text("saved-total") == f"{saved:,}"
            assert chromium.text("lag") == "0"
            assert "event_refused" in chromium.text("problems")
            everything = chromium.driver.page_source
            assert "KAFKA_BOOTSTRAP_SERVERS" in everything
            assert "hush" not in everything
            assert "visitor-" not in everything
            assert connector.stop() == 0
            until(
                lambda: "Connection lost since" in chromium.text("verdict-headline"), 30, "the page says that it ended"
            )


def test_the_demo_can_be_watched_and_its_page_agrees_with_its_metrics(chromium: Browser, tmp_path: Path) -> None:
    """The demo prints the address; this page is what a new user sees first."""
    with Demo(tmp_path, ["demo", "--events", "4000", "--visitors", "400"], {}) as demo:
        (url,) = demo.until(lambda: re.findall(r"watch it in a browser.*: (http\S+)\n", demo.stdout), "it says where")
        chromium.open(url)
        demo.until(lambda: agrees(chromium, url)["target_connector_events_consumed_total"], "events flow")
        for _ in range(3):
            agrees(chromium, url)
        assert demo.wait(120) == 0
        until(lambda: "Connection lost since" in chromium.text("verdict-headline"), 30, "the page says that it ended")


def test_the_quota_of_a_running_service_is_on_its_page(chromium: Browser, kafka: Kafka, tmp_path: Path) -> None:
    """With the quota used up, the page says what it waits for, and shows the same window as the metrics."""
    topic = kafka.unique_topic("page", 2)
    events = plain_events(random.Random(1), 3_000, 3_000)
    kafka.produce(topic, [(event.key, event.value, None) for event in events])
    with Sandbox(tmp_path) as sandbox:
        settings = environment(
            kafka.bootstrap,
            topic,
            sandbox.url,
            KAFKA_GROUP_ID=topic,
            QUOTA_UPDATES=400,
            QUOTA_WINDOW_SECONDS=600,
            QUOTA_HORIZON_SECONDS=1,
        )
        with Connector(tmp_path, settings) as connector:
            url = f"http://127.0.0.1:{connector.until_said('ops_listening')['port']}/"
            chromium.open(url)
            chromium.until(lambda: chromium.text("quota-limit") == "400", "the page shows the quota")

            def used_up() -> bool:
                metrics = samples(request(url, "GET", "/metrics")[1])
                chromium.ask_again()
                used = metrics["target_connector_quota_used"]
                return chromium.text("quota-used") == f"{used:.0f}" == "400"

            connector.until(used_up, "the quota is used up, by the metrics and on the page")
            assert chromium.text("quota-share") == "100 %"
            connector.until(
                lambda: chromium.text("verdict-headline") == "Waiting for quota", "what is granted is spent"
            )
            assert "All 400 of the last 10 min are used." in chromium.text("verdict-detail")
            assert sandbox.stats()["requests"] <= 400
            label = chromium.run("return document.getElementById('quota-bars').getAttribute('aria-label')")
            assert label.startswith("400 updates were used in the last 10 min, 400 come free in the next")
            assert connector.stop() == 0
