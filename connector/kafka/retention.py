"""How long the topics keep a record: what cannot be sent within that time is lost before it is read."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin._config import ConfigResource

from connector.kafka.admin import ANSWER_SECONDS, asking
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import KafkaUnavailable
from connector.threads import in_thread

ASK_SECONDS: Final = 600.0
"""Somebody changes a retention by hand, so now and then is often enough."""


class TopicRetention:
    """Asks the brokers now and then, by a client that is made for that and let go.

    It takes the right DESCRIBE_CONFIGS on the topics; without it nothing is known, and nothing is said.
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self.seconds: Mapping[str, float] = {}
        """By topic, as far as it was told and there is a limit."""

    async def keep(self) -> None:
        """Ask again and again."""
        while True:
            with suppress(KafkaUnavailable, OSError):
                self.seconds = await in_thread(lambda: asked(self._config, self._config.topics), "retention")
            await asyncio.sleep(ASK_SECONDS)


def asked(config: KafkaConfig, topics: Sequence[str]) -> Mapping[str, float]:
    """Seconds for which each topic keeps a record; without those that keep it for ever, or do not say. Waits.

    The question goes to any broker, never to a group coordinator.
    """
    wanted = {topic: ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics}
    found: dict[str, float] = {}
    with asking(config) as client:
        answers: Mapping[Any, Any] = client.describe_configs(list(wanted.values()), request_timeout=ANSWER_SECONDS)
        for topic, resource in wanted.items():
            with suppress(KafkaException, TimeoutError):
                entries = answers[resource].result(ANSWER_SECONDS)
                seconds = kept({name: entry.value for name, entry in entries.items()})
                if seconds is not None:
                    found[topic] = seconds
    return found


def kept(configs: Mapping[str, str | None]) -> float | None:
    """Seconds after which a topic that is set up so deletes a record; None: never, by its age."""
    if "delete" not in (configs.get("cleanup.policy") or "delete"):
        return None
    milliseconds = int(configs.get("retention.ms") or -1)
    return milliseconds / 1_000 if milliseconds >= 0 else None
