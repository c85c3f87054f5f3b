"""What IMS and the token service say, answer by answer: a token, none, a pause, or a reason with its remedy."""

import json

import pytest

from connector.exchange.answer import Answered, Trouble, Unanswered
from connector.target.profile_token.answers import (
    NoToken,
    Problem,
    ProfileToken,
    SignedIn,
    read_existing,
    read_issued,
    read_sign_in,
)

NOW = 1_795_867_200.0


def answered(status: int, body: object = "", retry_after: str | None = None) -> Answered:
    """An answer; a body that is no text is sent as JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Answered(status, text.encode(), retry_after)


def test_ims_gives_an_access_token() -> None:
    """In the form of Adobe's reference."""
    body = {"access_token": "eyJ.a-b_c", "token_type": "bearer", "expires_in": 86399}
    assert read_sign_in(answered(200, body), NOW) == SignedIn("eyJ.a-b_c")


@pytest.mark.parametrize(
    ("status", "body", "named"),
    [
        (400, {"error": "invalid_client", "error_description": "invalid client_secret"}, ["CLIENT_SECRET"]),
        (401, {"error": "unauthorized_client"}, ["CLIENT_ID", "CLIENT_SECRET"]),
        (400, {"error": "invalid_scope"}, ["TARGET_TOKEN_SCOPE"]),
        (400, {"error": "something new"}, ["CLIENT_ID", "TARGET_TOKEN_SCOPE"]),
        (403, "<html>", ["CLIENT_ID", "TARGET_TOKEN_SCOPE"]),
        (404, "", ["TARGET_TOKEN_IMS_URL"]),
        (302, "", ["redirect", "TARGET_TOKEN_IMS_URL"]),
        (407, "", ["HTTPS_PROXY"]),
        (200, "<html>log in</html>", ["TARGET_TOKEN_IMS_URL", "proxy"]),
        (200, {"access_token": ""}, ["TARGET_TOKEN_IMS_URL"]),
    ],
)
def test_a_refusal_of_ims_names_what_to_correct(status: int, body: object, named: list[str]) -> None:
    """Asking again would change nothing; the code of the error is told, and no other text of it."""
    problem = read_sign_in(answered(status, body), NOW)
    assert isinstance(problem, Problem)
    assert not problem.passes
    assert [word for word in named if word not in f"{problem.reason} {problem.remedy}"] == []
    assert "something" not in problem.reason


@pytest.mark.parametrize(
    ("status", "named"),
    [
        (401, ["TARGET_TOKEN_IMS_URL", "Target API"]),
        (403, ["TARGET_TENANT", "Approver"]),
        (302, ["TARGET_TOKEN_URL"]),
        (400, ["TARGET_TOKEN_URL"]),
        (406, ["TARGET_TOKEN_URL"]),
    ],
)
def test_a_refusal_of_the_token_service_names_what_to_correct(status: int, named: list[str]) -> None:
    """A missing role and a wrong tenant look alike, so the remedy names both."""
    for read in (read_existing, read_issued):
        problem = read(answered(status, {"httpStatus": status, "errors": []}), NOW)
        assert isinstance(problem, Problem)
        assert not problem.passes
        assert not problem.uncertain
        assert [word for word in named if word not in f"{problem.reason} {problem.remedy}"] == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_a_status_that_passes_is_asked_again_after_the_pause_that_it_wants(status: int) -> None:
    """Only of a 429 is it sure that nothing happened."""
    for read in (read_sign_in, read_existing, read_issued):
        problem = read(answered(status, "", "17"), NOW)
        assert isinstance(problem, Problem)
        assert (problem.passes, problem.retry_after, problem.uncertain) == (True, 17.0, status != 429)
        assert ("50 calls a minute" in problem.remedy) == (status == 429)


@pytest.mark.parametrize("trouble", Trouble)
def test_each_trouble_of_the_network_has_its_remedy(trouble: Trouble) -> None:
    """The setting that it names is that of the side that was asked."""
    ims, service = read_sign_in(Unanswered(trouble), NOW), read_issued(Unanswered(trouble), NOW)
    assert isinstance(ims, Problem)
    assert isinstance(service, Problem)
    assert "TARGET_TOKEN_URL" not in ims.remedy
    assert "TARGET_TOKEN_IMS_URL" not in service.remedy
    assert "{" not in ims.remedy + service.remedy
    assert ims.reason.startswith("IMS ")
    assert service.reason.startswith("the token service ")
    assert service.uncertain == Unanswered(trouble).may_have_happened
    if trouble is Trouble.UNTRUSTED:
        assert "SSL_CERT_FILE" in ims.remedy
        assert not ims.passes


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (
            {"accessToken": "0a1b-2c", "tokenType": "bearer", "scope": "profile_api", "expiresIn": 7_775_999},
            ProfileToken("0a1b-2c", NOW + 7_775_999),
        ),
        ({"accessToken": "0a1b-2c", "expiresIn": "60"}, ProfileToken("0a1b-2c", NOW + 60)),
        ({"accessToken": "0a1b-2c", "expiresIn": -5}, ProfileToken("0a1b-2c", NOW)),
        ({"accessToken": "0a1b-2c"}, ProfileToken("0a1b-2c", None)),
        ({"accessToken": "0a1b-2c", "expiresIn": 7_775_999_000}, ProfileToken("0a1b-2c", None)),
        ({"accessToken": "0a1b-2c", "expiresIn": "NaN"}, ProfileToken("0a1b-2c", None)),
    ],
)
def test_a_profile_token_and_its_end(body: object, token: ProfileToken) -> None:
    """A life in another unit is not believed: an end that is far off would hide the true one."""
    assert read_existing(answered(200, body), NOW) == token
    assert read_issued(answered(201, body), NOW) == token


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"httpStatus": 404, "errors": []}),
        (404, ""),
        (204, ""),
        (200, ""),
        (200, "{ }"),
        (200, {"accessToken": None}),
    ],
)
def test_no_token_is_no_problem(status: int, body: object) -> None:
    """One is made then."""
    assert read_existing(answered(status, body), NOW) == NoToken()


@pytest.mark.parametrize(
    "body", ["<html>", "[]", {"status": "maintenance"}, {"accessToken": "a b"}, {"accessToken": 5}, "null"]
)
def test_an_answer_in_no_known_form_is_not_taken_for_none(body: object) -> None:
    """A POST would follow, and end a token that may be there. Of a POST itself it is not known whether it happened."""
    for problem in (read_existing(answered(200, body), NOW), read_issued(answered(201, body), NOW)):
        assert isinstance(problem, Problem)
        assert problem.uncertain
        assert not problem.passes


@pytest.mark.parametrize(("status", "body"), [(404, ""), (200, {"accessToken": ""}), (201, "")])
def test_a_post_that_gives_none_is_a_problem(status: int, body: object) -> None:
    """After a GET that said 404 the same of a POST means a wrong address."""
    problem = read_issued(answered(status, body), NOW)
    assert isinstance(problem, Problem)
    assert "TARGET_TOKEN_URL" in problem.remedy
