"""Runs the sandbox Target and its embedded broker until a signal, and says where they are and what came of it."""

import asyncio
import contextlib
import signal
import sys

from connector.cli.event_loop import loop_factory
from connector.sandbox.config import SandboxConfig
from connector.sandbox.rules import PathForm
from connector.sandbox.server import SandboxTarget
from connector.sandbox.token_service import IMS_PATH


def serve(config: SandboxConfig, kafka_port: int | None, names: tuple[str, ...]) -> int:
    """Serve until SIGINT or SIGTERM: 0 then, 1 if an address cannot be had. `names`: the embedded broker's topics."""
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(config, kafka_port, names))


async def _serve(config: SandboxConfig, kafka_port: int | None, names: tuple[str, ...]) -> int:
    target = SandboxTarget(config)
    async with contextlib.AsyncExitStack() as started:
        try:
            await target.start()
        except OSError as error:
            return _cannot_listen(config.host, config.port, error)
        started.push_async_callback(target.stop)
        kafka = None
        if kafka_port is not None:
            try:
                kafka = await _start_broker(started, kafka_port, names)
            except OSError as error:
                return _cannot_listen("127.0.0.1", kafka_port, error)
        await _until_told(config, target, kafka, names[0])
    stats = target.endpoint.stats()
    _say(
        f"sandbox: {stats['requests']:,} requests, {stats['applied']:,} applied, {stats['visitors']:,} visitors, "
        f"{sum(stats['violations'].values()):,} broken rules, {stats['overlapping']:,} of them two in flight"
    )
    return 0


async def _start_broker(started: contextlib.AsyncExitStack, port: int, names: tuple[str, ...]) -> str:
    """Start the embedded broker; returns the address to give to clients. Raises OSError if the port is taken."""
    from connector.sandbox.broker import EmbeddedBroker  # noqa: PLC0415 - without the option no client is loaded
    from connector.sandbox.front_port import FrontPort  # noqa: PLC0415

    broker = started.enter_context(EmbeddedBroker())
    for name in names:
        broker.create_topic(name)
    front = FrontPort(port, broker.bootstrap)
    await front.start()
    started.push_async_callback(front.stop)
    return front.address


async def _until_told(config: SandboxConfig, target: SandboxTarget, kafka: str | None, topic: str) -> None:
    """Say where everything is, and wait for SIGINT or SIGTERM."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    segment = config.client_code if config.path is PathForm.CODE else "client"
    token = "" if config.token is None else " -H 'Authorization: Bearer …'"
    query = "mbox3rdPartyId=123&profile.loyaltyTier=gold"
    _say(
        f"sandbox Target on {target.url} - try: "
        f"curl{token} '{target.url}/m2/{segment}/profile/update?{query}' && curl {target.url}/sandbox/profiles"
    )
    if (own := config.token_service) is not None:
        service = f"{target.url}/{{tenant}}/target/authentication/token?authorizationScope=profile_api"
        _say(
            f"token services - try: TARGET_TENANT={own.tenant} TARGET_TOKEN_CLIENT_ID={own.client_id} "
            f"TARGET_TOKEN_CLIENT_SECRET={own.client_secret} TARGET_TOKEN_IMS_URL={target.url}{IMS_PATH} "
            f"TARGET_TOKEN_URL='{service}' connector token --file token"
        )
    if kafka is not None:
        # The embedded broker has no append times, which the quota's ledger needs.
        _say(
            f"embedded Kafka on {kafka} - try: KAFKA_BOOTSTRAP_SERVERS={kafka} KAFKA_TOPICS={topic} QUOTA_UPDATES=0 "
            f"TARGET_CLIENT_CODE={config.client_code} TARGET_BASE_URL={target.url} connector run"
        )
    await ended.wait()


def _cannot_listen(host: str, port: int, error: OSError) -> int:
    sys.stderr.write(f"sandbox: cannot listen on {host} port {port}: {error.strerror or error}\n")
    return 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
