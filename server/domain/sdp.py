"""The few lines of session descriptions that WHIP and WHEP turn on (RFC 9725, RFC 8840)."""

import re
from dataclasses import dataclass
from typing import Final

MAX_CANDIDATES: Final = 64  # of one fragment; a browser with every interface sends some twenty
_DIRECTIONS: Final = frozenset({"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"})
_ICE: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")  # RFC 8839 §5.4
_LINE: Final = re.compile(r"[a-z]=[\x20-\x7e]*")
_KNOWN: Final = re.compile(r"a=(?:ice-ufrag:|ice-pwd:|candidate:|end-of-candidates$)")


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a client says of its ICE side in between: other credentials, candidates, or both.

    `ufrag` and `password` are empty where it names none.
    """

    ufrag: str = ""
    password: str = ""
    candidates: tuple[str, ...] = ()


def read_fragment(text: str) -> Fragment | None:
    """Read a body of `application/trickle-ice-sdpfrag` (RFC 8840 §9); None if it is none.

    What stands at several m-lines counts where it stands first: there is one transport.
    """
    lines = text.splitlines()
    if not all(_LINE.fullmatch(line) for line in lines if line):
        return None
    known = [line for line in lines if _KNOWN.match(line)]
    ufrag = _first(known, "a=ice-ufrag:")
    password = _first(known, "a=ice-pwd:")
    candidates = [line[2:] for line in known if line.startswith("a=candidate:")]
    is_half = (ufrag is None) != (password is None)
    if not known or is_half or len(candidates) > MAX_CANDIDATES:
        return None
    if ufrag is None or password is None:
        return Fragment(candidates=tuple(candidates))
    if not (_ICE.fullmatch(ufrag) and _ICE.fullmatch(password)):
        return None
    return Fragment(ufrag, password, tuple(candidates))


def credentials(description: str) -> tuple[str, str]:
    """Return ufrag and password of a whole description, empty where it has none."""
    lines = description.splitlines()
    return _first(lines, "a=ice-ufrag:") or "", _first(lines, "a=ice-pwd:") or ""


def restarted(offer: str, fragment: Fragment) -> str:
    """Return the offer with the fragment's credentials in place of its own: an ICE restart."""
    lines = []
    for line in offer.splitlines():
        if line.startswith("a=ice-ufrag:"):
            lines.append(f"a=ice-ufrag:{fragment.ufrag}")
        elif line.startswith("a=ice-pwd:"):
            lines.append(f"a=ice-pwd:{fragment.password}")
        elif not line.startswith("a=candidate:"):
            lines.append(line)
    return _joined(lines)


def answer_fragment(answer: str) -> str:
    """Return what an answer says of ICE as a fragment: credentials and candidates."""
    ufrag, password = credentials(answer)
    lines = [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}"]
    for section in _sections(answer)[1:]:
        kept = [
            line
            for line in section
            if line.startswith(("a=mid:", "a=candidate:")) or line == "a=end-of-candidates"
        ]
        if any(line.startswith("a=candidate:") for line in kept):
            lines += ["m=audio 9 RTP/AVP 0", *kept]  # RFC 8840 §9.2: a pseudo m-line
    return _joined(lines)


def directed(offer: str, direction: str) -> str | None:
    """Return the offer with `direction` (`sendonly` or `recvonly`) at every m-line.

    None if no m-line of audio goes that way already, whether or not it goes the other way too.
    """
    session, *media = _sections(offer)
    default = _direction(session) or "a=sendrecv"
    wanted = {f"a={direction}", "a=sendrecv"}
    is_right, lines = False, [line for line in session if line not in _DIRECTIONS]
    for section in media:
        if section[0].startswith("m=audio"):
            is_right |= (_direction(section) or default) in wanted
        lines += [line for line in section if line not in _DIRECTIONS]
        lines.append(f"a={direction}")
    return _joined(lines) if is_right or not media else None


def _direction(section: list[str]) -> str | None:
    return next((line for line in section if line in _DIRECTIONS), None)


def _sections(text: str) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("m="):
            sections.append([])
        if line:
            sections[-1].append(line)
    return sections


def _first(lines: list[str], prefix: str) -> str | None:
    return next((line.removeprefix(prefix) for line in lines if line.startswith(prefix)), None)


def _joined(lines: list[str]) -> str:
    return "\r\n".join(lines) + "\r\n"
