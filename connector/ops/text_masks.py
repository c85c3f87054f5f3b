"""What is masked in a text by its form: the logins, addresses and identities that other people's texts quote."""

import json
import re
from typing import Final
from urllib.parse import quote, quote_plus

MASK: Final = "[secret]"
VISITOR_MASK: Final = "[visitor]"
PAYLOAD_MASK: Final = "[payload]"

_SUSPICIOUS = re.compile("[ =:/%(]")
"""No pattern below matches a text without one of these, and most texts have none."""
_ASSIGNED = r"""\\?["']? \s* (?:=|:|%3D) \s*"""
_ASSIGNEE = r"""(?:
      " .{0,1024}? (?<!\\)"
    | ' .{0,1024}? (?<!\\)'
    | \\["'] .{0,1024}? (?<!\\)\\["']
    | \\{3}["'] .{0,1024}? (?<!\\)\\{3}["']
    | \\*["'] .{0,1024}
    | [^\s&"',;)}\]]+
    )"""
"""A value: quoted, quoted inside a quoted text once or twice, quoted and never closed, or bare."""
_VISITOR = rf"""(?: \bVisitor\( (?: kind='\w{{0,32}}',\ id={_ASSIGNEE}\) | .{{0,600}} ) )"""
_CHANGE = r"""(?: \bChange\(visitor= .{0,4096} )"""
_OTHER = rf"""(?:
      (?:password|passwd|secret|token|authorization) \w{{0,32}} {_ASSIGNED}
    | \b(?:mbox3rdPartyId|thirdPartyId|mboxPC|pcId) {_ASSIGNED}
    | \bVisitor\( | \bChange\(visitor= | \bprofile\. | \bhttps?:// | /profiles/
    )"""
"""Where another pattern begins: a token that ran into it would end at a quote inside, and leave the rest unmasked."""
# Every repetition that may have to be taken back is bounded, so that no text makes a line cost more than its length.
_PATTERNS = re.compile(
    rf"""
      (?P<name>(?:password|passwd|secret|token|authorization) \w{{0,32}} {_ASSIGNED} (?:(?:bearer|basic)\s+)?)
      (?: {_CHANGE} | {_VISITOR} | {_ASSIGNEE} )
    | (?P<bearer>\b(?:(?:bearer|basic)(?:\s|%20|\+){{1,8}}){{1,8}}) (?: (?!{_OTHER}) [^\s"',;] )+
    | (?P<userinfo>\b[a-z][a-z0-9+.-]{{0,15}}://) [^\s/@"']{{1,512}} @
    | (?P<query>\bhttps?://[^\s?"'<>]{{1,512}} \?) [^\s"'<>]*
    | (?P<path>/profiles/ (?:thirdPartyId/)?) [^\s?"'<>]+
    | (?P<change>\bChange\(visitor=) .{{0,4096}}
    | (?P<repr>\bVisitor\() (?: kind='\w{{0,32}}',\ id={_ASSIGNEE}\) | .{{0,600}} )
    | (?P<id>\b(?:mbox3rdPartyId|thirdPartyId|mboxPC|pcId) {_ASSIGNED}) {_ASSIGNEE}
    | (?P<attribute>\bprofile\.[^\s=&"']{{1,256}} (?:=|%3D)) [^\s&"']*
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_MASKS = {
    "bearer": MASK,
    "userinfo": MASK + "@",
    "query": PAYLOAD_MASK,
    "path": VISITOR_MASK,
    "change": PAYLOAD_MASK,
    "repr": VISITOR_MASK + ")",
    "id": VISITOR_MASK,
    "name": MASK,
    "attribute": PAYLOAD_MASK,
}


def mask_patterns(text: str) -> str:
    """Mask what looks like a secret, a visitor or a payload."""
    return _PATTERNS.sub(_masked, text) if _SUSPICIOUS.search(text) else text


def _masked(match: re.Match[str]) -> str:
    group = match.lastgroup or ""
    return match[group] + _MASKS[group]


def forms_of(secret: str) -> set[str]:
    """The secret as it stands in a text, in a `repr`, in JSON, and in a URL."""
    encodable = writable(secret)
    return {
        secret,
        secret.strip() or secret,
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(encodable, safe=""),
        quote(encodable),
        quote_plus(encodable),
    }


def writable(text: str) -> str:
    """Lone surrogates are legal in a `str` and have no UTF-8 form."""
    return text.encode("utf-8", "backslashreplace").decode()
