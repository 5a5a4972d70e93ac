"""Thousands of players of low latency in one thread: ready requests on bare sockets.

Written to cost less than what it measures: two cores are enough for both, and it says how much of
one it took itself.
"""

import contextlib
import re
import select
import socket
import statistics
import time
from dataclasses import dataclass, field
from typing import Final

from bench.errors import BenchMistake

SEGMENT_S: Final = 1.92
BUSY: Final = 0.9  # of a core: more of it, and the players themselves are late
_HINT = re.compile(rb'#EXT-X-PRELOAD-HINT:.*?URI="(seg-(?:[a-z0-9]+-)?)(\d+)\.(\d+)\.m4s')
_PART_S = re.compile(rb"#EXT-X-PART-INF:PART-TARGET=([\d.]+)")
_LENGTH: Final = b"\r\nContent-Length: "
_READ: Final = 1 << 18


@dataclass(slots=True)
class Played:
    """What came of some time of playing.

    `parts` were completed by all players together, of `due` that there were; `share` of a core went
    into asking. `spreads_ms`: for each part, from the first player who had it until 99 % did.
    """

    parts: int = 0
    due: float = 0.0
    share: float = 0.0
    spreads_ms: list[float] = field(default_factory=list)

    @property
    def is_too_much(self) -> bool:
        """Whether the players, and not the server, may have been what is late."""
        return self.share > BUSY

    @property
    def are_in_time(self) -> bool:
        """Whether everybody had every part as it came."""
        return self.parts >= 0.98 * self.due

    @property
    def spread_ms(self) -> float:
        """The median of the spreads."""
        return statistics.median(self.spreads_ms) if self.spreads_ms else 0.0


class _Player:
    __slots__ = ("media", "missing", "number", "playlist")

    def __init__(self, port: int) -> None:
        self.playlist = socket.create_connection(("127.0.0.1", port))
        self.media = socket.create_connection(("127.0.0.1", port))
        for one in (self.playlist, self.media):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = 0  # of the part that is asked for
        self.missing = 0


class Audience:
    """Players of one stream: each asks for a part and the playlist with it, before it is there."""

    def __init__(self, port: int, folder: str, playlist: bytes) -> None:
        """Begin where a playlist ends. Raises BenchMistake if it is not one of low latency."""
        hint, part_s = _HINT.search(playlist), _PART_S.search(playlist)
        if hint is None or part_s is None:
            raise BenchMistake("The playlist has no hint of a part.")
        self.part_s = float(part_s[1])
        self._a_segment = round(SEGMENT_S / self.part_s)
        self._first = int(hint[2]) * self._a_segment + int(hint[3])
        self._port = port
        self._folder = folder
        self._stream = hint[1].decode()
        # What a browser sends, in size.
        self._head = (
            f"Host: 127.0.0.1:{port}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Bench/1\r\n"
            "Accept: */*\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n"
            "Origin: https://radio.example\r\nConnection: keep-alive\r\n\r\n"
        )
        self._requests: dict[int, tuple[bytes, bytes]] = {}
        self._players: list[_Player] = []
        self._of: dict[int, tuple[_Player, socket.socket]] = {}
        self._begun: dict[int, bytes] = {}  # answers that have not come whole
        self._came: dict[int, list[float]] = {}
        self._epoll = select.epoll()

    def enter(self, count: int) -> None:
        """Let so many begin."""
        for _ in range(count):
            player = _Player(self._port)
            player.number = self._first
            self._players.append(player)
            for one in (player.playlist, player.media):
                self._of[one.fileno()] = player, one
                self._epoll.register(one.fileno(), select.EPOLLIN)
        for player in self._players:
            self._ask(player)

    def play(self, seconds: float) -> Played:
        """Play so long, in the thread that calls. Raises BenchMistake for a refusal."""
        began, busy_s, played = time.monotonic(), time.thread_time(), Played()
        self._came.clear()
        while (left_s := began + seconds - time.monotonic()) > 0:
            for fd, _ in self._epoll.poll(left_s):
                played.parts += self._read(fd)
        took_s = time.monotonic() - began
        played.share = (time.thread_time() - busy_s) / took_s
        played.due = len(self._players) * took_s / self.part_s
        for came in self._came.values():
            if len(came) == len(self._players):  # the others were cut off by the time
                played.spreads_ms.append(1000 * (came[int(0.99 * (len(came) - 1))] - came[0]))
        return played

    def leave(self) -> None:
        """Hang up."""
        for player in self._players:
            for one in (player.playlist, player.media):
                with contextlib.suppress(OSError):
                    one.close()
        self._players.clear()
        self._epoll.close()

    def _read(self, fd: int) -> int:
        """Take in what came; return how many parts that completed."""
        player, one = self._of[fd]
        data = one.recv(_READ)
        if not data:
            raise BenchMistake("The server hung up on a player.")
        if fd in self._begun:
            data = self._begun.pop(fd) + data
        if not _is_whole(data):
            self._begun[fd] = data
            return 0
        player.missing -= 1
        if player.missing:
            return 0
        self._came.setdefault(player.number, []).append(time.monotonic())
        player.number += 1
        self._ask(player)
        return 1

    def _ask(self, player: _Player) -> None:
        playlist, part = self._requests.get(player.number) or self._write(player.number)
        player.missing = 2
        player.playlist.send(playlist)
        player.media.send(part)

    def _write(self, number: int) -> tuple[bytes, bytes]:
        msn, part = divmod(number, self._a_segment)
        paths = (f"stream.m3u8?_HLS_msn={msn}&_HLS_part={part}", f"{self._stream}{msn}.{part}.m4s")
        first, second = (
            f"GET {self._folder}/{path} HTTP/1.1\r\n{self._head}".encode() for path in paths
        )
        self._requests[number] = first, second
        return first, second


def _is_whole(data: bytes) -> bool:
    """Whether a whole answer came. Raises BenchMistake for a refusal."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    if not data.startswith(b"HTTP/1.1 200 "):
        raise BenchMistake(f"A player was answered with {data[9:12].decode()}.")
    at = data.find(_LENGTH, 0, end)
    if at < 0:
        raise BenchMistake("An answer has no Content-Length.")
    at += len(_LENGTH)
    return len(data) >= end + 4 + int(data[at : data.find(b"\r\n", at)])
