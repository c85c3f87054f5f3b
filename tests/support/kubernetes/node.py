"""One machine as a whole Kubernetes: control plane, containerd and kubelet, in namespaces that end with it."""

import json
import os
import shutil
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import trustme

from tests.support.kafka.config import die_with_parent
from tests.support.kubernetes.build import PLUGINS, PROGRAMS, Programs
from tests.support.kubernetes.room import LOGS, NODE, PODS, Room
from tests.support.process import until

SERVICES: Final = "198.18.64.0/24"
NAME: Final = "node"
PORT: Final = 6443
PAUSE: Final = "localhost/pause:1"
START_SECONDS: Final = 240.0
"""A start takes half a minute; several times that on a busy machine."""
USERS: Final = ("admin", "controllers", "scheduler", "kubelet")


class Node:
    """As a context manager it runs; `kubectl` and `helm` on this machine reach it with `environment`."""

    def __init__(self, programs: Programs, folder: Path) -> None:
        """`folder` is new, and takes data, logs and credentials."""
        # kubectl and helm cache what they learn of a cluster, and the next run's is another one.
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(folder / "admin.kubeconfig"),
            "KUBECACHEDIR": str(folder / "cache"),
            "HELM_CACHE_HOME": str(folder / "cache"),
        }
        self.pod_logs = folder / LOGS / "pods"
        self._programs = programs
        self._folder = folder
        self._tokens = {user: uuid.uuid4().hex for user in USERS}
        self._room = Room(folder)
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        try:
            self._room.open()
            self._write_credentials()
            self._start_control_plane()
            self._start_kubelet()
        except BaseException as error:
            error.add_note(self.logs())
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._room.close()
        for process in self._started.values():
            process.kill()
            process.wait()
        # Hundreds of megabytes of images, which pytest would keep for three runs.
        shutil.rmtree(self._folder / "containerd", ignore_errors=True)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it to its end; returns its output. A failure shows that."""
        done = self.try_kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr[-3_000:]}{done.stdout[-3_000:]}"
        return done.stdout

    def try_kubectl(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Likewise, but a failure is a result too."""
        return subprocess.run(
            [self._programs["kubectl"], *arguments],
            env=self.environment,
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def watch(self, path: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """A kubectl that keeps running, such as `logs -f`, into a file. The caller waits for its end."""
        with path.open("wb") as out:
            return subprocess.Popen(
                [self._programs["kubectl"], *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, looked up before the fork
            )

    def load(self, archive: Path) -> None:
        """Load an image from a docker archive; no registry is used."""
        self._room.run("ctr", "-a", self._socket, "-n", "k8s.io", "images", "import", str(archive))

    def logs(self, characters: int = 1_500) -> str:
        """The end of each program's log, for the report of a failure."""
        return "\n".join(
            f"--- {name}\n{(self._folder / f'{name}.log').read_text(errors='replace')[-characters:]}"
            for name in self._started
        )

    # Internals

    @property
    def _socket(self) -> str:
        return str(self._folder / "containerd.sock")

    def _start(self, name: str, *command: str) -> None:
        # This machine may have another Kubernetes of its own.
        program = self._programs[command[0]] if command[0] in PROGRAMS else command[0]
        with (self._folder / f"{name}.log").open("wb") as log:
            self._started[name] = subprocess.Popen(
                self._room.command(program, *command[1:]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _write_credentials(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self._folder / "ca.crt")
        server = authority.issue_cert(NODE, "kubernetes.default.svc")
        server.private_key_and_cert_chain_pem.write_to_path(self._folder / "server.pem")
        to_kubelet = authority.issue_cert("apiserver", common_name="apiserver", organization_name="system:masters")
        to_kubelet.private_key_and_cert_chain_pem.write_to_path(self._folder / "to-kubelet.pem")
        authority.issue_cert("tokens").private_key_pem.write_to_path(self._folder / "tokens.key")
        groups = {
            "admin": ("admin", "system:masters"),
            "controllers": ("system:kube-controller-manager", ""),
            "scheduler": ("system:kube-scheduler", ""),
            "kubelet": (f"system:node:{NAME}", "system:nodes"),
        }
        lines = [f'{self._tokens[user]},{groups[user][0]},{user},"{groups[user][1]}"\n' for user in USERS]
        (self._folder / "tokens.csv").write_text("".join(lines))
        for user, token in self._tokens.items():
            cluster = {"server": f"https://{NODE}:{PORT}", "certificate-authority": str(self._folder / "ca.crt")}
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": user, "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
                "current-context": "test",
            }
            self._write(f"{user}.kubeconfig", config)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        (self._folder / name).write_text(json.dumps(dict(content)))

    def _start_control_plane(self) -> None:
        store, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
        self._start(
            *("etcd", "etcd", "--data-dir=etcd", f"--listen-client-urls={store}", f"--advertise-client-urls={store}"),
            *(f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}"),
            f"--initial-cluster=default={peers}",
        )
        self._start(
            *("apiserver", "kube-apiserver", f"--etcd-servers={store}", f"--bind-address={NODE}"),
            *(f"--advertise-address={NODE}", f"--secure-port={PORT}", "--endpoint-reconciler-type=none"),
            *("--tls-cert-file=server.pem", "--tls-private-key-file=server.pem", "--cert-dir=certificates"),
            "--service-account-issuer=https://kubernetes.default.svc",
            *("--service-account-key-file=tokens.key", "--service-account-signing-key-file=tokens.key"),
            *(
                "--token-auth-file=tokens.csv",
                "--authorization-mode=Node,RBAC",
                f"--service-cluster-ip-range={SERVICES}",
            ),
            *("--enable-admission-plugins=NodeRestriction", "--kubelet-preferred-address-types=InternalIP"),
            *("--kubelet-client-certificate=to-kubelet.pem", "--kubelet-client-key=to-kubelet.pem"),
        )
        self._await("the API answers", "get", "--raw", "/readyz")
        usual = ("--leader-elect=false", "--secure-port=0")
        self._start(
            *("controllers", "kube-controller-manager", "--kubeconfig=controllers.kubeconfig", *usual),
            *("--service-account-private-key-file=tokens.key", "--root-ca-file=ca.crt"),
            # That controller publishes a certificate for the API server that does not exist here.
            "--controllers=*,-kube-apiserver-serving-clustertrustbundle-publisher-controller",
            "--use-service-account-credentials=true",
        )
        self._start("scheduler", "kube-scheduler", "--kubeconfig=scheduler.kubeconfig", *usual)

    def _start_kubelet(self) -> None:
        folder = self._folder
        network = {
            "cniVersion": "1.0.0",
            "name": "pods",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods",
                    "isDefaultGateway": True,
                    "ipam": {"type": "host-local", "ranges": [[{"subnet": PODS}]]},
                },
            ],
        }
        (folder / "network").mkdir()
        self._write("network/pods.conflist", network)
        (folder / "containerd.toml").write_text(CONTAINERD.format(folder=folder, plugins=PLUGINS, pause=PAUSE))
        self._start("containerd", "containerd", "--config=containerd.toml")
        until(lambda: _listens(self._socket), START_SECONDS, "containerd listens")
        self._load_pause()
        self._write("kubelet.yaml", {**KUBELET, "containerRuntimeEndpoint": f"unix://{self._socket}"})
        self._start(
            *("kubelet", "kubelet", "--config=kubelet.yaml", "--kubeconfig=kubelet.kubeconfig"),
            *(f"--root-dir={folder}/kubelet", f"--cert-dir={folder}/kubelet-certificates"),
            *(f"--node-ip={NODE}", f"--hostname-override={NAME}"),
        )
        ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        self._await("the node is ready", "get", "node", NAME, "-o", ready, answer="True")

    def _load_pause(self) -> None:
        """The image that holds each Pod's namespaces open: one program."""
        archive = self._folder / "pause.tar"
        container = _buildah("from", "scratch")
        try:
            _buildah("copy", container, self._programs["pause"], "/pause")
            _buildah("config", "--entrypoint", '["/pause"]', container)
            image = _buildah("commit", "--quiet", container)
            _buildah("push", "--quiet", image, f"docker-archive:{archive}:{PAUSE}")
            _buildah("rmi", image)
        finally:
            _buildah("rm", container)
        self.load(archive)

    def _await(self, what: str, *arguments: str, answer: str = "ok") -> None:
        def asked() -> bool:
            ended = [name for name, process in self._started.items() if process.poll() is not None]
            assert not ended, f"{ended} ended before {what}"
            return self.try_kubectl(*arguments).stdout == answer

        until(asked, START_SECONDS, what)


def _buildah(*arguments: str) -> str:
    done = subprocess.run(["buildah", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"buildah {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


CONTAINERD: Final = """\
version = 2
root = "{folder}/containerd"
state = "{folder}/containerd-state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/network"
"""

KUBELET: Final[Mapping[str, Any]] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": NODE,
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": "ca.crt"},
    },
    "authorization": {"mode": "Webhook"},
    "cgroupDriver": "cgroupfs",
    # Old machines have the first generation of control groups, and some have swap.
    "failCgroupV1": False,
    "failSwapOn": False,
    "oomScoreAdj": 0,
    "makeIPTablesUtilChains": False,
    # There is no cluster DNS, and the Pods must not use this machine's.
    "resolvConf": "",
    "maxPods": 30,
    "imageGCHighThresholdPercent": 100,
    # A full disk of the machine is not under test.
    "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
}
