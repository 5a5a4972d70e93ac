"""Somebody's packets as one gapless run on the media clock of a take."""

from collections import deque

from hls.recording.core.clock import MediaClock
from hls.recording.core.codecs import FILLERS, Packets
from hls.recording.core.heard import Codec, HeardPacket
from hls.recording.core.stream import SECOND, Held, Stretch

HOLD = SECOND // 2  # packets are put in order, and the fastest of them is the clock's measure
MOST_OFF = SECOND // 100  # 10 ms: then a packet more or less is worth the sound it costs
SILENT_OFF = SECOND // 200  # nobody hears it where nothing sounds
MOST_CONCEALED = SECOND // 10  # decoders have faded out by then
MAX_WAITING = 1024  # packets: 2.5 ms each, twice the hold; a flood pushes out itself

Laid = list[tuple[bytes, int]]
"""Packets with their length in samples, one behind the other."""


class Track:
    """Lays packets where they belong, and fills what is between them.

    Each talkspurt begins where the media clock says, to the codec's shortest packet (Opus 2.5 ms).
    Within one the clocks may run apart by 10 ms, then a filler is put in or a packet left out;
    sooner where it is silent. So nothing is ever off by more than 20 ms.
    """

    def __init__(self, clock: MediaClock, codec: Codec = Codec.OPUS) -> None:
        self.codec = codec
        self.first: int | None = None
        """The media position of the first packet, in samples: the file begins there."""
        self.samples = 0
        """What was laid behind it."""
        self.dropped = 0
        """Packets that found no place."""
        self._clock = clock
        self._filler = FILLERS[codec]
        self._stretches: deque[Stretch] = deque()
        self._last: tuple[Stretch, Held] | None = None  # laid last, unless something was left out

    def push(self, packet: HeardPacket) -> None:
        """Take a packet in whatever order."""
        samples = self._filler.duration(packet.payload)
        if not samples or packet.codec is not self.codec:
            self.dropped += 1
            return
        newest = self._stretches[-1] if self._stretches else None
        if newest is None or not newest.continues(packet, samples):
            if packet.is_copy:
                return
            self._stretches.append(Stretch(packet, samples))
        elif len(newest.waiting) >= MAX_WAITING or not newest.push(packet, samples):
            self.dropped += not packet.is_copy
        if len(self._stretches) > MAX_WAITING:
            self._stretches.popleft()

    def advance(self, now: int) -> Laid:
        """Return what is to be written now that it is sample `now` on the clock of arrivals."""
        laid: Laid = []
        while self._stretches:
            stretch = self._stretches[0]
            while stretch.waiting and stretch.time(stretch.waiting[0]) <= now - HOLD:
                self._lay(stretch, stretch.waiting.pop(0), laid)
            if stretch.waiting or len(self._stretches) == 1:
                break
            self._stretches.popleft()
        return laid

    def _lay(self, stretch: Stretch, held: Held, laid: Laid) -> None:
        position = self._clock.sample(stretch.time(held))
        if position is None:
            self._last = None
            return
        if self.first is None:
            self.first = position
        error = position - self.first - self.samples
        if self._last is not None and self._last[0] is stretch:
            before = self._last[1]
            if held.timestamp < before.end:  # a copy of what has been laid
                self.dropped += not held.is_copy
                return
            if held.timestamp == before.end:
                self._go_on(stretch, held, error, laid)
                return
        self._begin(stretch, held, error, laid)

    def _go_on(self, stretch: Stretch, held: Held, error: int, laid: Laid) -> None:
        """Lay a packet right behind the one before, unless the clocks have run apart."""
        most = SILENT_OFF if held.packet.is_silent else MOST_OFF
        if error < -most:
            self.dropped += 1
            self._last = (stretch, held)
            return
        if error > most:
            self._fill(self._filler.conceal(held.packet.payload, self._whole(error)), laid)
        self._put(stretch, held, laid)

    def _begin(self, stretch: Stretch, held: Held, error: int, laid: Laid) -> None:
        """Lay a packet behind a pause or a loss."""
        if error < -max(held.samples // 2, MOST_OFF):
            self.dropped += 1
            return
        if error > 0:
            gap = self._whole(error)
            if gap <= MOST_CONCEALED and self._is_loss(stretch, held):
                self._fill(self._filler.conceal(held.packet.payload, gap), laid)
            else:
                self._fill(self._filler.silence(gap), laid)
        self._put(stretch, held, laid)

    def _is_loss(self, stretch: Stretch, held: Held) -> bool:
        if self._last is None or self._last[0] is not stretch:
            return False
        return held.sequence > self._last[1].sequence + 1

    def _whole(self, samples: int) -> int:
        grain = self._filler.grain
        return (samples + grain // 2) // grain * grain

    def _fill(self, packets: Packets, laid: Laid) -> None:
        for packet in packets:
            laid.append(packet)
            self.samples += packet[1]

    def _put(self, stretch: Stretch, held: Held, laid: Laid) -> None:
        laid.append((held.packet.payload, held.samples))
        self.samples += held.samples
        self._last = (stretch, held)
