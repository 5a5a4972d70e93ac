"""The recorder in the broadcast process: ticks of the mixers in, reports to control out."""

import asyncio
from collections import Counter
from collections.abc import Callable

from hls.recording.recorder import Recorder
from hls.types import BroadcastSpec, Caption, RecordingReport
from server.media import wire
from server.media.tapped import read_tapped
from server.rpc.codec import Notification, encode
from server.rpc.framing import FrameKind
from server.rpc.unix import UnixTransport

POLL_S = 0.25  # how late people may learn that a recording has begun


class RoomRecorder:
    """Records rooms as their specs say; nothing here waits for a disk but `close`."""

    def __init__(self, transport: UnixTransport, now_tick: Callable[[], int]) -> None:
        self._recorder = Recorder()
        self._transport = transport
        self._now_tick = now_tick
        self._counters: Counter[str] = Counter()
        self._has_work = asyncio.Event()
        self._is_closing = False
        self._untold: dict[tuple[str, str], RecordingReport] = {}  # bounded by the recordings

    def apply(self, spec: BroadcastSpec) -> None:
        """Begin, change or end a recording; nothing once it closes. Raises BadSpec."""
        if self._is_closing:
            return
        self._recorder.apply(spec, self._now_tick())
        if self._recorder.is_busy:
            self._has_work.set()

    def hear(self, kind: FrameKind, body: bytes) -> None:
        """Take what a mixer sends of a recorded room; what has not the form is counted."""
        try:
            room, heard = read_tapped(kind, body)
        except wire.WireError:
            self._counters["room_recording_ticks_malformed_total"] += 1
        else:
            self._recorder.hear(room, heard)

    def caption(self, room: str, caption: Caption) -> bool:
        """Write down what is said in a recorded room; whether it is taken."""
        return self._recorder.caption(room, caption)

    async def run(self) -> None:
        """Have seconds made safe and tell how recordings are, until it closes."""
        while True:
            if not (self._recorder.is_busy or self._untold):
                self._has_work.clear()
                await self._has_work.wait()
            await asyncio.sleep(POLL_S)
            if self._is_closing:
                return
            for report in self._recorder.poll(self._now_tick()):
                self._untold[report.room, report.name] = report
            for key, report in list(self._untold.items()):
                if not self._tell(report):
                    break
                del self._untold[key]

    def _tell(self, report: RecordingReport) -> bool:
        """Tell the control process; while it reads too slowly it is told the newest later."""
        text = encode(Notification("recording", wire.recording_params(report)))
        is_told = self._transport.offer_frame(FrameKind.JSON, text.encode())
        self._counters["room_recording_reports_delayed_total"] += not is_told
        return is_told

    async def close(self) -> None:
        """End all takes, as far as the disk is quick enough."""
        self._is_closing = True  # a thread has the recorder from here on
        self._has_work.set()
        await asyncio.to_thread(self._recorder.close, self._now_tick())

    def statistics(self) -> dict[str, int]:
        """Return counters (their names end in `_total`) and gauges (the others)."""
        return {**self._counters, **self._recorder.statistics()}
