"""What all suites share: real servers, started only for a test that asks, and a check that no process outlives them."""

import gc
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, suppress
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
from hypothesis import settings

import connector
from tests.support.browser import Browser, NoBrowser
from tests.support.browser import chromium as start_chromium
from tests.support.environment import neutralise, restore_interrupt
from tests.support.java import Unavailable, log_tail
from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import Kafka
from tests.support.kafka.config import RETURNS_SOON
from tests.support.kafka.fetch import Distribution
from tests.support.kafka.prepare import obtain
from tests.support.registry.apicurio import Apicurio, Registry
from tests.support.registry.fetch import obtain as obtain_registry
from tests.support.shared import shared, started
from tests.support.stalls import repeated
from tests.support.warm import stop as stop_warm

# Before any test module is imported: some read the environment at import.
neutralise(os.environ)
restore_interrupt()
# With it jsonschema builds 38 parsers at its import, for a format that no schema of ours has: 1.5 s in each process.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# No deadline: a busy machine is not a finding, and pytest's timeout bounds all tests. In CI the examples follow from
# the code alone, so that a failure there is about the change; elsewhere each run has its own.
settings.register_profile(
    "here", settings.get_profile("default"), deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("here")

WORKER_END_SECONDS = 10.0
"""How long the end of a worker is waited for, whose connection has ended."""

SESSION = "CONNECTOR_TEST_SESSION"
"""Marks each process that the tests start, and what those start, by its environment."""


UNMEASURED = frozenset({"peers", "property", "simulation"})
"""Folders that take no part in the coverage: it triples their time, and the unit tests reach the same lines."""


WAITING = ("e2e", "contract", "peers", "integration", "browser", "alerts", "component", "chaos")
"""Folders whose tests mostly wait for processes, those with the longest files first."""
COMPUTING = ("simulation", "property", "repository", "unit")
"""Folders whose tests mostly compute, likewise."""


SHORT_TIMEOUTS = frozenset({"component", "contract"})
"""Folders whose tests give a fraction of a second to servers in their own process."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files in turn; and fixture and folder set the marker: no test can forget that it needs the real broker."""
    items.sort(key=alternating(items))
    for item in items:
        if {"distribution", "apicurio"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("integration")
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if "e2e" in item.path.parts:
            item.add_marker("e2e")
        if UNMEASURED & set(item.path.parts):
            item.add_marker("no_cover")


def alternating(items: list[pytest.Item]) -> Callable[[pytest.Item], int]:
    """Order files so that one that waits and one that computes come in turn: the workers take both kinds at a time."""
    named = {item.path: _folder(item.path) for item in items}
    ranks: dict[Path, int] = {}
    for offset, folders in enumerate((WAITING, COMPUTING)):
        files = sorted((path for path in named if named[path] in folders), key=lambda path: folders.index(named[path]))
        ranks |= {path: 2 * number + offset for number, path in enumerate(files)}
    return lambda item: ranks.get(item.path, len(items))


def _folder(path: Path) -> str:
    """The folder of `tests` that a file is in."""
    return path.relative_to(Path(__file__).parent).parts[0]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test whose timeouts are short again, where it failed while the process was held up."""
    if _folder(pyfuncitem.path) not in SHORT_TIMEOUTS:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in signature(pyfuncitem.obj).parameters}
    repeated(lambda: pyfuncitem.obj(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the end of a server's log beside a failure of a test that used it."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, Kafka | Registry):
                report.sections.append((f"log of {name}", log_tail(value.log)))
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Leave the measurement of a worker to pytest-cov: the one of every process that starts would be a second one."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def pytest_configure(config: pytest.Config) -> None:
    """End what pytest-cov begins first in a worker, beside the measurement that it ends where a test is `no_cover`."""
    measurement = _measurement(config)
    if hasattr(config, "workerinput") and measurement is not None:
        measurement.cov.stop()
        measurement.cov.save()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Measure the modules of the connector once, and then not what the collection imports: it would take twice as long.

    What lives then lives to the end. The garbage collector does not look at it again: it would stop a test for seconds
    on a busy machine, longer than the timeouts that some tests give to an endpoint.
    """
    measurement = _measurement(session.config)
    if measurement is not None:
        for module in walk_packages(connector.__path__, "connector."):
            if not module.name.endswith("__main__"):
                import_module(module.name)
        measurement.pause()
    collected = yield
    if measurement is not None:
        measurement.resume()
    gc.collect()
    gc.freeze()
    return collected


def _measurement(config: pytest.Config) -> Any:
    """What measures the coverage of this process, by pytest-cov; None without it."""
    return getattr(config.pluginmanager.getplugin("_cov"), "cov_controller", None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Say by which code or signal a worker of xdist ended: xdist says only that it did."""
    if error:
        process = node.gateway._io.popen  # noqa: SLF001 - it has no public name
        with suppress(subprocess.TimeoutExpired):  # It may live on, and only be cut off.
            process.wait(WORKER_END_SECONDS)
        memory = Path("/proc/meminfo").read_text().split("\n")[:3] if sys.platform == "linux" else []
        sys.stderr.write(f"\n[{node.gateway.id}] ended with {process.returncode}, {' '.join(memory)}\n")


@pytest.fixture(scope="session", autouse=True)
def no_orphans() -> Iterator[None]:
    """Every process that was started in this session has ended with it, also one that left its parent."""
    session = uuid.uuid4().hex
    os.environ[SESSION] = session
    yield
    stop_warm()
    del os.environ[SESSION]
    if sys.platform == "linux":
        left = survivors(f"{SESSION}={session}")
        assert not left, f"these processes outlived the tests: {left}"


def survivors(mark: str) -> list[str]:
    """The command lines of other living processes that were started with this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) != os.getpid() and mark in (process / "environ").read_text(errors="replace"):
                found.append((process / "cmdline").read_text(errors="replace").replace("\0", " ").strip())
        except OSError:
            continue  # Ended meanwhile, or another user's.
    return found


@pytest.fixture(scope="session")
def distribution() -> Distribution:
    """The broker's files; without them the test is skipped, and in CI the run fails."""
    try:
        return obtain()
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN, no real Kafka broker: {problem}")


@pytest.fixture(scope="session")
def of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of a run of the tests share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def kafka(distribution: Distribution, of_this_run: Path) -> Iterator[Kafka]:
    """The one broker of a run, for tests that use topics and groups of their own."""
    broker = KafkaBroker(distribution, of_this_run / "kafka")
    with shared(of_this_run / "shared-kafka", lambda: started(broker, broker.bootstrap)) as bootstrap:
        yield Kafka(bootstrap, broker.log)


@pytest.fixture(scope="module")
def broker_of_this_file(distribution: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """The one behind `broker`."""
    broker = KafkaBroker(distribution, tmp_path_factory.mktemp("kafka"), properties=RETURNS_SOON)
    with started(broker, broker.bootstrap):
        yield broker


@pytest.fixture
def broker(broker_of_this_file: KafkaBroker) -> KafkaBroker:
    """A broker of the file's own, to be paused and killed; each test finds it running."""
    if not broker_of_this_file.is_running:
        broker_of_this_file.start()
    broker_of_this_file.resume()
    return broker_of_this_file


@pytest.fixture(scope="session")
def apicurio(of_this_run: Path) -> Iterator[Registry]:
    """The one Schema Registry of a run, for tests that keep to subjects of their own.

    Without it the test is skipped, and in CI the run fails.
    """
    try:
        distribution = obtain_registry()
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN, no real Schema Registry: {problem}")
    registry = Apicurio(distribution, of_this_run / "registry")
    with shared(of_this_run / "shared-registry", lambda: started(registry, registry.url)) as url:
        yield Registry(url, registry.log)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The one browser of the session; without it the test is skipped, and in CI the run fails."""
    with ExitStack() as ending:
        try:
            browser = ending.enter_context(start_chromium())
        except NoBrowser as problem:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"NOT RUN, no browser: {problem}")
        yield browser
