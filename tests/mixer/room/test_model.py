"""A room against the plainest model of it: everybody hears the sum their specs ask for."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.core.gain import factor
from mixer.room.anchor import Anchor
from mixer.room.groups import APART_TICKS
from mixer.room.mix import Mix
from mixer.room.room import Room
from mixer.types import FLOOR, AnchorSpec, Int16Frame, Outgoing, PeerId, Profile, RoomId, RoomSpec

PEERS = [PeerId(name) for name in ("ann", "bob", "cyd", "dan")]
GAINS = st.sampled_from([0.0, 0.0, -6.0, 6.0, -60.0])
BUSES = st.sampled_from([FLOOR, "fr"])
# Half a step for each of three voices, lifted by 6 dB for the bus and for oneself, and for the sum.
ROUNDED = 3 * 0.5 * 4 + 0.5


class Steady(Anchor):
    """Says one value for as long as it speaks: what is heard of it can be told from a sample."""

    value = 0
    is_speaking = False

    def hear(self, now: float, most_bytes: int = 0) -> Int16Frame | None:
        return np.full(960, self.value, np.int16) if self.is_speaking else None

    def skip(self, now: float) -> None:
        pass

    @property
    def is_asleep(self) -> bool:
        return not self.is_speaking

    @property
    def is_levelled(self) -> bool:
        return True


@dataclass
class Scene:
    """Some ticks under one spec."""

    speaking: frozenset[PeerId]
    spec: RoomSpec


@st.composite
def anchors(draw: st.DrawFn, peer: PeerId) -> AnchorSpec:
    """Return any spec of a person that makes a difference in mono."""
    return AnchorSpec(
        peer,
        gain_db=draw(GAINS),
        hears=draw(st.dictionaries(BUSES, GAINS, max_size=2) | st.just({FLOOR: 0.0})),
        speaks=draw(st.sampled_from([(FLOOR,), (FLOOR,), ("fr",), (FLOOR, "fr"), ()])),
        for_me=draw(st.dictionaries(st.sampled_from(PEERS), st.none() | GAINS, max_size=2)),
    )


@st.composite
def scenes(draw: st.DrawFn) -> list[Scene]:
    made = []
    for version in range(draw(st.integers(1, 4))):
        spec = RoomSpec(
            RoomId("hall"),
            version,
            tuple(draw(anchors(peer)) for peer in PEERS),
            loudest=draw(st.sampled_from([0, 0, 1, 2])),
            profile=draw(st.sampled_from([Profile.VOICE, Profile.VOICE, Profile.MUSIC])),
            buses=("fr",),
        )
        made.append(Scene(frozenset(draw(st.sets(st.sampled_from(PEERS)))), spec))
    return made


def expected(scene: Scene, values: dict[PeerId, int]) -> dict[PeerId, float]:
    """Return the value each person hears."""
    specs = {anchor.peer: anchor for anchor in scene.spec.anchors}
    by_level = sorted(scene.speaking, key=lambda peer: -values[peer])
    mixed = by_level[: scene.spec.loudest] if scene.spec.loudest else by_level
    heard = {}
    for peer, ear in specs.items():
        heard[peer] = 0.0
        for other in mixed:
            gains = [ear.hears[bus] for bus in specs[other].speaks if bus in ear.hears]
            personal = ear.for_me.get(other, 0.0)
            if other == peer or not gains or personal is None:
                continue
            gain_db = specs[other].gain_db + max(gains) + personal
            heard[peer] += values[other] * factor(gain_db)
    return heard


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_everybody_hears_what_their_spec_says(told: list[Scene]) -> None:
    """Whoever speaks and whatever changed before, once all is settled; sent once a tick at most.

    The loudest need two seconds, because levels fall slowly.
    """
    played: dict[int, Int16Frame] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mix, "advance", _note(played))
        room, tick = Room(RoomId("hall"), None), 0
        people = [Steady(peer, row) for row, peer in enumerate(PEERS)]
        for number, person in enumerate(people):
            person.value, person.level_dbov = 100 * 3**number, -50 + 12 * number
            room.add(person)
            room.connect(person.peer)
        values = {person.peer: person.value for person in people}
        for scene in told:
            room.configure(scene.spec)
            for person in people:
                person.is_speaking = person.peer in scene.speaking
                if person.is_speaking:
                    room.wake(person)
            for _ in range(100 if scene.spec.loudest else APART_TICKS + 5):
                played.clear()
                sent = [row for one in room.tick(tick, tick * 0.02) for row in one.rows.tolist()]
                assert len(sent) == len(set(sent))
                tick += 1
            heard = expected(scene, values)
            for row, peer in enumerate(PEERS):
                value = played[row][-1] if row in played else 0
                assert value == pytest.approx(heard[peer], abs=ROUNDED + heard[peer] * 1e-5)


def _note(played: dict[int, Int16Frame]) -> object:
    """Return an `advance` that encodes nothing and tells whom it would have sent which frame."""

    def advance(
        self: Mix,
        frame: Int16Frame,
        level_dbov: int,
        *,
        has_sound: bool,
        packet: bytes | None = None,
    ) -> list[Outgoing]:
        del packet
        self.is_sounding = has_sound
        assert not set(self.rows.tolist()) & played.keys()
        played.update(dict.fromkeys(self.rows.tolist(), frame))
        return [Outgoing(b"\xf8\xff\xfe", self.rows, level_dbov)]

    return advance
