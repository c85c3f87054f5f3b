"""Whether Kafka lets the connector in, and whether there is what it needs: each question with its remedy."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from connector.admission.membership_lease import longest_request
from connector.cli.check import offsets
from connector.cli.check.findings import CheckFailed, Finding, State, in_turn
from connector.cli.check.network import TLS_SECONDS, Route, certified, tls_context
from connector.delivery.ports import Record
from connector.kafka.admin import group_session
from connector.kafka.config import KafkaConfig
from connector.kafka.errors import OTHER_ASSIGNOR, OTHER_PROTOCOL, KafkaFailure, KafkaUnavailable, nearest
from connector.kafka.inspect import cluster
from connector.kafka.inspect.cluster import Cluster, Group, Topic
from connector.kafka.inspect.tail_reader import DEEPEST, Sample, last_records
from connector.kafka.quota_topic import MISSING, QuotaTopic, prepare
from connector.kafka.standing import standing
from connector.threads import in_thread

LOGIN_SECONDS = 6.0
SERVERS_SECONDS = 20.0
TOPICS_SECONDS = 18.0
ASK_SECONDS = 12.0
GROUP_SECONDS = 18.0
"""The coordinator of a cluster's first group is made while it is asked for."""

READS = ("READ", "DESCRIBE")
WRITES = ("WRITE", "DESCRIBE")
LEDGER = ("READ", "WRITE", "DESCRIBE")
CONFIGS = "DESCRIBE_CONFIGS"
"""On the source topics it tells how long they keep a record."""
_ADVERTISED = "the brokers' advertised.listeners, which must name addresses that can be reached from here"
_PROTOCOL = "is KAFKA_SECURITY_PROTOCOL what this port speaks, and does it want the connector's own certificate?"
_SHOWN = 3
"""Addresses that are named."""
_UNKNOWN = "UNKNOWN_TOPIC_OR_PART"
_NO_RIGHT = "TOPIC_AUTHORIZATION_FAILED"
_ASSIGNOR = "cooperative-sticky"


Judge = Callable[[str, Sequence[Record]], Iterable[Finding]]
"""Says of a topic's last records, of which there are some, how they are read; it may wait."""


class KafkaChecks:
    """The checks of one configuration; each method is a check of the list in `connector.cli.check`."""

    def __init__(self, config: KafkaConfig, judge: Judge) -> None:
        self._config = config
        self._judge = judge
        self._properties = {**config.properties, **config.security}
        user = self._properties.get("sasl.username")
        self._who = f"User:{user}" if user else "the connector's user"

    async def servers(self) -> Sequence[Finding]:
        """Each bootstrap server by itself; that one is down is no failure while another answers."""
        clusters: list[Cluster] = []
        names = self._config.bootstrap_servers.split(",")
        found = await asyncio.gather(*(self._server(name, clusters) for name in names))
        findings = [finding for of_one in found for finding in of_one]
        if not clusters:
            return findings
        others = "another server answers, so the connector can start"
        findings = [
            replace(f, state=State.WARNING, remedy=f"{f.remedy}; {others}") if f.state is State.FAILED else f
            for f in findings
        ]
        return [*findings, await self._advertised(clusters[0], names)]

    async def _server(self, name: str, clusters: list[Cluster]) -> list[Finding]:
        host, _, port = name.rpartition(":")
        way = Route(host, int(port), "KAFKA_BOOTSTRAP_SERVERS")
        what = f"kafka {name}"
        steps = way.steps()
        if self._properties.get("security.protocol", "").endswith("ssl"):
            steps.append(("TLS", TLS_SECONDS, lambda: self._tls(f"{what} TLS", way)))

        async def log_in() -> str:
            found = await in_thread(lambda: cluster.log_in(self._config, name))
            if isinstance(found, KafkaFailure):
                # It has just taken a connection: what it drops is what is said on it.
                dropped = found.event == "kafka_unreachable"
                raise CheckFailed(found.detail, _PROTOCOL if dropped else found.hint)
            clusters.append(found)
            return f"cluster {found.id}, brokers: {len(found.brokers)}"

        steps.append(("login", LOGIN_SECONDS, log_in))
        return await in_turn(what, steps)

    async def _tls(self, label: str, way: Route) -> Finding:
        remedy = "KAFKA_SSL_CA_LOCATION must name the authority that vouches for the brokers"
        return await certified(label, way.open(tls_context(self._properties)), remedy)

    async def _advertised(self, cluster: Cluster, known: Sequence[str]) -> Finding:
        """What the cluster tells clients to connect to may be unreachable where the bootstrap server is not."""
        what = "kafka advertised addresses"
        others = [(host, port) for host, port in cluster.brokers if f"{host}:{port}" not in known]
        ways = [(f"{host}:{port}", Route(host, port, _ADVERTISED).steps()) for host, port in others]
        found = await asyncio.gather(*(in_turn(name, steps) for name, steps in ways))
        failed = [f for of_one in found for f in of_one if f.state is State.FAILED]
        if failed:
            detail = "; ".join(f"{f.what}: {f.detail}" for f in failed[:_SHOWN])
            return Finding(State.FAILED, what, detail, failed[0].remedy)
        return Finding(State.OK, what, ", ".join(f"{host}:{port}" for host, port in cluster.brokers[:_SHOWN]))

    async def topics(self) -> Sequence[Finding]:
        """What is read: there, allowed, and in the form of an event."""
        names = self._config.topics
        found, group = await asyncio.gather(
            in_thread(lambda: cluster.topics(self._config, names)), in_thread(lambda: cluster.group(self._config))
        )
        missing = any(isinstance(topic, KafkaFailure) and topic.code == _UNKNOWN for topic in found.values())
        existing = await in_thread(lambda: cluster.names(self._config)) if missing else ()
        findings = [finding for name in names for finding in self._source(name, found[name], existing)]
        sound = {name: topic for name, topic in found.items() if isinstance(topic, Topic)}
        if total := sum(topic.partitions for topic in sound.values()):
            # Of a topic that cannot be seen the members may have partitions too.
            seen = group.members if isinstance(group, Group) and len(sound) == len(found) else 0
            findings.append(_shared(total, members=seen))
        readable = [name for name in names if name in sound and not _missing(sound[name].rights, READS)]
        if readable:
            parts = {name: sound[name].partitions for name in readable}
            sample, places = await asyncio.gather(
                in_thread(lambda: last_records(self._config, readable)),
                in_thread(lambda: standing(self._config, parts)),
            )
            findings += await in_thread(lambda: list(self._samples(readable, sample)))
            findings += offsets.findings(readable, places)
        return findings

    def _source(self, name: str, topic: Topic | KafkaFailure, existing: Sequence[str]) -> Iterable[Finding]:
        what = f"topic {name}"
        if isinstance(topic, KafkaFailure):
            yield self._no_topic(what, name, topic, READS, existing)
            return
        yield self._seen(what, topic)
        yield self._rights(f"rights on {what}", topic.rights, READS)
        if _missing(topic.rights, (CONFIGS,)):
            detail = f"no {CONFIGS}: whether records are deleted before they are read cannot be watched"
            yield Finding(State.WARNING, f"retention of {what}", detail, f"allow it on {what} to {self._who}")

    async def dead_letters(self) -> Sequence[Finding]:
        """Where undeliverable events go: there and writable, or to be made by the connector."""
        name = self._config.dead_letter_topic
        if not name:
            detail = "none is wanted: the connector stops at the first event that can never be delivered"
            return [Finding(State.OK, "dead-letter topic", detail)]
        return await self.own_topic("dead-letter topic", name, WRITES)

    async def own_topic(self, kind: str, name: str, needed: Sequence[str]) -> Sequence[Finding]:
        """A topic that the connector makes if it is missing and may be made."""
        what = f"{kind} {name}"
        topic = (await in_thread(lambda: cluster.topics(self._config, [name])))[name]
        if isinstance(topic, Topic):
            return [self._seen(what, topic), self._rights(f"rights on {what}", topic.rights, needed)]
        if topic.code != _UNKNOWN:
            return [self._no_topic(what, name, topic, needed)]
        refused = await in_thread(lambda: cluster.creatable(self._config, name))
        if refused is None:
            return [Finding(State.OK, what, "is missing, and the connector may make it at its start")]
        detail = f"is missing and cannot be made: {refused.detail}"
        return [Finding(State.FAILED, what, detail, f"create it, or allow CREATE on topic {name} to {self._who}")]

    async def ledger(self, topic: QuotaTopic | None) -> Sequence[Finding]:
        """The quota's ledger: as the dead letters' topic, and set up so that nothing that counts is lost."""
        if topic is None:
            return [Finding(State.WARNING, "quota topic", "QUOTA_UPDATES is 0: nothing keeps the account's quota")]
        findings = await self.own_topic("quota topic", topic.name, LEDGER)
        if findings[0].state is not State.OK:
            return findings
        what = f"set-up of quota topic {topic.name}"
        try:
            unseen = await in_thread(lambda: prepare(self._config, topic, make=False))
        except KafkaUnavailable as unusable:
            if unusable.failure.code == MISSING:
                return findings
            return [*findings, Finding(State.FAILED, what, str(unusable), "first make sure that it is the ledger")]
        if unseen:
            return [*findings, Finding(State.WARNING, what, unseen, "then its retention can be checked")]
        return [*findings, Finding(State.OK, what, "one partition, append times of the brokers, kept long enough")]

    async def group(self) -> Sequence[Finding]:
        """The consumer group: rights, members, and how long it waits for a silent one."""
        name = self._config.group_id
        what = f"group {name}"
        found = await in_thread(lambda: cluster.group(self._config))
        if isinstance(found, KafkaFailure):
            remedy = f"allow READ on group {name} to {self._who}" if "AUTHORIZATION" in found.code else found.hint
            return [Finding(State.FAILED, what, found.detail, remedy)]
        detail = "new" if found.state == "DEAD" else f"{found.state.lower()}, members now: {found.members}"
        rights = self._rights(f"rights on {what}", found.rights, ("READ",))
        return [Finding(State.OK, what, detail), *self._others(found), rights, await self._session()]

    def _others(self, found: Group) -> Iterable[Finding]:
        """Members beside which this connector could not join, or that are another program."""
        what, ours = f"members of group {self._config.group_id}", self._config.group_protocol
        if found.members and found.protocol and found.protocol != ours:
            detail = f"they joined by the protocol {found.protocol}, and the connector by {ours}: brokers may refuse it"
            yield Finding(State.WARNING, what, detail, OTHER_PROTOCOL)
        elif found.members and ours == "classic" and found.assignor not in ("", _ASSIGNOR):
            detail = f"they share partitions by {found.assignor}, and the connector by {_ASSIGNOR}: it could not join"
            yield Finding(State.FAILED, what, detail, OTHER_ASSIGNOR)

    async def _session(self) -> Finding:
        seconds, trouble = await in_thread(lambda: group_session(self._config))
        what = f"session of group {self._config.group_id}"
        if trouble is not None:
            return Finding(State.WARNING, what, trouble.detail or trouble.code, trouble.hint)
        detail = f"a silent member keeps its partitions for {seconds:.0f} s"
        if self._config.request_timeout > (longest := longest_request(seconds)):
            remedy = f"TARGET_TIMEOUT_SECONDS is longer than six tenths of that, and is shortened to {longest:.1f} s"
            return Finding(State.WARNING, what, detail, remedy)
        return Finding(State.OK, what, detail)

    def _samples(self, names: Iterable[str], sample: Sample) -> Iterable[Finding]:
        of_topic: dict[str, list[Record]] = defaultdict(list)
        for record in sorted(sample.records, key=lambda one: (one.partition(), one.offset())):
            of_topic[record.topic()].append(record)
        for name in names:
            records = of_topic[name]
            what = f"events of {name}"
            if not records and sample.trouble is not None:
                why = sample.trouble.detail
                yield Finding(State.WARNING, what, f"none could be read: {why}", "look at the lines above")
            elif not records and name in sample.hidden:
                detail = (
                    f"none among the last {DEEPEST:,} offsets: what is there are aborted transactions or their markers"
                )
                yield Finding(State.OK, what, detail)
            elif not records:
                yield Finding(State.OK, what, "none yet")
            else:
                yield from self._judge(name, records)

    def _no_topic(
        self, what: str, name: str, trouble: KafkaFailure, needed: Sequence[str], existing: Sequence[str] = ()
    ) -> Finding:
        if trouble.code == _UNKNOWN:
            near = nearest(name, existing)
            detail = "does not exist" + (f"; did you mean {near}?" if near else "")
            return Finding(State.FAILED, what, detail, "create it, or correct its name in the settings")
        if trouble.code == _NO_RIGHT:
            detail = "does not exist, or may not be seen"
            return Finding(State.FAILED, what, detail, f"allow {', '.join(needed)} on topic {name} to {self._who}")
        return Finding(State.FAILED, what, trouble.detail, trouble.hint)

    def _seen(self, what: str, topic: Topic) -> Finding:
        detail = f"partitions: {topic.partitions}"
        if topic.leaderless:
            remedy = "the brokers that hold them must come back"
            return Finding(State.FAILED, what, f"{detail}, {topic.leaderless} of them without a leader", remedy)
        if topic.behind:
            remedy = "look at the brokers: a further failure may stop writing"
            return Finding(State.WARNING, what, f"{detail}, {topic.behind} of them with a replica out of sync", remedy)
        return Finding(State.OK, what, detail)

    def _rights(self, what: str, rights: frozenset[str] | None, needed: Sequence[str]) -> Finding:
        if rights is None:
            remedy = f"see to it that {self._who} has {', '.join(needed)}"
            return Finding(State.WARNING, what, "the brokers do not say", remedy)
        missing = _missing(rights, needed)
        if missing:
            on = what.removeprefix("rights on ")
            return Finding(State.FAILED, what, f"no {', '.join(missing)}", f"allow it on {on} to {self._who}")
        return Finding(State.OK, what, ", ".join(needed))


def _shared(partitions: int, members: int) -> Finding:
    """Whether all members of the group can have work."""
    what = "partitions"
    if members > partitions:
        idle = members - partitions
        detail = f"{partitions} in all, and the group has {members} members: {idle} of them without work"
        return Finding(State.WARNING, what, detail, "run fewer replicas: a further one has no work without a partition")
    return Finding(State.OK, what, f"{partitions} in all: at most this number of replicas have work")


def _missing(rights: frozenset[str] | None, needed: Sequence[str]) -> list[str]:
    return [] if rights is None else [right for right in needed if right not in rights]
