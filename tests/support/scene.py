"""One topic, one group and one endpoint, for a case that is run under both group protocols."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.kafka.client import Kafka
from tests.support.oracle import Event, caught_up, differences, fold
from tests.support.process import Connector, Sandbox, environment

PROTOCOLS = ("classic", "consumer")


class Scene(NamedTuple):
    """One topic, one group, one endpoint."""

    kafka: Kafka
    topic: str
    sandbox: Sandbox
    settings: dict[str, str]
    folder: Path

    @classmethod
    def open(
        cls,
        kafka: Kafka,
        folder: Path,
        stack: ExitStack,
        protocol: str,
        *faults: str,
        **others: str | float,
    ) -> "Scene":
        """A new topic with one partition; further settings are `others`."""
        topic = kafka.unique_topic("identity", 1)
        sandbox = stack.enter_context(Sandbox(folder, *(word for fault in faults for word in ("--fault", fault))))
        usual: dict[str, str | float] = {
            "KAFKA_GROUP_PROTOCOL": protocol,
            "RETRY_MAX_ATTEMPTS": 1_000,
            "SHUTDOWN_GRACE_SECONDS": 4,
        }
        settings = environment(kafka.bootstrap, topic, sandbox.url, **{**usual, **others})
        return cls(kafka, topic, sandbox, settings, folder)

    def start(self) -> Connector:
        """A replica; use it as a context."""
        return Connector(self.folder, self.settings)

    def produce(self, events: Iterable[Event], partition: int = 0) -> None:
        """Append in order."""
        self.kafka.produce(self.topic, [(key, value, partition) for key, value in events])

    def committed(self) -> int:
        """The committed offset; -1 where there is none."""
        found = self.kafka.committed(self.topic, self.topic)
        return found[0].offset if found else -1

    def caught_up(self) -> bool:
        """Whether the group has committed the whole log."""
        return caught_up(self.kafka, self.topic)

    def wrong(self, *events: Event, without: str = "") -> list[str]:
        """Each profile that differs from the events; `without` the one of this visitor."""
        made = fold(value for _, value in events)
        found = self.sandbox.profiles()
        for profiles in (made, found):
            profiles.pop(f"mbox3rdPartyId:{without}", None)
        return differences(made, found)

    def has(self, name: str, value: str, count: int) -> bool:
        """Whether at least this many profiles have this value."""
        return sum(profile.get(name) == value for profile in self.sandbox.profiles().values()) >= count


def both(case: Callable[[Scene], None], kafka: Kafka, folder: Path, *faults: str, **others: str | float) -> None:
    """Run a case under both protocols at once."""

    def run(protocol: str) -> None:
        with ExitStack() as stack:
            case(Scene.open(kafka, folder, stack, protocol, *faults, **others))

    at_once(run, [(protocol,) for protocol in PROTOCOLS])


def at_once(case: Callable[..., None], given: Sequence[tuple[Any, ...]]) -> None:
    """Run a case with each of these arguments at once: most of its time is waiting."""
    with ThreadPoolExecutor(len(given)) as pool:
        for running in [pool.submit(case, *arguments) for arguments in given]:
            running.result()


def done(connector: Connector, outcome: str) -> float:
    """Number of records with this outcome."""
    return connector.metrics()[f'target_connector_events_done_total{{outcome="{outcome}"}}']
