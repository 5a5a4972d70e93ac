"""Automatic gain: brings one person's speech slowly to a level, and leaves their noise alone."""

MAX_CHANGE_DB = 12.0  # more would turn a far microphone's room into everybody's
UP_DB = 0.06  # per tick of speech: 3 dB/s, too slow to hear as a movement
DOWN_DB = 0.12  # 6 dB/s: too loud annoys more than too soft
SPEECH_DBOV = -50.0  # as the gate: speech comes to that with every syllable
ABOVE_NOISE_DB = 8.0  # speech stands out of its own background; a fan does not
NOISE_UP_DB = 0.02  # per tick: 1 dB/s, so that a sentence does not pass for noise
MEMORY = 0.02  # per tick of speech: a second


class Agc:
    """Follows the level of somebody's speech; `gain_db` is what brings it to the target.

    Speech is what stands out of the softest there was lately. Where there is none the gain stays.
    """

    def __init__(self, target_dbov: float) -> None:
        self.target_dbov = target_dbov
        self.gain_db = 0.0
        """Within ±12 dB."""
        self._speech_dbov = 0.0
        self._noise_dbov = 0.0
        self._ticks = 0

    def follow(self, level_dbov: float) -> float:
        """Take the level of one tick before the gain (-127..0); return the new gain in dB."""
        self._noise_dbov = min(level_dbov, self._noise_dbov + NOISE_UP_DB)
        if level_dbov < max(SPEECH_DBOV, self._noise_dbov + ABOVE_NOISE_DB):
            return self.gain_db
        self._ticks += 1
        # The plain mean at first, so that the first word does not count for a second.
        self._speech_dbov += (level_dbov - self._speech_dbov) * max(MEMORY, 1 / self._ticks)
        wanted = self.target_dbov - self._speech_dbov
        wanted = max(-MAX_CHANGE_DB, min(MAX_CHANGE_DB, wanted))
        step = max(-DOWN_DB, min(UP_DB, wanted - self.gain_db))
        self.gain_db += step
        return self.gain_db
