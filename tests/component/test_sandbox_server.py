"""The sandbox checks requests over a real socket, so a real socket must show what its clients will see."""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from connector.sandbox.config import BodyForm, SandboxConfig, UnknownVisitor, WrongPath
from connector.sandbox.fault_text import parse_fault
from connector.sandbox.rules import FORM, PathForm, Visitor
from connector.sandbox.server import SandboxTarget

UPDATE = "/m2/client/profile/update"
ANN = f"{UPDATE}?mbox3rdPartyId=ann&profile.tier=gold"
XML_SUCCESS = (
    b"<response><success>true</success><pcId></pcId><message>Request successfully submitted</message></response>"
)


@dataclass
class Seen:
    """An answer as a client sees it."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """A plain client; each call has a connection of its own."""

    port: int
    headers: dict[str, str] = field(default_factory=lambda: {"User-Agent": "test"})

    def ask(
        self,
        target: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 5.0,
    ) -> Seen:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, target, body, self.headers | (headers or {}))
            answer = connection.getresponse()
            names = {name.title(): value for name, value in answer.getheaders()}
            return Seen(answer.status, answer.read(), names)
        finally:
            connection.close()

    def post(self, form: str) -> Seen:
        return self.ask(UPDATE, "POST", form, {"Content-Type": FORM})

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.ask("/sandbox/stats").json
        return stats

    def wait_for(self, right: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Poll the statistics until they match; the server may notice a moment after the client."""
        deadline = time.monotonic() + 5
        while not right(stats := self.stats()):
            assert time.monotonic() < deadline, stats
            time.sleep(0.005)
        return stats


@contextlib.contextmanager
def serving(config: SandboxConfig) -> Iterator[SandboxTarget]:
    """A sandbox on a loop and thread of its own, as the integration tests use it."""
    target = SandboxTarget(config)
    started = threading.Event()
    ended = asyncio.Event()

    async def serve() -> None:
        await target.start()
        started.set()
        await ended.wait()
        await target.stop()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=lambda: runner.run(serve()))
        thread.start()
        try:
            assert started.wait(5)
            yield target
        finally:
            loop.call_soon_threadsafe(ended.set)
            thread.join(10)
            assert not thread.is_alive()


@contextlib.contextmanager
def sandbox(*faults: str, **options: Any) -> Iterator[Client]:
    """A client of a sandbox with these faults and options."""
    with serving(SandboxConfig(faults=tuple(map(parse_fault, faults)), **options)) as target:
        yield Client(target.port)


@pytest.mark.parametrize(
    ("form", "body", "kind"),
    [
        (BodyForm.XML, XML_SUCCESS, "text/xml;charset=UTF-8"),
        (BodyForm.TEXT, b"trueRequest successfully submitted", "text/plain;charset=UTF-8"),
    ],
)
def test_success_is_answered_in_the_known_words(form: BodyForm, body: bytes, kind: str) -> None:
    """Both known bodies, byte for byte, for GET and POST; their values are in the profile."""
    with sandbox(body=form) as client:
        seen = client.ask(ANN)
        assert (seen.status, seen.body, seen.headers["Content-Type"]) == (200, body, kind)
        assert client.post("mbox3rdPartyId=ann&profile.city=Z%C3%BCrich").body == body
        assert client.ask("/sandbox/profiles").json == {"mbox3rdPartyId:ann": {"tier": "gold", "city": "Zürich"}}
        stats = client.stats()
        assert (stats["requests"], stats["applied"], stats["visitors"], stats["violations"]) == (2, 2, 1, {})


@pytest.mark.parametrize(
    ("fault", "status", "body", "headers", "applied"),
    [
        ("status=503,retry_after=7", 503, b"sandbox fault", {"Retry-After": "7"}, False),
        ("status=204", 204, b"", {}, True),
        ("status=304", 304, b"", {}, False),
        ("status=420", 420, b"Too many requests with same session ID", {}, False),
        ("empty", 200, b"", {}, True),
        (
            "false",
            200,
            XML_SUCCESS.replace(b"true", b"false").replace(b"successfully", b"could not be"),
            {},
            False,
        ),
        (
            "xml=400",
            400,
            b"<sandboxResponseErrorBody><message>sandbox fault</message></sandboxResponseErrorBody>",
            {"Content-Type": "text/xml;charset=UTF-8"},
            False,
        ),
        (
            "json",
            500,
            b'{"status": 500, "message": "sandbox fault"}',
            {"Content-Type": "application/json"},
            False,
        ),
        (
            "html=200",
            200,
            b"<!DOCTYPE html><html><body><h1>200 sandbox fault</h1></body></html>",
            {"Content-Type": "text/html;charset=UTF-8"},
            False,
        ),
        ("redirect=/login", 302, b"", {"Location": "/login"}, False),
        (
            "unauthorized_after=0.000001",
            401,
            b"<sandboxResponseErrorBody><message>token not valid</message></sandboxResponseErrorBody>",
            {},
            False,
        ),
    ],
)
def test_a_fault_that_answers_shows_its_answer(
    fault: str,
    status: int,
    body: bytes,
    headers: dict[str, str],
    applied: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Status, body and headers as documented, and the update applied or not."""
    with sandbox(fault) as client:
        seen = client.ask(ANN)
        assert (seen.status, seen.body) == (status, body)
        assert headers.items() <= seen.headers.items()
        assert ("mbox3rdPartyId:ann" in client.ask("/sandbox/profiles").json) is applied
        assert client.stats()["faults"] == {fault: 1}


@pytest.mark.parametrize(("fault", "applied"), [("drop", False), ("lost_answer", True), ("hang=0.05", False)])
def test_a_fault_without_an_answer_closes_the_connection(fault: str, applied: bool) -> None:  # noqa: FBT001 - a table
    """The client cannot tell a lost answer from a lost request; the profile can."""
    with sandbox(fault) as client:
        with pytest.raises(ConnectionResetError):  # the parent of RemoteDisconnected
            client.ask(ANN)
        stats = client.wait_for(lambda stats: stats["in_flight"] == 0)
        assert stats["by_status"] == {fault.partition("=")[0]: 1}
        assert stats["applied"] == applied
        assert ("mbox3rdPartyId:ann" in client.ask("/sandbox/profiles").json) is applied


def test_a_hang_lasts_until_the_client_gives_up() -> None:
    """The request ends when the client leaves, long before the hang's own end."""
    with sandbox("hang=60") as client:
        with pytest.raises(TimeoutError):
            client.ask(ANN, timeout=0.1)
        stats = client.wait_for(lambda stats: stats["in_flight"] == 0)
        assert (stats["by_status"], stats["applied"]) == ({"client_gone": 1}, 0)


def test_a_delay_comes_after_the_update_is_taken() -> None:
    """The answer waits, the update does not: a client that gives up meanwhile cannot know that it was applied."""
    with sandbox("delay=0.05", "delay=0.05") as client:
        began = time.monotonic()
        assert client.ask(ANN).status == 200
        assert time.monotonic() - began >= 0.1
        assert client.stats()["p50_ms"] >= 100
        client.ask("/sandbox/faults", "PUT", '["delay=60"]')
        with pytest.raises(TimeoutError):
            client.ask(f"{UPDATE}?mbox3rdPartyId=bob&profile.a=1", timeout=0.1)
        client.wait_for(lambda stats: stats["by_status"] == {"200": 1, "client_gone": 1})
        assert client.stats()["applied"] == 2
        assert client.ask("/sandbox/profiles").json["mbox3rdPartyId:bob"] == {"a": "1"}


@pytest.mark.parametrize(
    ("target", "method", "body", "status", "rules"),
    [
        (f"{UPDATE}?profile.a=1", "GET", None, 400, ["not_one_visitor"]),
        ("/m2/other/profile/update?mboxPC=1&profile.a=1", "GET", None, 400, ["client_code"]),
        ("/favicon.ico", "GET", None, 404, ["path", "not_one_visitor", "no_attribute"]),
        (f"{UPDATE}?mboxPC=1&profile.a=1", "DELETE", None, 405, ["method"]),
        (f"{UPDATE}?mboxPC=1&profile.a={'x' * 100_000}", "GET", None, 414, ["target_size"]),
        (UPDATE, "POST", b"mboxPC=1&profile.a=" + b"x" * 3_000_000, 413, ["body_size"]),
        (f"{UPDATE}?mboxPC=1&profile.a=%zz", "GET", None, 400, ["broken_escape", "no_attribute"]),
    ],
)
def test_a_broken_rule_is_refused_and_kept(
    target: str, method: str, body: bytes | None, status: int, rules: list[str]
) -> None:
    """What a strict HTTP server would refuse is read too, so that rule and client are named."""
    with sandbox() as client:
        seen = client.ask(target, method, body, {"Content-Type": FORM})
        assert seen.status == status
        assert all(rule.encode() in seen.body for rule in rules)
        stats = client.stats()
        assert stats["violations"] == dict.fromkeys(rules, 1)
        assert {sample["client"] for sample in stats["violation_samples"]} == {"test"}
        assert stats["applied"] == 0


def send_raw(port: int, data: bytes) -> bytes:
    """Bytes that no HTTP library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(data)
        return raw.recv(65_536)


def test_what_is_no_http_is_a_broken_rule() -> None:
    """The framework answers it alone, but the rules must count it."""
    with sandbox() as client:
        assert send_raw(client.port, b"GET / nonsense\r\n\r\n").startswith(b"HTTP/1.0 400")
        assert client.stats()["violations"] == {"http": 1}


def test_a_body_that_is_not_framed_as_http_is_a_broken_rule() -> None:
    """A chunk without a length cannot be read."""
    head = f"POST {UPDATE} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with sandbox() as client:
        assert send_raw(client.port, head + b"zz\r\nmboxPC=1&profile.a=1\r\n0\r\n\r\n").startswith(b"HTTP/1.0 400")
        assert client.stats()["violations"] == {"http": 1}


def test_a_client_that_leaves_in_its_body_is_gone() -> None:
    """Half a body is no update, and breaks no rule: a broken network looks the same."""
    with sandbox() as client:
        with socket.create_connection(("127.0.0.1", client.port), timeout=5) as raw:
            raw.sendall(f"POST {UPDATE} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nmboxPC=1".encode())
            client.wait_for(lambda stats: stats["in_flight"] == 1)
        stats = client.wait_for(lambda stats: stats["in_flight"] == 0)
        assert (stats["by_status"], stats["violations"]) == ({"client_gone": 1}, {})


def test_a_compressed_body_is_not_unpacked() -> None:
    """The endpoint documents no content encoding: compressed bytes are no form."""
    with sandbox() as client:
        seen = client.ask(UPDATE, "POST", b"\x1f\x8b\x08\x00\xff", {"Content-Type": FORM, "Content-Encoding": "gzip"})
        assert seen.status == 400
        assert "malformed_parameter" in client.stats()["violations"]


def test_a_missing_and_a_wrong_token_are_refused() -> None:
    """403 without a token, 401 with a wrong one, for updates and fetches, until the right one; it can be replaced."""
    with sandbox("unauthorized_after=60", token="secret") as client:
        assert client.ask(ANN).status == 403
        assert client.ask("/rest/v1/profiles/1?client=demo").status == 403
        assert client.ask(ANN, headers={"Authorization": "Bearer wrong"}).status == 401
        assert client.ask(ANN, headers={"Authorization": "Bearer secret"}).status == 200
        assert client.ask("/sandbox/token", "PUT", '{"token": "new"}').status == 204
        assert client.ask(ANN, headers={"Authorization": "Bearer secret"}).status == 401
        assert client.ask(ANN, headers={"Authorization": "Bearer new"}).status == 200
        assert client.ask("/sandbox/token", "PUT", '{"token": null}').status == 204
        assert client.ask(ANN).status == 200


def test_the_quota_outlives_a_new_plan() -> None:
    """A chaos test changes faults, and the account's quota stays."""
    with sandbox("status=500,limit=1", quota=parse_fault("quota=2/60"), window_seconds=60.0) as client:
        assert client.ask(ANN).status == 500
        assert client.ask("/sandbox/faults", "PUT", "[]").status == 204
        assert [client.ask(ANN).status for _ in range(3)] == [200, 429, 429]
        stats = client.stats()
        assert (stats["faults"], stats["fullest_window"]) == ({"quota=2/60": 2}, 4)


def test_two_requests_in_flight_for_one_visitor_are_seen() -> None:
    """Over two connections, while the first waits for its answer; named by instance or user agent."""
    with sandbox("delay=0.3,limit=1") as client:
        slow = threading.Thread(target=client.ask, args=(ANN,))
        slow.start()
        client.wait_for(lambda stats: stats["in_flight"] == 1)
        client.ask(f"{UPDATE}?mbox3rdPartyId=bob&profile.a=1")
        assert client.stats()["overlapping"] == 0
        client.ask(ANN, headers={"X-Instance": "other"})
        client.ask(ANN)
        slow.join()
        stats = client.stats()
        assert (stats["overlapping"], stats["overlapping_same_client"]) == (2, 1)
        assert stats["violations"] == {"two_in_flight": 2}
        assert [sample["client"] for sample in stats["violation_samples"]] == ["test | other", "test"]


def test_a_client_that_gives_up_and_retries_is_no_overlap() -> None:
    """A timeout ends the request: the next one for the visitor is allowed at once."""
    with sandbox("hang=60,limit=20") as client:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                client.ask(ANN, timeout=0.02)
        assert client.ask(ANN).status == 200
        assert client.stats()["overlapping"] == 0


HOSTILE = ["a/b", "100%", "a b", "a+b", "é😀", "?x=1&y#z", "..", ".", "thirdPartyId", "%2F", "\0", "'\"<>"]


def test_a_profile_is_fetched_by_a_hostile_id() -> None:
    """Customers choose the ids: each must be found again, by either kind, whatever its characters."""
    with sandbox(client_code="acme") as client:
        for visitor in HOSTILE:
            encoded = quote(visitor, safe="")
            client.post(f"mbox3rdPartyId={encoded}&profile.by=third&profile.x={encoded}")
            client.post(f"mboxPC={encoded}&profile.by=pc")
            third = client.ask(f"/rest/v1/profiles/thirdPartyId/{encoded}?client=acme")
            assert third.status == 200
            assert (third.json["client"], third.json["visitorId"]) == ("acme", visitor)
            values = {name: attribute["value"] for name, attribute in third.json["profileAttributes"].items()}
            assert values == {"by": "third", "x": visitor}
            by_pc = client.ask(f"/rest/v1/profiles/{encoded}?client=acme").json
            assert by_pc["profileAttributes"]["by"]["value"] == "pc"
            assert by_pc["modifiedAt"] == by_pc["profileAttributes"]["by"]["modifiedAt"]
        both = {f"{kind}:{visitor}" for kind in ("mbox3rdPartyId", "mboxPC") for visitor in HOSTILE}
        assert set(client.ask("/sandbox/profiles").json) == both


def test_an_unknown_profile_is_a_404_in_adobes_words() -> None:
    """Also one that expired; a request in the wrong form is told the right one. None of them is metered."""
    with sandbox(expire_after_seconds=0.000001) as client:
        client.ask(ANN)
        seen = client.ask("/rest/v1/profiles/thirdPartyId/ann?client=demo")
        words = "No profile found for client demo with third party id=ann"
        assert (seen.status, seen.json) == (404, {"status": 404, "message": words})
        seen = client.ask("/rest/v1/profiles/1.28_0?client=demo")
        assert seen.json == {"status": 404, "message": "No profile found for client demo with mboxPC=1.28_0"}
        for wrong in ("ann?client=other", "ann", "a/b?client=demo", "thirdPartyId/a/b?client=demo", "%zz?client=demo"):
            assert client.ask(f"/rest/v1/profiles/{wrong}").status == 400
        assert client.ask("/rest/v1/profiles/ann?client=demo", "POST").status == 400
        assert client.stats()["requests"] == 1


def test_registered_visitors_alone_get_a_profile_in_update_only_mode() -> None:
    """A registered visitor has an empty profile at once; other updates are accepted and dropped."""
    with sandbox(update_only=True) as client:
        assert client.ask("/sandbox/visitors", "POST", '["mbox3rdPartyId:ann"]').status == 204
        assert client.ask("/rest/v1/profiles/thirdPartyId/ann?client=demo").json["profileAttributes"] == {}
        assert client.ask(ANN).status == 200
        assert client.ask(f"{UPDATE}?mboxPC=1&profile.a=1").body == XML_SUCCESS
        assert client.ask("/sandbox/profiles").json == {"mbox3rdPartyId:ann": {"tier": "gold"}}
        assert client.stats()["applied"] == 1
        assert client.ask("/sandbox/profiles", "DELETE").status == 204
        assert client.ask("/sandbox/profiles").json == {}


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (UnknownVisitor.NOT_FOUND, 404, b"No profile found for client demo with third party id=ann"),
        (UnknownVisitor.FALSE, 200, b"<success>false</success>"),
    ],
)
def test_a_visitor_without_a_profile_can_be_told(said: UnknownVisitor, status: int, words: bytes) -> None:
    """What Target answers is not known: each answer is to be had, and ends with the visitor's first visit."""
    with sandbox(update_only=True, unknown_visitor=said) as client:
        seen = client.ask(ANN)
        assert (seen.status, words in seen.body) == (status, True)
        client.ask("/sandbox/visitors", "POST", '["mbox3rdPartyId:ann"]')
        assert client.ask(ANN).body == XML_SUCCESS
        assert client.stats()["applied"] == 1


def test_a_wrong_path_can_be_answered_with_a_success_that_updates_nothing() -> None:
    """Whether Target refuses the other form is not known; a probe would then prove nothing."""
    with sandbox(wrong_path=WrongPath.SUCCESS) as client:
        assert client.ask(ANN.replace("client", "demo")).body == XML_SUCCESS
        assert client.ask("/sandbox/profiles").json == {}
        assert client.stats()["violations"] == {"client_code": 1}
        assert client.ask(ANN.replace("client", "other").replace("profile.", "")).status == 400


def test_an_accepted_update_can_be_late_lost_or_written_over() -> None:
    """The answer is the same success; the fetch and the fates tell, once the clock was moved on."""
    faults = ["lag=3600,visitors=ann", "lost,visitors=bob", "overwritten=60,visitors=cid"]
    with sandbox(*faults, utc_offset_minutes=-240) as client:
        for visitor in ("ann", "bob", "cid"):
            assert client.ask(ANN.replace("ann", visitor)).body == XML_SUCCESS
        assert client.ask("/sandbox/fates").json == {"waiting": 1, "stands": 1}
        assert client.ask("/sandbox/clock", "PUT", '{"seconds": 3601}').status == 204
        assert client.ask("/sandbox/fates").json == {"stands": 1, "overwritten": 1}
        late = client.ask("/rest/v1/profiles/thirdPartyId/ann?client=demo").json
        assert late["profileAttributes"]["tier"]["value"] == "gold"
        assert late["modifiedAt"].endswith("-04:00")
        assert client.ask("/rest/v1/profiles/thirdPartyId/bob?client=demo").status == 404


def test_a_profile_is_fetched_by_each_kind_of_id() -> None:
    """A tntId with and without its location hint, a third-party id, and an ECID; with what pages and scripts wrote."""
    with sandbox() as client:
        visits = [
            {"visitor": "mboxPC:136-57.28_20", "attributes": {"user.score": "7"}, "ecid": "4711"},
            {"visitor": "mbox3rdPartyId:ann", "attributes": {"page": "x"}},
        ]
        assert client.ask("/sandbox/visitors", "POST", json.dumps(visits)).status == 204
        seen = [
            client.ask(f"/rest/v1/profiles/{way}?client=demo")
            for way in ("136-57.28_20", "136-57", "marketingCloudVisitorId/4711", "thirdPartyId/ann")
        ]
        assert [list(each.json["profileAttributes"]) for each in seen] == [*[["user.score"]] * 3, ["page"]]


def test_fetches_have_a_limit_and_faults_of_their_own() -> None:
    """Above the limit a fetch says when the next will succeed, in its text alone; updates go on."""
    with sandbox("fetch=503,limit=1", fetch_quota=parse_fault("quota=2/60")) as client:
        client.ask(ANN)
        fetches = [client.ask("/rest/v1/profiles/thirdPartyId/ann?client=demo") for _ in range(3)]
        assert [each.status for each in fetches] == [503, 200, 429]
        assert "the next call will succeed in 60 seconds" in fetches[2].json["message"]
        assert "Retry-After" not in fetches[2].headers
        assert client.ask(ANN).status == 200


def test_the_log_tells_each_request() -> None:
    """Request, sender, answer and whether it was applied, from a given number on."""
    with sandbox(override=True, path=PathForm.CODE) as client:
        client.ask(ANN)
        client.ask(ANN.replace("client", "demo"), headers={"X-Instance": "replica-1"})
        lines = [json.loads(line) for line in client.ask("/sandbox/log").body.splitlines()]
        assert [(line["n"], line["verdict"], line["applied"], line["client"]) for line in lines] == [
            (0, "400", False, "test"),
            (1, "200", True, "replica-1"),
        ]
        assert [line["visitor"] for line in lines] == [None, "mbox3rdPartyId:ann"]
        assert lines[1]["attributes"] == {"tier": "gold"}
        assert lines[0]["end"] >= lines[0]["start"] > 0
        assert lines[1]["peer"][0] == "127.0.0.1"
        assert [json.loads(line)["n"] for line in client.ask("/sandbox/log?since=1").body.splitlines()] == [1]


MISTAKES: list[tuple[str, str, str | bytes | None, str]] = [
    ("PUT", "faults", '["status=1"]', "fault 'status=1': a status is 200 to 599"),
    ("PUT", "faults", "status=503", "the body is no JSON"),
    ("PUT", "faults", '{"a": 1}', "a JSON list of strings"),
    ("PUT", "faults", "[1]", "a JSON list of strings"),
    ("PUT", "faults", b"\xff", "the body is no JSON"),
    ("PUT", "token", '{"token": 5}', "the body is"),
    ("POST", "visitors", '["ann"]', "'ann' is no visitor; write mboxPC:<id> or mbox3rdPartyId:<id>"),
    ("POST", "visitors", '["mboxPC:"]', "is no visitor"),
    ("POST", "visitors", '{"visitor": "mboxPC:1"}', "the body is a JSON list of visitors"),
    ("POST", "visitors", '[{"visitor": "mboxPC:1", "attributes": {"a": 1}}]', "or of objects, as in"),
    ("POST", "visitors", '[{"visitor": "mboxPC:1", "extra": {}}]', "or of objects, as in"),
    ("POST", "visitors", '[{"visitor": "mboxPC:1", "ecid": ""}]', "or of objects, as in"),
    ("PUT", "clock", '{"seconds": -1}', "is moved on"),
    ("PUT", "clock", '{"seconds": true}', "is moved on"),
    ("GET", "log?since=-1", None, "since is the number of a record"),
]


def test_wrong_input_to_its_own_api_is_explained() -> None:
    """A test with an invalid fault plan must fail, not run without faults."""
    with sandbox() as client:
        for method, path, body, words in MISTAKES:
            seen = client.ask(f"/sandbox/{path}", method, body)
            assert seen.status == 400
            assert words in seen.json["error"]


def test_it_runs_on_the_callers_loop_and_stops_at_once() -> None:
    """The demo starts it beside the pipeline; a request in flight does not delay the stop, and the profiles stay."""

    async def main() -> SandboxTarget:
        target = SandboxTarget(SandboxConfig(faults=(parse_fault("hang=60"),)))
        await target.start()
        assert target.url == f"http://127.0.0.1:{target.port}"
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(f"GET {ANN} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while target.journal.requests == 0:  # noqa: ASYNC110 - the server has no event for a test to wait for
            await asyncio.sleep(0.001)
        target.endpoint.set_faults([])
        began = time.monotonic()
        await target.stop()
        await target.stop()
        assert time.monotonic() - began < 30
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        return target

    target = asyncio.run(main())
    assert target.endpoint.stats()["by_status"] == {"client_gone": 1}
    assert target.profiles.fetch(Visitor("mbox3rdPartyId", "ann"), time.time()) is None


def test_a_taken_address_is_an_os_error() -> None:
    """The caller gets the error; nothing is left half open."""
    with serving(SandboxConfig()) as target, pytest.raises(OSError, match="address already in use"):
        asyncio.run(SandboxTarget(SandboxConfig(port=target.port)).start())
