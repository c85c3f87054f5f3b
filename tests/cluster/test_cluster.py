"""The release on a real Kubernetes, step by step: each step continues from the state that the one before left."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.chart import PACKAGE, PREVIOUS
from tests.support.chart_tools import CHART
from tests.support.kubernetes.node import NAME as NODE
from tests.support.kubernetes.report import Report
from tests.support.kubernetes.world import EVERYTHING, NAME, NAMESPACE, PARTITIONS, RELEASE, RENEWING, World
from tests.support.oracle import caught_up, differences, fold
from tests.support.process import until

pytestmark = pytest.mark.timeout(1800)

WAIT = ("--wait", "--timeout=5m")
GRACE_SECONDS = 60
"""Of the values file: the kubelet kills after this time."""
REPLICAS = 3
SECONDS = 180.0

CARELESS = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "careless"},
    "spec": {"containers": [{"name": "one", "image": f"{CHART.name}:any"}]},
}


def test_a_careless_pod_is_refused(world: World) -> None:
    """Otherwise the next step would show nothing about Pod Security."""
    refused = world.node.try_kubectl(f"--namespace={NAMESPACE}", "create", "-f", "-", stdin=json.dumps(CARELESS))
    assert refused.returncode != 0
    assert 'violates PodSecurity "restricted:latest"' in refused.stderr


def test_install_waits_until_it_works(world: World, report: Report) -> None:
    """A probe, a right, a volume or a custom resource that no cluster takes: rendered text cannot show it."""
    with report.step("`helm install --wait`, everything on") as step:
        world.helm("install", RELEASE, str(CHART), f"--values={EVERYTHING}", f"--values={world.values()}", *WAIT)
        ((name, pod),) = world.pods(ready=True).items()
        checks = world.kubectl("logs", name, "--container=check").splitlines()
        states = [line.split()[0] for line in checks]
        assert set(states) <= {"ok", "warning"}, checks
        made = [world.get(kind, NAME)["kind"] for kind in ("scaledobject", "podmonitor", "prometheusrule")]
        made.append(world.get("networkpolicy", NAME)["kind"])
        (trigger, *_) = world.get("scaledobject", NAME)["spec"]["triggers"]
        made.append(world.get("triggerauthentication", trigger["authenticationRef"]["name"])["kind"])
        topics = world.get("kafkatopics", "--namespace=kafka")["items"]
        assert len(topics) == 2
        restarts = [one["restartCount"] for one in pod["status"]["containerStatuses"]]
        assert not any(restarts)
        step.saw = f"Pod ready, {len(states)} lines of `connector check` ahead of it, {', '.join(made)}, 2 KafkaTopic"


def test_events_flow(world: World, report: Report) -> None:
    """TLS, login, token and addresses are right only when an update has arrived."""
    with report.step("events flow") as step:
        with world.flow():
            until(lambda: world.sandbox.stats()["applied"] > 500, SECONDS, "updates arrive")
        world.settle()
        step.saw = tally(world)


def test_helm_test_passes(world: World, report: Report) -> None:
    """It runs in a Pod of its own, which Pod Security has to take too, and shows its lines."""
    with report.step("`helm test --logs`") as step:
        shown = world.helm("test", RELEASE, "--logs", "--timeout=3m")
        assert "Phase:          Succeeded" in shown, shown
        lines = [line for line in shown.splitlines() if line.startswith(("ok ", "warning ", "failed "))]
        assert any(line.startswith("ok") and "settings" in line for line in lines), shown
        step.saw = f"succeeded, {len(lines)} lines"


def test_more_replicas_share_the_partitions(world: World, report: Report) -> None:
    """Each newcomer takes partitions from a sending member: nothing may be lost or sent twice at the handover."""
    with report.step(f"scaled from 1 to {REPLICAS} while events flow") as step:
        with world.flow():
            scale(world, REPLICAS)
            until(lambda: shares(world) == [4, 4, 4], SECONDS, "each has a third of the partitions")
        world.settle()
        step.saw = f"partitions {shares(world)}; {tally(world)}"


def test_upgrade_changes_a_setting_while_events_flow(world: World, report: Report, tmp_path: Path) -> None:
    """New variables need new Pods, one at a time, and the number of replicas is the autoscaler's, not the chart's."""
    before = world.pods()
    with report.step("`helm upgrade --wait`, another linger time, while events flow") as step:
        with world.flow():
            upgraded = ("--reset-then-reuse-values", "--set=coalesce.lingerSeconds=1.5")
            with readiness(world, tmp_path) as counts:
                world.helm("upgrade", RELEASE, str(CHART), *upgraded, *WAIT)
            until(lambda: settled(world) and shares(world) == [4, 4, 4], SECONDS, "all Pods are new and have work")
        after = world.pods(ready=True)
        assert not before.keys() & after.keys()
        assert min(counts) == REPLICAS - 1
        assert {linger(world, name) for name in after} == {1.5}
        world.settle()
        step.saw = f"{len(after)} new Pods, never less than {min(counts)} ready; {tally(world)}"


def test_rollback_brings_the_old_setting_back(world: World, report: Report) -> None:
    """The older revision continues from the offsets that the newer one committed."""
    with report.step("`helm rollback --wait` while events flow") as step:
        with world.flow():
            world.helm("rollback", RELEASE, "1", *WAIT)
            until(lambda: settled(world) and shares(world) == [4, 4, 4], SECONDS, "all Pods are back and have work")
        assert {linger(world, name) for name in world.pods()} == {0.5}
        world.settle()
        step.saw = tally(world)


def test_a_drain_takes_one_at_a_time(world: World, report: Report, tmp_path: Path) -> None:
    """Without the budget all Pods would go at once; a wrong selector in it would hold back none."""
    before = world.pods(ready=True)
    with report.step("`kubectl drain` while events flow") as step:
        said = tmp_path / "drain"
        with world.flow(), readiness(world, tmp_path) as counts:
            drain = world.node.watch(said, "drain", NODE, "--delete-emptydir-data", "--timeout=300s")
            try:
                until(lambda: "violate the pod's disruption budget" in said.read_text(), SECONDS, "it is held back")
                # The node takes no Pod now, so nothing comes in place of the one that went.
                assert len(world.pods(ready=True).keys() & before.keys()) == REPLICAS - 1
                # With room again, each newcomer that is ready lets the next one go.
                world.node.kubectl("uncordon", NODE)
                assert drain.wait(SECONDS * 2) == 0, said.read_text()
            finally:
                drain.kill()
                drain.wait()
                world.node.kubectl("uncordon", NODE)
            held_back = said.read_text().count("violate the pod's disruption budget")
            until(lambda: settled(world) and shares(world) == [4, 4, 4], SECONDS, "all are replaced and have work")
        assert not before.keys() & world.pods().keys()
        assert min(counts) == REPLICAS - 1
        world.settle()
        step.saw = (
            f"refused {held_back} times while one was missing, never less than {min(counts)} ready, "
            f"all {REPLICAS} replaced; {tally(world)}"
        )


def test_a_deleted_pod_ends_in_its_grace_time(world: World, report: Report, tmp_path: Path) -> None:
    """What is on the wire is finished and committed before the end: SIGKILL or a repeat would show a drain cut off."""
    with report.step("`kubectl delete pod` under load") as step:
        world.sandbox.set_faults("delay=0.3")
        with world.flow():
            name = until(lambda: busiest(world), SECONDS, "a Pod has much to do")
            exits = tmp_path / "exits"
            terminated = '{.status.containerStatuses[?(@.name=="connector")].state.terminated.exitCode}{"\\n"}'
            watching = ("get", "pod", name, "--watch", f"--output=jsonpath={terminated}")
            following = ("logs", name, "--container=connector", "--follow", "--tail=0")
            log = tmp_path / "log"
            scope = f"--namespace={NAMESPACE}"
            with world.node.watch(exits, scope, *watching) as watch, world.node.watch(log, scope, *following) as follow:
                began = time.monotonic()
                world.kubectl("delete", "pod", name)
                took = time.monotonic() - began
                follow.wait(SECONDS)
                until(lambda: exits.read_text().split(), SECONDS, "its exit code is known")
                watch.kill()
            until(lambda: settled(world) and shares(world) == [4, 4, 4], SECONDS, "another one has its work")
        world.sandbox.set_faults()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        (drained,) = [line for line in lines if line["event"] == "drain_finished"]
        assert lines[-1]["event"] == "connector_stopped"
        assert exits.read_text().split()[-1] == "0"
        assert took < GRACE_SECONDS
        world.settle()
        step.saw = (
            f"gone after {took:.1f} s of {GRACE_SECONDS}, exit code 0, drained in {drained['seconds']} s, "
            f"{drained['updates_left']} updates left to the others; {tally(world)}"
        )


def test_fewer_replicas_take_over_all(world: World, report: Report) -> None:
    """Two at once hand their partitions over to the remaining one."""
    with report.step(f"scaled from {REPLICAS} to 1 while events flow") as step:
        with world.flow():
            scale(world, 1)
            until(lambda: shares(world) == [2 * PARTITIONS], SECONDS, "the last one has all partitions")
        world.settle()
        step.saw = tally(world)


def test_uninstall_leaves_only_what_must_stay(world: World, report: Report) -> None:
    """Topics keep the dead letters and the day's used quota; all else belongs to the release and is removed."""
    with report.step("`helm uninstall --wait`") as step:
        world.helm("uninstall", RELEASE, *WAIT)
        until(lambda: not world.get("pods")["items"], SECONDS, "no Pod is left")
        kinds = "deployments,configmaps,secrets,serviceaccounts,services,poddisruptionbudgets,networkpolicies"
        custom = "scaledobjects,triggerauthentications,podmonitors,prometheusrules"
        left = {one["metadata"]["name"] for one in world.get(f"{kinds},{custom}")["items"]}
        assert left == {"kube-root-ca.crt", "default"}, left
        topics = world.get("kafkatopics", "--namespace=kafka")["items"]
        assert {one["spec"]["topicName"] for one in topics} == {f"{world.group}.dead-letter", f"{world.group}.quota"}
        world.settle()
        step.saw = f"left: 2 KafkaTopic; all {ended_well(world)} Pods ended with exit code 0; {tally(world)}"


def test_upgrade_from_the_previous_version_while_events_flow(world: World, report: Report) -> None:
    """Only a real cluster refuses immutable fields; it finds the topics that the uninstall left."""
    own = f"--values={world.values()}"
    with report.step("the chart's previous version installed, and `helm upgrade --wait` to this one") as step:
        former = f"--values={PREVIOUS / EVERYTHING.name}"
        world.helm("install", RELEASE, str(PACKAGE), former, own, *WAIT)
        before = world.pods(ready=True)
        with world.flow():
            until(lambda: shares(world) == [2 * PARTITIONS], SECONDS, "it has all partitions")
            world.helm("upgrade", RELEASE, str(CHART), f"--values={EVERYTHING}", own, *WAIT)
            until(lambda: settled(world, 1) and shares(world) == [2 * PARTITIONS], SECONDS, "all partitions again")
        world.settle()
        kept = before.keys() & world.pods().keys()
        world.helm("uninstall", RELEASE, *WAIT)
        until(lambda: not world.get("pods")["items"], SECONDS, "no Pod is left")
        step.saw = (
            f"{PACKAGE.stem} first; {len(before)} Pod, {'kept' if kept else 'replaced'}; "
            f"all {ended_well(world)} Pods ended with exit code 0; {tally(world)}"
        )


def test_the_token_is_made_and_renewed_by_its_jobs(world: World, report: Report, tmp_path: Path) -> None:
    """A Role, a mounted account and a Secret that Pods read: only a cluster shows that they fit each other.

    The renewal ends the token that is in use, and the kubelet brings the new one to the Pods when it pleases.
    """
    name = f"{NAME}-token"
    with (
        report.step("`helm install --wait` with `token.schedule`, and a renewal while events flow") as step,
        world.renewing(tmp_path) as (target, renewing),
    ):
        values = (f"--values={EVERYTHING}", f"--values={world.values()}", f"--values={renewing}")
        world.helm("install", RELEASE, str(CHART), *values, *WAIT)
        first = world.get("secret", name)["data"]["token"]
        with world.flow():
            until(lambda: target.stats()["applied"] > 100, SECONDS, "updates arrive with the first token")
            world.kubectl("create", "job", "renewal", f"--from=cronjob/{name}")
            world.kubectl("wait", "--for=condition=Complete", "job/renewal", "--timeout=120s")
            assert world.get("secret", name)["data"]["token"] != first
            until(lambda: said(world, "token_reloaded"), SECONDS, "the Pods have read the new token")
            arrived = target.stats()["applied"]
            until(lambda: target.stats()["applied"] > arrived + 100, SECONDS, "updates arrive with the new token")
        until(
            lambda: all(caught_up(world.kafka, topic, RENEWING) for topic in world.topics), SECONDS, "all is committed"
        )
        assert differences(fold(one.value for one in world.events), target.profiles()) == []
        pods = world.pods(ready=True)
        assert not any(one["restartCount"] for pod in pods.values() for one in pod["status"]["containerStatuses"])
        refused = target.stats()["by_status"].get("401", 0)
        world.helm("uninstall", RELEASE, *WAIT)
        step.saw = (
            f"{len(world.events):,} events, lost 0, wrong 0; {refused} requests refused until the token was there"
        )


def said(world: World, event: str) -> bool:
    """Whether a Pod of the release that runs has logged this."""
    running = world.pods()
    return any(
        line["event"] == event
        for pod, lines in world.lines().items()
        if pod.partition(".")[0] in running
        for line in lines
    )


def ended_well(world: World) -> int:
    """How many Pods there ever were; all of them stopped in order."""
    ends = {pod: lines[-1] for pod, lines in world.lines().items()}
    assert {(end["event"], end["exit_code"]) for end in ends.values()} == {("connector_stopped", 0)}, ends
    return len(ends)


def scale(world: World, replicas: int) -> None:
    """As an autoscaler does."""
    world.kubectl("scale", f"deployment/{NAME}", f"--replicas={replicas}")
    until(lambda: settled(world, replicas), SECONDS, f"there are {replicas} Pods")


def settled(world: World, replicas: int = REPLICAS) -> bool:
    """Whether exactly this many Pods exist, and all are ready."""
    return len(world.pods()) == len(world.pods(ready=True)) == replicas


@contextmanager
def readiness(world: World, folder: Path) -> Iterator[list[int]]:
    """How many Pods of the Deployment were ready, each time that it changed; filled when it is left."""
    path = folder / "readiness"
    counts: list[int] = []
    watching = ("get", f"deployment/{NAME}", "--watch", '--output=jsonpath={.status.readyReplicas}{"\\n"}')
    with world.node.watch(path, f"--namespace={NAMESPACE}", *watching) as watch:
        try:
            yield counts
        finally:
            watch.kill()
    counts += [int(line or 0) for line in path.read_text().splitlines()]


def shares(world: World) -> list[int]:
    """The number of partitions that each Pod has."""
    return sorted(len(world.status(pod)["partitions"]) for pod in world.pods(ready=True).values())


def linger(world: World, name: str) -> float:
    """The setting as the process in the Pod has it."""
    found: float = world.status(world.pods()[name])["settings"]["COALESCE_LINGER_SECONDS"]
    return found


def busiest(world: World) -> str:
    """The Pod with most updates in flight and waiting, once that is a lot; before that none."""
    found = {name: world.status(pod)["updates"] for name, pod in world.pods(ready=True).items()}
    name = max(found, key=lambda one: float(found[one]["pending"]))
    return name if found[name]["pending"] >= 20 and found[name]["in_flight"] else ""


def tally(world: World) -> str:
    """All so far; it follows a `settle`, so nothing was lost, stale or sent again."""
    stats = world.sandbox.stats()
    return f"{len(world.events):,} events and {stats['applied']:,} updates so far, lost 0, wrong 0, sent again 0"
