"""Done once per machine, so that a broker of the tests starts in a second or two."""

import fcntl
import shutil

from confluent_kafka import Consumer, TopicPartition

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import ANSWER_SECONDS, patiently
from tests.support.kafka.fetch import Distribution, cache, fetch


def obtain() -> Distribution:
    """The distribution, fetched and prepared unless that was done. Raises `Unavailable`."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        distribution = fetch(folder)
        if not (folder / "template").exists():
            _prepare(distribution)
        return distribution


def _prepare(distribution: Distribution) -> None:
    """Create what halves each later start: an archive of loaded classes, and formatted storage."""
    work = distribution.folder / "prepare"
    shutil.rmtree(work, ignore_errors=True)
    # A leftover of an interrupted run: Java cannot both use and create an archive.
    (distribution.folder / "classes.jsa").unlink(missing_ok=True)
    broker = KafkaBroker(distribution, work, jvm=["-XX:ArchiveClassesAtExit=classes.jsa"])
    try:
        broker.start()
        # Asking for a group's coordinator creates the offsets topic: the first commit would wait a second for it.
        settings = {"bootstrap.servers": broker.bootstrap, "group.id": "nobody", "log_level": 0}
        consumer = Consumer(settings)
        patiently(lambda: consumer.committed([TopicPartition("nothing", 0)], timeout=ANSWER_SECONDS))
        consumer.close()
        broker.stop()
        (work / "classes.jsa").replace(distribution.folder / "classes.jsa")
        (work / "data").rename(distribution.folder / "template")
    finally:
        broker.stop()
        shutil.rmtree(work, ignore_errors=True)
