"""The peers of a port as columns."""

from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mixer.rtc.codecs import Codecs
from mixer.rtc.ice import Credentials, Generation
from mixer.rtc.peers import MAX_PATHS, Peer, PeerTable
from mixer.rtc.sdp import Offer
from mixer.rtc.sockets import pack_address
from mixer.types import OpusParameters, PeerId, PeerState, RoomId

OFFER = Offer(
    session="- 1 IN IP4 127.0.0.1",
    remote=Credentials("them", "t" * 24),
    fingerprints=(),
    tls_id="",
    setup="actpass",
    codecs=Codecs(opus=111, red=0, parameters=OpusParameters()),
    level_id=1,
    direction="sendrecv",
    is_bundled=True,
    media=(),
    chosen=0,
)


def seat(table: PeerTable, name: str = "ann") -> Peer:
    row = table.take_row()
    ice = [Generation(Credentials("us", "u" * 24), OFFER.remote)]
    peer = Peer(RoomId("room"), PeerId(name), row, ice, OFFER, 0.0)
    table.peers[row] = peer
    return peer


def address(number: int, *, six: bool = False) -> bytes:
    host = (
        f"2001:db8::{number:x}"
        if six
        else f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    )
    return pack_address(host, 1024 + number % 60_000, six=six)


def rows(*addresses: bytes) -> Any:
    return np.frombuffer(b"".join(addresses), np.uint8).reshape(-1, 28)


def send_to(table: PeerTable, peer: Peer, path: bytes) -> None:
    table.send_to(peer.row, rows(path)[0], 16)


def test_every_peer_is_found_by_its_address() -> None:
    """Among thousands, IPv4 and IPv6, over several doublings of the table."""
    table = PeerTable()
    peers = [seat(table, f"p{number}") for number in range(3000)]
    paths = [address(number, six=number % 2 == 0) for number in range(3000)]
    for peer, path in zip(peers, paths, strict=True):
        assert table.claim(peer, path)
    order = np.random.default_rng(1).permutation(3000)
    found = table.find(rows(*(paths[number] for number in order)))
    assert found.tolist() == [peers[number].row for number in order]


def test_an_address_that_differs_in_one_bit_is_a_stranger() -> None:
    """A hash alone is no proof: the whole address is compared."""
    table = PeerTable()
    path = address(1)
    table.claim(seat(table), path)
    flipped = [
        bytes(byte ^ (1 << bit if at == place else 0) for at, byte in enumerate(path))
        for place in range(28)
        for bit in range(8)
    ]
    assert set(table.find(rows(*flipped)).tolist()) == {-1}


def test_an_empty_table_knows_nobody() -> None:
    """Before the first peer and after the last."""
    table = PeerTable()
    assert table.find(rows(address(1))).tolist() == [-1]
    peer = seat(table)
    table.claim(peer, address(1))
    table.release_row(peer.row)
    assert table.find(rows(address(1), address(2))).tolist() == [-1, -1]


def test_a_row_used_again_is_clean() -> None:
    """Nothing of the former peer is left in any column."""
    table = PeerTable()
    peer = seat(table)
    table.claim(peer, address(1))
    send_to(table, peer, address(1))
    columns = {
        name: value
        for name, value in vars(table).items()
        if isinstance(value, np.ndarray) and not name.startswith("_")
    }
    for column in columns.values():
        column[peer.row] = 1
    table.release_row(peer.row)
    assert table.take_row() == peer.row
    fresh = PeerTable()
    row = fresh.take_row()
    for name, column in columns.items():
        assert (column[peer.row] == getattr(fresh, name)[row]).all(), name


def test_growth_keeps_what_the_rows_hold() -> None:
    """Columns are copied, old rows stay where they are."""
    table = PeerTable()
    peers = [seat(table) for _ in range(64)]
    table.ssrc_out[[peer.row for peer in peers]] = np.arange(64)
    more = [seat(table) for _ in range(65)]
    assert table.ssrc_out[[peer.row for peer in peers]].tolist() == list(range(64))
    assert len({peer.row for peer in peers + more}) == table.count == 129


def test_a_live_peers_current_address_is_its_own() -> None:
    """Another peer's claim is refused, whatever else the holder checked from is given up."""
    table = PeerTable()
    ann, bob = seat(table, "ann"), seat(table, "bob")
    ann.state = PeerState.LIVE
    for number in (1, 2):
        table.claim(ann, address(number))
    send_to(table, ann, address(1))
    assert not table.claim(bob, address(1))
    assert table.claim(bob, address(2))
    assert table.find(rows(address(1), address(2))).tolist() == [ann.row, bob.row]


def test_who_loses_its_address_while_connecting_has_none() -> None:
    """What we would send there is somebody else's now."""
    table = PeerTable()
    ann, bob = seat(table, "ann"), seat(table, "bob")
    table.claim(ann, address(1))
    send_to(table, ann, address(1))
    assert table.claim(bob, address(1))
    assert not table.has_address[ann.row]


def test_paths_are_bounded_and_the_current_one_stays() -> None:
    """The oldest unused path makes room."""
    table = PeerTable()
    peer = seat(table)
    for number in range(MAX_PATHS + 3):
        table.claim(peer, address(number))
        if number == 0:
            send_to(table, peer, address(0))
    assert len(peer.paths) == MAX_PATHS
    found = table.find(rows(*(address(number) for number in range(MAX_PATHS + 3))))
    assert found.tolist() == [peer.row] + [-1] * 3 + [peer.row] * (MAX_PATHS - 1)


class Model(RuleBasedStateMachine):
    """The table against a dict, through claims, moves, releases and growth."""

    def __init__(self) -> None:
        super().__init__()
        self.table = PeerTable()
        self.owner: dict[bytes, Peer] = {}
        self.peers: list[Peer] = []

    @rule()
    def join(self) -> None:
        self.peers.append(seat(self.table))

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), number=st.integers(0, 6), is_current=st.booleans(), is_live=st.booleans())
    def check(self, data: st.DataObject, number: int, *, is_current: bool, is_live: bool) -> None:
        peer, path = data.draw(st.sampled_from(self.peers)), address(number)
        holder = self.owner.get(path)
        is_protected = (
            holder is not None
            and holder is not peer
            and holder.state is PeerState.LIVE
            and self.table.address[holder.row].tobytes() == path
        )
        assert self.table.claim(peer, path) == (not is_protected)
        if not is_protected:
            self.owner[path] = peer
            if is_current:
                send_to(self.table, peer, path)
            if is_live:
                peer.state = PeerState.LIVE

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        peer = data.draw(st.sampled_from(self.peers))
        self.peers.remove(peer)
        self.table.release_row(peer.row)
        self.owner = {path: owner for path, owner in self.owner.items() if owner is not peer}

    @invariant()
    def agrees(self) -> None:
        paths = [address(number) for number in range(7)]
        expected = [self.owner[path].row if path in self.owner else -1 for path in paths]
        assert self.table.find(rows(*paths)).tolist() == expected
        assert self.table.count == len(self.peers)
        for peer in self.peers:
            current = self.table.address[peer.row].tobytes()
            assert not self.table.has_address[peer.row] or self.owner[current] is peer


Model.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestModel = Model.TestCase
