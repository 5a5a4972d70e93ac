from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import m3u8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.core.conformance import media
from hls.core.playlist import (
    DateRange,
    Entry,
    Part,
    PlaylistWriter,
    Report,
    Window,
    classic,
    ended,
    low_latency,
    names,
)
from hls.types import KeySpec
from tests.hls.windows import Stream, positions, streams

KEY = KeySpec(1, b"k" * 16, bytes.fromhex("000102030405060708090a0b0c0d0eff"), "../k/1/enc.key")
NEXT_KEY = KeySpec(2, b"l" * 16, bytes(16), "../k/2/enc.key?v=2")
FIRST = Entry(41, "seg-41.m4s", "init-a.mp4", KEY, 1_700_000_000.0)
SECOND = replace(FIRST, msn=42, name="seg-42.m4s", unix_s=1_700_000_001.92)
PARTS = tuple(Part(f"seg-43.{n}.m4s", 15) for n in range(6))
OPEN = replace(FIRST, msn=43, name="seg-43.m4s", unix_s=1_700_000_003.84, parts=PARTS[:2])
LIVE = Window((FIRST, replace(SECOND, parts=(Part("seg-42.0.m4s", 90),))), OPEN, "seg-43.2.m4s")

PLAIN = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-a.mp4"
#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z
#EXT-X-KEY:METHOD=AES-128,URI="../k/1/enc.key",IV=0x000102030405060708090A0B0C0D0EFF
#EXTINF:1.92000,
seg-41.m4s
"""
WITH_PARTS = PLAIN.replace(
    "#EXT-X-MAP",
    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,"
    "PART-HOLD-BACK=0.960\n#EXT-X-PART-INF:PART-TARGET=0.320\n#EXT-X-MAP",
) + (
    '#EXT-X-PART:DURATION=1.920,URI="seg-42.0.m4s",INDEPENDENT=YES\n#EXTINF:1.92000,\nseg-42.m4s\n'
    '#EXT-X-PART:DURATION=0.320,URI="seg-43.0.m4s",INDEPENDENT=YES\n'
    '#EXT-X-PART:DURATION=0.320,URI="seg-43.1.m4s",INDEPENDENT=YES\n'
)


def media_playlist(entries: Sequence[Entry], *, discontinuity_sequence: int = 0) -> str:
    return classic(Window(tuple(entries), discontinuity_sequence=discontinuity_sequence))


def test_plain() -> None:
    """The map stands in the clear before the key; durations are exact."""
    assert media_playlist([FIRST]) == PLAIN


def test_same_key() -> None:
    """A further segment needs its duration and name only; a key is the same by what it says."""
    again = replace(SECOND, key=replace(KEY, first_msn=42))
    assert media_playlist([FIRST, again]) == PLAIN + "#EXTINF:1.92000,\nseg-42.m4s\n"


def test_next_key() -> None:
    """A key is named where it changes."""
    text = media_playlist([FIRST, replace(SECOND, key=NEXT_KEY)])
    assert text == PLAIN + (
        '#EXT-X-KEY:METHOD=AES-128,URI="../k/2/enc.key?v=2",IV=0x00000000000000000000000000000000\n'
        "#EXTINF:1.92000,\nseg-42.m4s\n"
    )


def test_next_map() -> None:
    """Another format is a discontinuity; its map stands behind METHOD=NONE, then the key again."""
    text = media_playlist([FIRST, replace(SECOND, init="b.mp4")], discontinuity_sequence=3)
    assert text == PLAIN.replace("QUENCE:0", "QUENCE:3") + (
        '#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI="b.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:21.920Z\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="../k/1/enc.key",IV=0x000102030405060708090A0B0C0D0EFF\n'
        "#EXTINF:1.92000,\nseg-42.m4s\n"
    )


def test_discontinuity() -> None:
    """A discontinuity in the same format has a date and keeps its map and key."""
    text = media_playlist([FIRST, replace(SECOND, is_discontinuous=True)])
    assert text == PLAIN + (
        "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:21.920Z\n"
        "#EXTINF:1.92000,\nseg-42.m4s\n"
    )


def test_in_the_clear() -> None:
    """Segments without a key say so after one that had it; without a map version 3 is enough."""
    clear = replace(FIRST, init="", key=None, name="a.vtt")
    text = media_playlist([clear, replace(SECOND, init="", name="b.vtt")])
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:3\n")
    assert "MAP" not in text
    text = media_playlist([replace(FIRST, init=""), replace(SECOND, init="", key=None)])
    assert text.endswith("seg-41.m4s\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1.92000,\nseg-42.m4s\n")
    text = media_playlist([clear, SECOND])
    assert '#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="init-a.mp4"\n' in text, "no key to be ended"


def test_gap() -> None:
    """A segment that cannot be had says so."""
    gap = replace(SECOND, is_gap=True)
    assert media_playlist([FIRST, gap]).endswith("#EXT-X-GAP\n#EXTINF:1.92000,\nseg-42.m4s\n")


def test_captions() -> None:
    """A playlist of captions can be waited for, and has no parts; nor does it hint at any."""
    lines = [replace(one, init="", name=f"seg-{one.msn}.vtt", parts=()) for one in (FIRST, SECOND)]
    for is_ended in (False, True):
        writer = PlaylistWriter()
        text = writer.subtitles(Window(tuple(lines), is_ended=is_ended))
        assert "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n" in text
        assert "PART" not in text
        assert text.endswith("seg-42.vtt\n" + is_ended * "#EXT-X-ENDLIST\n")


def test_over_but_not_yet_said() -> None:
    """The segment that was being made is whole, as short as it is, and nothing is hinted at."""
    text = low_latency(replace(LIVE, hint="", is_final=True))
    assert text.endswith("#EXTINF:0.64000,\nseg-43.m4s\n")
    assert "HINT" not in text


def test_wall_clock_is_rounded() -> None:
    """Sums of 1.92 s do not show as 0.999 s."""
    text = media_playlist([replace(FIRST, unix_s=1_699_999_999.9999997)])
    assert "2023-11-14T22:13:20.000Z" in text


def test_parts() -> None:
    """With parts come what the server can do, the parts so far, the next one, and the others."""
    window = replace(LIVE, reports=(Report("64k/stream.m3u8", 43, 1), Report("vtt.m3u8", 42)))
    assert low_latency(window) == WITH_PARTS + (
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg-43.2.m4s"\n'
        '#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8",LAST-MSN=43,LAST-PART=1\n'
        '#EXT-X-RENDITION-REPORT:URI="vtt.m3u8",LAST-MSN=42\n'
    )
    assert classic(window) == media_playlist([FIRST, SECOND])


def test_key_of_the_hint() -> None:
    """The key of a segment that has no part yet stands before the hint."""
    text = low_latency(replace(LIVE, open=replace(OPEN, key=NEXT_KEY, parts=())))
    assert text.endswith(
        'seg-42.m4s\n#EXT-X-KEY:METHOD=AES-128,URI="../k/2/enc.key?v=2",IV=0x' + "0" * 32 + "\n"
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg-43.2.m4s"\n'
    )


def test_nothing_complete() -> None:
    """A stream of less than a segment lists its parts."""
    text = low_latency(Window((), OPEN, "seg-43.2.m4s"))
    assert "#EXT-X-MEDIA-SEQUENCE:43\n" in text
    assert '#EXT-X-MAP:URI="init-a.mp4"\n' in text
    assert "EXTINF" not in text
    assert "EXTINF" not in classic(Window((), OPEN, "seg-43.2.m4s"))


@pytest.mark.parametrize(("open_parts", "with_parts"), [(0, 4), (1, 3), (5, 3)])
def test_old_parts(open_parts: int, with_parts: int) -> None:
    """The parts of segments that ended more than three target durations ago are not listed."""
    text = low_latency(Stream().window(50, open_parts))
    assert text.count("#EXT-X-PART:") == 6 * with_parts + open_parts


def test_delta() -> None:
    """A delta update skips what is beyond the boundary and says the key in force again."""
    window = Stream(listed=12).window(50, 1)
    text = low_latency(window, skip=True)
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:9\n")
    assert (
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:42.560Z\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="/k/10/enc.key",IV=0x0000000000000000000000000000000A\n'
        "#EXTINF:1.92000,\nseg-43.m4s\n"
    ) in text
    assert "#EXT-X-MEDIA-SEQUENCE:38\n" in text


def test_delta_that_begins_with_a_discontinuity() -> None:
    """Where the first segment that is kept brings another map, it says all of it anyway."""
    text = low_latency(Stream(breaks={43: True}).window(50, 1), skip=True)
    assert (
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n"
        '#EXT-X-MAP:URI="init-1.mp4"\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:42.560Z\n'
        "#EXT-X-KEY:METHOD=AES-128"
    ) in text


def test_delta_that_begins_with_the_same_key() -> None:
    """The key is said again also where a discontinuity is all that changes."""
    text = low_latency(Stream(breaks={43: False}).window(50, 1), skip=True)
    assert (
        "SEGMENTS=1\n#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:42.560Z\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="/k/10/enc.key"'
    ) in text


def test_nothing_to_skip() -> None:
    """Who asks for a delta update of a short playlist, or of one that has ended, gets all of it."""
    short, over = Stream(listed=7).window(50, 1), Stream().window(50, 1, is_ended=True)
    assert low_latency(short, skip=True) == low_latency(short)
    assert low_latency(over, skip=True) == low_latency(over)


def test_end() -> None:
    """Of a stream that is over the last parts are a shorter segment; nothing is hinted any more."""
    window = replace(LIVE, is_ended=True, reports=(Report("64k/stream.m3u8", 43, 1),))
    assert low_latency(window) == WITH_PARTS + "#EXTINF:0.64000,\nseg-43.m4s\n#EXT-X-ENDLIST\n"
    assert classic(window) == (
        media_playlist([FIRST, SECOND]) + "#EXTINF:0.64000,\nseg-43.m4s\n#EXT-X-ENDLIST\n"
    )
    nothing = replace(window, open=replace(OPEN, parts=()))
    assert low_latency(nothing).endswith("seg-42.m4s\n#EXT-X-ENDLIST\n")
    assert classic(nothing) == media_playlist([FIRST, SECOND]) + "#EXT-X-ENDLIST\n"


def test_dates() -> None:
    """A range says what it is, and its end once that is known; a name cannot leave its quotes."""
    name = (("NAME", 'An"n,\r\nX="\u2028'), ("LISTENERS", "3"))
    dates = (
        DateRange("talk-1", 1_700_000_001.5, "app.roomtone.talk", 2.25, name),
        DateRange("title-2", 1_700_000_002.0),
    )
    for text in (low_latency(replace(LIVE, dates=dates)), classic(replace(LIVE, dates=dates))):
        assert (
            '#EXT-X-DATERANGE:ID="talk-1",CLASS="app.roomtone.talk",'
            'START-DATE="2023-11-14T22:13:21.500Z",DURATION=2.250,'
            'X-NAME="An″n,  X=″ ",X-LISTENERS="3"\n'
            '#EXT-X-DATERANGE:ID="title-2",START-DATE="2023-11-14T22:13:22.000Z"\n#EXT-X-MAP'
        ) in text


def test_ended_text() -> None:
    """A text is ended by its mark; what was only of use while it ran is gone with the parts."""
    text = ended(media_playlist([FIRST, SECOND]))
    assert text == media_playlist([FIRST, SECOND]) + "#EXT-X-ENDLIST\n"
    assert ended(low_latency(replace(LIVE, reports=(Report("a.m3u8", 1),)))) == text
    whole = low_latency(replace(LIVE, is_ended=True))
    assert ended(whole) == whole
    assert names(text) == ["init-a.mp4", "seg-41.m4s", "seg-42.m4s"]
    parts = ["seg-42.0.m4s", "seg-43.0.m4s", "seg-43.1.m4s"]
    assert {*names(low_latency(LIVE))} == {*names(text), *parts}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_written_again(data: st.DataObject) -> None:
    """What a writer remembers changes nothing: it writes what one writes that knows nothing."""
    stream, writer = data.draw(streams()), PlaylistWriter()
    for msn, part in data.draw(positions(stream)):
        window = stream.window(msn, part)
        for skip in (False, True):
            assert writer.low_latency(window, skip=skip) == low_latency(window, skip=skip)
        assert writer.classic(window) == classic(window)


def test_rendered_once() -> None:
    """However many parts come, entries are rendered once; then only the first and the new one."""
    writer, stream = PlaylistWriter(), Stream(listed=200)
    writer.low_latency(stream.window(300, 0))
    before = {msn: id(lines) for msn, lines in writer._lines.items()}
    body = writer._before_tail
    writer.low_latency(stream.window(300, 5), skip=True)
    assert writer._before_tail is body
    writer.low_latency(stream.window(301, 0))
    after = {msn: id(lines) for msn, lines in writer._lines.items()}
    assert {msn for msn in after if before.get(msn) != after[msn]} == {101, 300}


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_independent_parser(data: st.DataObject) -> None:
    """Another program reads from any playlist what was to be said; none breaks a rule."""
    stream = data.draw(streams())
    ((msn, part), *_) = data.draw(positions(stream))
    window = stream.window(msn, part, is_ended=data.draw(st.booleans()))
    texts = [low_latency(window), classic(window)]
    assert [media.check(text) for text in texts] == [[], []]
    found = m3u8.loads(texts[0])
    listed = [segment for segment in found.segments if segment.uri]
    assert [one.uri for one in listed[: len(window.entries)]] == [
        one.name for one in window.entries
    ]
    for one, entry in zip(listed, window.entries, strict=False):
        assert entry.key is not None
        assert one.duration == 1.92
        assert (one.key.uri, one.key.iv) == (entry.key.uri, f"0x{entry.key.iv.hex().upper()}")
        assert one.init_section.uri == entry.init
        assert bool(one.gap_tag) == entry.is_gap
        assert not one.parts or [p.uri for p in one.parts] == [p.name for p in entry.parts]
    for one, (before, entry) in zip(listed[1:], pairwise(window.entries), strict=False):
        assert one.discontinuity == (entry.init != before.init or entry.is_discontinuous)
    for one, entry in zip(m3u8.loads(texts[1]).segments, window.entries, strict=False):
        assert abs(one.current_program_date_time.timestamp() - entry.unix_s) < 0.001
    assert found.part_inf.part_target == stream.part_frames * 1024 / 48_000
    assert found.discontinuity_sequence == window.discontinuity_sequence
    assert found.is_endlist == window.is_ended
    dates = [one for segment in found.segments for one in segment.dateranges]
    assert [one.id for one in dates] == [one.id for one in window.dates]
    for one, date in zip(dates, window.dates, strict=True):
        told = datetime.fromisoformat(one.start_date).astimezone(UTC).timestamp()
        assert abs(told - date.start_unix_s) < 0.001
