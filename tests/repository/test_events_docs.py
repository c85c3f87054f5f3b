"""The producers' page must agree with the decoder, because producers rely on it."""

import json
import re
from pathlib import Path

import pytest

from connector.events import JsonDecoder, Refused

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
GOOD = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
SENT = re.findall(r"^\| `(\{.+?\})` \| (`[^{].*?`) \| .*\|$", PAGE, re.MULTILINE)
BAD = re.findall(r"^\| `([\[{].+?)` \| `([\w(].+? must .+?)` \|$", PAGE, re.MULTILINE)


def test_the_page_has_its_examples() -> None:
    """A page in another form must not pass by being read as empty."""
    assert (len(GOOD), len(SENT), len(BAD)) == (2, 7, 14)


@pytest.mark.parametrize("example", GOOD)
def test_good_examples(example: str) -> None:
    """An event on the page decodes."""
    fields = json.loads(example)
    assert JsonDecoder()(example.encode()).attributes.keys() == fields["profile"].keys()


@pytest.mark.parametrize(("written", "sent"), SENT)
def test_what_is_sent(written: str, sent: str) -> None:
    """The attributes on the page are those of the decoder."""
    attributes = JsonDecoder()(f'{{"pcId": "x", "profile": {written}}}'.encode()).attributes
    assert ", ".join(f"`{name}={text}`" for name, text in attributes.items()) == sent


@pytest.mark.parametrize(("example", "reason"), BAD)
def test_bad_examples(example: str, reason: str) -> None:
    """An event that the page calls refused is refused, with these words."""
    with pytest.raises(Refused) as caught:
        JsonDecoder()(example.encode())
    assert str(caught.value) == reason
