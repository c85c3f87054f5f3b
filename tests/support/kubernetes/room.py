"""Namespaces for a node, so that nothing of it remains on the machine.

Everything inside descends from one process with network, mounts and process numbers of its own. When that ends, also
by kill -9 of the tests, the kernel ends the rest: no Pod, mount, address or route outlives it. Only empty control
groups do, and those are removed at the end and before the next start.
"""

import os
import signal
import subprocess
import uuid
from pathlib import Path
from typing import Final

from tests.support.kafka.config import die_with_parent
from tests.support.kubernetes.build import Unavailable
from tests.support.process import until

HOST: Final = "198.18.0.1"
"""This machine's address for Pods, from the benchmarking range (RFC 2544), which is not routed."""
NODE: Final = "198.18.0.2"
PODS: Final = "198.18.128.0/24"
CGROUPS: Final = Path("/sys/fs/cgroup")
LOGS: Final = "machine-logs"

# Writes outside the programs' folders go elsewhere, and the kubelet finds the kernel settings that it wants: it would
# change the whole machine's otherwise. Zombie children vanish, since SIGCHLD is ignored.
HOLD: Final = """
set -e
for folder in /run /var/lib; do mount -t tmpfs none $folder; done
mount --bind machine-logs /var/log
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000
do
    name=/run/setting-$(echo ${setting%=*} | tr / -)
    echo ${setting#*=} >$name
    mount --bind $name /proc/sys/${setting%=*}
done
ip link set lo up
trap '' CHLD
echo ready
exec sleep infinity
"""


class Room:
    """The namespaces, and the veth pair between them and this machine."""

    def __init__(self, folder: Path) -> None:
        """`folder` is new, and the working directory of every command inside."""
        self._folder = folder
        self._cable = f"veth-{uuid.uuid4().hex[:8]}"
        self._holder: subprocess.Popen[bytes] | None = None
        self._first = 0

    def open(self) -> None:
        """Raises `Unavailable` when this machine has Pods already."""
        (self._folder / LOGS).mkdir(parents=True)
        if not _remove_cgroups():
            message = f"{CGROUPS} has Pods of another kubelet, which this one would fight with"
            raise Unavailable(message)
        path = self._folder / "holder.log"
        with path.open("wb") as log:
            self._holder = subprocess.Popen(
                ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", HOLD],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                # The terminal's Ctrl-C is for pytest, which then ends it.
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - one system call, looked up before the fork
            )
        until(lambda: path.read_text() == "ready\n", 60, "the namespaces are open")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self._first = int(children[0])
        self._connect()

    def close(self) -> None:
        """End everything inside; a room that was never opened stays closed."""
        if self._holder is not None:
            # The first process inside ends only after all others.
            if self._first:
                os.kill(self._first, signal.SIGKILL)
            else:
                self._holder.kill()
            self._holder.wait()
            # The kernel would do it too, a moment later.
            subprocess.run(["ip", "link", "delete", self._cable], capture_output=True, check=False)
            until(_remove_cgroups, 60, "the control groups of the Pods are empty")

    def command(self, *command: str) -> list[str]:
        """The command that runs this one inside."""
        return ["nsenter", f"--target={self._first}", "--net", "--mount", "--pid", "--wd", *command]

    def run(self, *command: str) -> None:
        """Run it inside, to its end."""
        done = subprocess.run(self.command(*command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"

    def _connect(self) -> None:
        """Pods are behind the node, at the other end of the veth pair."""
        for line in (
            f"link add {self._cable} type veth peer name cable netns {self._first}",
            f"address add {HOST}/30 dev {self._cable}",
            f"link set {self._cable} up",
        ):
            subprocess.run(["ip", *line.split()], check=True)
        for line in (f"address add {NODE}/30 dev cable", "link set cable up", f"route add default via {HOST}"):
            self.run("ip", *line.split())
        subprocess.run(["ip", *f"route add {PODS} via {NODE}".split()], check=True)


def _remove_cgroups() -> bool:
    """Remove the empty ones that a kubelet left, from the innermost; returns whether none is left."""
    roots = [*CGROUPS.glob("kubepods"), *CGROUPS.glob("*/kubepods")]
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            try:
                Path(folder).rmdir()
            except OSError:
                return False  # A process is in it.
    return True
