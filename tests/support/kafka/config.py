"""The configuration of the tests' brokers, and why it differs from Kafka's defaults."""

import ctypes
import signal
import sys
from collections.abc import Callable

CLUSTER_ID = "AQEBAQEBAQEBAQEBAQEBAQ"

PROPERTIES = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": "data",
    # Kafka's own default: a program that only looks at a topic must ask so that it is not created.
    "auto.create.topics.enable": "true",
    # One node cannot hold three copies.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Allocated at start: 128 MB less.
    "log.cleaner.dedupe.buffer.size": "4194304",
    # Groups that settle, and detect a lost member, within seconds.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "group.consumer.heartbeat.interval.ms": "300",
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "6000",
}
"""Properties of every broker of the tests; a test adds other listeners or limits."""

RETURNS_SOON = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "300"}
"""For a broker that is killed: the old registration must expire before a new start counts, which takes 11 s else.

Others do without: on a busy machine a broker's own heartbeats may be late by seconds, and it is fenced.
"""

LOGGING = """\
status=ERROR
appender.f.type=Console
appender.f.name=F
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.f.ref=F
"""

# Hundreds of megabytes less than Kafka's own script takes, and ready in half the time.
JVM = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dlog4j2.configurationFile=log4j2.properties",
)


def die_with_parent() -> Callable[[], object] | None:
    """On Linux the kernel kills the broker when pytest itself is killed; elsewhere only fixtures end it."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, signal.SIGKILL)
