from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.conformance import media
from hls.pipeline import Broadcaster
from hls.upload.core.journal import listed
from hls.upload.core.merge import CannotMerge, Piece, merge
from hls.upload.core.playlists import broadcast_playlist
from tests.hls.listener import KEY, decode, decrypt, read
from tests.hls.upload.on_air import BASE, KEYS, SEGMENT_TICKS, on_air, speak


def piece(broadcaster: Broadcaster, now_tick: int, folder: str) -> tuple[Piece, dict[str, bytes]]:
    """Return what one node uploads, and its files."""
    window = broadcaster.finished("blue", "128k", 0, now_tick)
    assert window is not None
    known = [listed(entry, 0) for entry in window.entries]
    names = {name for entry in window.entries for name in (entry.name, entry.init)}
    files = {folder + name: broadcaster.fetch("blue", "", name, now_tick) for name in names}
    text = broadcast_playlist(known, lambda one: one.uri)
    return Piece(text, folder), {name: data or b"" for name, data in files.items()}


def test_two_nodes() -> None:
    """Two nodes that each carried the room for half of the time are one stream without a seam."""
    first, second = on_air(), on_air(BASE + 6 * SEGMENT_TICKS)
    speak(first, BASE, 6 * SEGMENT_TICKS)
    speak(second, BASE + 6 * SEGMENT_TICKS, 6 * SEGMENT_TICKS)
    one, files = piece(first, BASE + 6 * SEGMENT_TICKS + 10, "a/")
    two, others = piece(second, BASE + 12 * SEGMENT_TICKS + 10, "b/")
    text = merge([one, two])
    assert not media.check(text)
    files |= others
    playlist = read(text)
    assert (playlist.first_msn, playlist.last_msn) == (0, 16)
    assert "DISCONTINUITY\n" not in text
    assert "#EXT-X-GAP" not in text
    keys = {key.uri: key for key in KEYS}
    clear = [
        decrypt(files[name], keys[uri])
        for name, uri in zip(playlist.names, playlist.key_uris, strict=True)
    ]
    sound = decode(files[playlist.init], clear)
    assert sound.size == 17 * 92_160
    spoken = sound[5 * 92_160 + 4096 :]
    quiet = [
        at for at in range(0, spoken.size - 960, 960) if abs(spoken[at : at + 960]).max() < 0.01
    ]
    assert not quiet


def test_the_end_is_shorter() -> None:
    """The last segment keeps its length."""
    broadcaster, at = on_air(), BASE + 3 * SEGMENT_TICKS + 40
    broadcaster.end("blue", at)
    one, _ = piece(broadcaster, at, "a/")
    text = merge([one])
    assert not media.check(text)
    assert text.endswith("#EXTINF:0.70400,\na/seg-8.m4s\n#EXT-X-ENDLIST\n")


def test_gap_between() -> None:
    """What neither node has is listed as a gap."""
    first, second = on_air(), on_air(BASE + 40 * SEGMENT_TICKS)
    one, _ = piece(first, BASE + 3 * SEGMENT_TICKS + 10, "a/")
    two, _ = piece(second, BASE + 40 * SEGMENT_TICKS + 10, "b/")
    text = merge([one, two])
    assert not media.check(text)
    assert text.count("#EXT-X-GAP\n") > 10
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert merge([one, two]).replace("#EXT-X-GAP\n", "") != text
    assert merge([Piece(merge([one, two]))]).count("seg-") == text.count("seg-")


def test_turns_stay() -> None:
    """A discontinuity within a piece is one in the whole."""
    turn = "#EXT-X-DISCONTINUITY\n#EXTINF:1.92,\nseg-6.m4s\n"
    text = merge([Piece(HEAD + TIME + SEGMENT + turn)])
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1


HEAD = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n"
TIME = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n"
KEY_LINE = f'#EXT-X-KEY:METHOD=AES-128,URI="keys/1.key",IV=0x{KEY.iv.hex()}\n'
SEGMENT = "#EXTINF:1.92,\nseg-5.m4s\n"


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ([], "no segment"),
        (["#EXTM3U\n"], "no segment"),
        ([""], "no playlist"),
        (["hello"], "no playlist"),
        ([HEAD + SEGMENT], "no number or no time"),
        (["#EXTM3U\n" + TIME + SEGMENT], "no number or no time"),
        ([HEAD + TIME.replace("2026", "x") + SEGMENT], "a time that is none"),
        ([HEAD + TIME.replace("Z", "") + SEGMENT], "without a zone"),
        ([HEAD + TIME + "https://elsewhere/seg\n"], "elsewhere"),
        ([HEAD + TIME + "/etc/passwd\n"], "elsewhere"),
        ([HEAD + TIME + "../x\n"], "elsewhere"),
        ([HEAD + TIME + KEY_LINE + SEGMENT, HEAD + TIME + SEGMENT], "two keys"),
        (
            [
                HEAD + TIME + KEY_LINE + SEGMENT,
                HEAD + TIME + KEY_LINE.replace("0x0", "0x1") + SEGMENT,
            ],
            "two keys",
        ),
        (
            [
                HEAD + TIME + SEGMENT,
                (HEAD + TIME + SEGMENT).replace("SEQUENCE:5", "SEQUENCE:9"),
            ],
            "another time",
        ),
        (
            [
                HEAD + TIME + SEGMENT,
                (HEAD + TIME + SEGMENT).replace("SEQUENCE:5", "SEQUENCE:9000000"),
            ],
            "more than a day",
        ),
    ],
)
def test_refused(texts: list[str], why: str) -> None:
    """What are no pieces of one stream is refused with a sentence."""
    with pytest.raises(CannotMerge, match=why):
        merge([Piece(text, f"{number}/") for number, text in enumerate(texts)])


def test_too_long() -> None:
    """More than a day is no playlist."""
    with pytest.raises(CannotMerge, match="longer"):
        merge([Piece(HEAD + TIME + "#EXTINF:1.92,\ns\n" * 45_001)])


def test_relative_keys() -> None:
    """Keys that are in the bucket are named where they are, those of a server as they were."""
    text = merge(
        [Piece(HEAD + TIME + KEY_LINE + "#EXT-X-KEY:METHOD=NONE\n" + KEY_LINE + SEGMENT, "a/")]
    )
    assert 'URI="a/keys/1.key"' in text
    far = KEY_LINE.replace("keys/1.key", "https://x/1.key")
    assert 'URI="https://x/1.key"' in merge([Piece(HEAD + TIME + far + SEGMENT, "a/")])
    clear = merge([Piece(HEAD + TIME + KEY_LINE + "#EXT-X-KEY:METHOD=NONE\n" + SEGMENT, "a/")])
    assert "AES-128" not in clear


@given(
    st.lists(st.sampled_from([HEAD, TIME, KEY_LINE, SEGMENT, "#EXT-X-GAP\n", "#x\n", "\n", "é"]))
)
def test_rubbish(lines: list[str]) -> None:
    """Whatever a playlist says, it is merged or refused."""
    text = "".join(lines)
    with suppress(CannotMerge):
        assert merge([Piece(text), Piece(text)]).startswith("#EXTM3U")
