"""Who hears the same: hearers with equal rows of the gain matrix share one mix."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.core.level import level_dbov, levels_dbov
from mixer.core.limiter import limit
from mixer.core.matrix import Matrix, Mixes, fade
from mixer.core.routing import Ear
from mixer.core.strip import Voiced
from mixer.room.mix import Mix, Row
from mixer.room.playout import UNDECODED
from mixer.room.seat import Hearer
from mixer.room.voice import Voice
from mixer.types import FRAME_SAMPLES, Int16Frame

APART_TICKS = 10  # CELT predicts from past loudness, forgotten by half a frame: 0.1 % is left
NO_PACKETS: Mapping[Voice, bytes] = MappingProxyType({})


class Advanced(NamedTuple):
    """One mix's next 20 ms: int16[960 * channels], limited."""

    mix: Mix
    frame: Int16Frame
    level_dbov: int
    has_sound: bool
    packet: bytes | None = None
    """What alone makes up the frame, before the limiter: one person's packet as it came."""


@dataclass(eq=False, slots=True)
class _Plan:
    """What to do while the same voices are heard."""

    heard: Sequence[Voice]
    audible: list[Mix] = field(default_factory=list)
    silent: list[Mix] = field(default_factory=list)
    matrix: Matrix | None = None  # None where nothing is audible
    lone: dict[Mix, Voice] = field(default_factory=dict)
    """The only voice of a mix that is heard there as it is."""


_Alike = list[tuple[tuple[Row, Mix | None], list[Hearer]]]


class Groups:
    """The distinct mixes of a room.

    A row says what somebody hears of the voices that are on the stage, so people differ only while
    it is heard: a speaker's mix lacks their own voice, a personal gain counts while that person
    speaks. What a row says of a voice that just came onto the stage was never heard otherwise; who
    hears the others differently from now on gets a mix that fades within a tick, and a little later
    joins those who hear the same.
    """

    def __init__(self, channels: int) -> None:
        self.mixes: list[Mix] = []
        self.is_sounding = False
        """Whether somebody could hear something in the last tick."""
        self._channels = channels
        self._stage: list[Voice] = []
        self._fading: list[Mix] = []
        self._apart: list[Mix] = []
        self._plan: _Plan | None = None

    @property
    def is_settled(self) -> bool:
        """Whether everybody is where they belong; if not, it is time to `regroup`."""
        return all(mix.apart_ticks for mix in self._apart)

    def regroup(self, hearers: Iterable[Hearer], stage: Sequence[Voice]) -> None:
        """Give every hearer a mix by what they hear of the voices on the stage.

        Where hearers part, the most go on with the mix they had and the others branch off it.
        """
        places = {voice: at for at, voice in enumerate(self._stage)}
        kept = [(places[voice], at) for at, voice in enumerate(stage) if voice in places]
        by_row: dict[Row, Mix] = {}
        rows: dict[Mix, Row] = {}
        members: dict[Mix, list[Hearer]] = {}
        self._fading = []
        for (row, old), hearing in _alike(hearers, stage):
            before = row if old is None else _carried(old.gains, row, kept)
            if old is not None and before != row:
                mix = old.branch()
                mix.fades_from, mix.apart_ticks = before, APART_TICKS
                self._fading.append(mix)
            elif old is not None and old.apart_ticks:
                mix = self._heir(old, members)
            elif row in by_row:
                mix = by_row[row]
            else:
                mix = by_row[row] = self._heir(old, members)
            rows[mix] = row  # kept for later: old rows are still asked for
            members.setdefault(mix, []).extend(hearing)
        for mix, hearing in members.items():
            mix.gains = rows[mix]
            mix.seat(
                [(one.row, one.form, one.delivery) for one in hearing if one.row is not None],
                is_recorded=any(one.is_recorded for one in hearing),
            )
            for hearer in hearing:
                hearer.mix = mix
        self.mixes, self._stage, self._plan = list(members), list(stage), None
        self._apart = [mix for mix in self.mixes if mix.apart_ticks]

    def _heir(self, old: Mix | None, taken: dict[Mix, list[Hearer]]) -> Mix:
        if old is None:
            return Mix(self._channels)
        return old.branch() if old in taken else old

    def advance(
        self,
        heard: Sequence[Voice],
        frames: Sequence[Voiced],
        packets: Mapping[Voice, bytes] = NO_PACKETS,
    ) -> list[Advanced]:
        """Return the next 20 ms of every mix that sounds or ends, from what is heard now.

        All who are heard are on the stage. `packets` are what some of the frames are as they came.
        Whoever calls moves the mixes on.
        """
        plan = self._plan
        if plan is None or plan.heard != heard:
            plan = self._plan = self._make_plan(heard)
        ending = [mix for mix in plan.silent if mix.is_sounding]
        advanced: list[Advanced] = []
        if plan.matrix is not None:
            pcm = plan.matrix.mix(_stack(frames))
            if self._fading:
                pcm = self._fade(plan, pcm, frames)
            advanced = _limited(plan.audible, pcm, has_sound=True)
            if packets and plan.lone:
                advanced = [
                    one._replace(packet=packets.get(plan.lone[one.mix]))
                    if one.mix in plan.lone
                    else one
                    for one in advanced
                ]
        if ending:  # one tick more than there is sound carries the limiter's look-ahead out
            silence = np.zeros((len(ending), FRAME_SAMPLES * self._channels), np.int16)
            advanced += _limited(ending, silence, has_sound=False)
        self.is_sounding = plan.matrix is not None
        if self._apart:
            self._settle()
        return advanced

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody is on the way to another mix."""
        return not self._apart

    def pass_on(self, voice: Voice, packet: bytes, level_dbov: int) -> list[Advanced]:
        """Return what `advance` would of a packet that is not decoded.

        In the tick before, the same voice was heard alone and passed on by all who sounded.
        """
        plan = self._plan
        assert plan is not None, "voices were heard"
        assert plan.heard == [voice], "and have not changed since"
        return [Advanced(mix, UNDECODED, level_dbov, True, packet) for mix in plan.audible]

    def recover(self, voice: Voice, frame: Voiced) -> None:
        """Let all mixes that have passed on packets of a voice have had its last frame."""
        for one in self.advance([voice], [frame]):
            one.mix.recover(one.frame)

    def _settle(self) -> None:
        for mix in self._apart:
            mix.apart_ticks -= 1
        if self._fading:
            for mix in self._fading:
                mix.fades_from = None
            self._fading, self._plan = [], None

    def _make_plan(self, heard: Sequence[Voice]) -> _Plan:
        places = {voice: at for at, voice in enumerate(self._stage)}
        columns = [places[voice] for voice in heard]
        plan, audible = _Plan(list(heard)), []
        for mix in self.mixes:
            row = _pick(mix.gains, columns)
            if any(row) or (mix.fades_from is not None and any(_pick(mix.fades_from, columns))):
                audible.append((row, mix))
            else:
                plan.silent.append(mix)
        if audible:
            # By the voice they lack: that lets the matrix subtract them all at once.
            audible.sort(key=lambda entry: entry[0].index(0.0) if 0.0 in entry[0] else len(columns))
            plan.audible = [mix for _, mix in audible]
            plan.lone = {
                mix: heard[row.index(1.0)]
                for row, mix in audible
                if mix.fades_from is None and 1.0 in row and row.count(0.0) == len(row) - 1
            }
            plan.matrix = Matrix(np.array([row for row, _ in audible], np.float32))
        return plan

    def _fade(self, plan: _Plan, pcm: Mixes, frames: Sequence[Voiced]) -> NDArray[np.int32]:
        """Lead the mixes whose rows have changed there from their old ones."""
        faded = pcm.astype(np.int32)
        places = {voice: at for at, voice in enumerate(self._stage)}
        columns = [places[voice] for voice in plan.heard]
        for number, mix in enumerate(plan.audible):
            if mix.fades_from is not None:
                old = Matrix(np.array([_pick(mix.fades_from, columns)], np.float32))
                faded[number] = fade(old.mix(_stack(frames))[0], pcm[number], self._channels)
        return faded


def _alike(hearers: Iterable[Hearer], stage: Sequence[Voice]) -> _Alike:
    """Return who hears the same from now on and has so far, the mix of most hearers first."""
    on_stage, of_ear = set(stage), dict[Ear, Row]()
    is_private = any(voice.only is not None for voice in stage)
    alike: dict[tuple[Row, Mix | None], list[Hearer]] = {}
    for hearer in hearers:
        row = of_ear.get(hearer.ear)
        if row is None:
            row = tuple(hearer.ear.gain_of(voice.peer, voice.buses) for voice in stage)
            of_ear[hearer.ear] = row
        if is_private or hearer.voice in on_stage:
            row = _own(row, hearer, stage)
        alike.setdefault((row, hearer.mix), []).append(hearer)
    return sorted(
        alike.items(), key=lambda item: (item[0][1] is not None, len(item[1])), reverse=True
    )


def _own(row: Row, hearer: Hearer, stage: Sequence[Voice]) -> Row:
    """Return the row without the hearer's own voice, and with what is for them alone."""
    return tuple(
        float(voice.only == hearer.peer)
        if voice.only is not None
        else 0.0
        if voice is hearer.voice
        else gain
        for voice, gain in zip(stage, row, strict=True)
    )


def _carried(old: Row, new: Row, kept: Iterable[tuple[int, int]]) -> Row:
    """Return `new` with the gains of `old` for the voices that were on the stage before."""
    carried = list(new)
    for before, now in kept:
        carried[now] = old[before]
    return tuple(carried)


def _pick(row: Row, columns: Iterable[int]) -> Row:
    return tuple(row[column] for column in columns)


def _stack(frames: Sequence[Voiced]) -> Mixes:
    """Return the frames as rows; joining and reshaping takes a third of `np.stack`."""
    if len(frames) == 1:
        return frames[0].reshape(1, -1)
    joined: Mixes = np.concatenate(list[Any](frames)).reshape(len(frames), -1)
    return joined


def _limited(mixes: Sequence[Mix], pcm: Mixes, *, has_sound: bool) -> list[Advanced]:
    frames = limit(pcm, [mix.limiter for mix in mixes])
    if len(mixes) == 1:
        return [Advanced(mixes[0], frames[0], level_dbov(frames[0]), has_sound)]
    levels = levels_dbov(frames).tolist()
    return [
        Advanced(mix, frame, level, has_sound)
        for mix, frame, level in zip(mixes, frames, levels, strict=True)
    ]
