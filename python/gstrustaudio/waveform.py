# SPDX-License-Identifier: MIT
"""Envelopes of audio, and of what is said of it, of any length in bounded memory."""
from __future__ import annotations

import math
import wave
from array import array
from typing import Any, Dict, List, Literal, Optional, Tuple

#: Struct letter and full scale by the format's name in caps (native endianness).
_FORMATS: Dict[str, Tuple[Literal["h", "i", "f", "d"], float]] = {
    "S16": ("h", 2.0**15), "S32": ("i", 2.0**31), "F32": ("f", 1.0), "F64": ("d", 1.0)}


class Envelope:
    """Lowest and highest value of each stretch of time; when there are too many stretches, pairs of
    them become one."""

    def __init__(self, width: int = 10_000_000, limit: int = 2048) -> None:
        #: Length of a stretch in ns.
        self.width = width
        self._limit = limit
        self._low: List[float] = []
        self._high: List[float] = []

    def __len__(self) -> int:
        return len(self._low)

    @property
    def duration(self) -> int:
        """Where the last stretch ends, in ns."""
        return len(self._low) * self.width

    def add(self, time: int, low: float, high: float) -> None:
        """The values at ``time`` (ns) lie in ``low..high``."""
        while time // self.width >= self._limit:
            self._halve()
        at = time // self.width
        missing = at + 1 - len(self._low)
        if missing > 0:
            self._low.extend([math.inf] * missing)
            self._high.extend([-math.inf] * missing)
        self._low[at] = min(self._low[at], low)
        self._high[at] = max(self._high[at], high)

    def peaks(self) -> List[Tuple[float, float]]:
        """Lowest and highest value of each stretch; of one without any, infinity and its negative."""
        return list(zip(self._low, self._high))

    def _halve(self) -> None:
        for values, pick in ((self._low, min), (self._high, max)):
            values[:] = [pick(values[i : i + 2]) for i in range(0, len(values), 2)]
        self.width *= 2


class Waveform(Envelope):
    """The envelope of samples, full scale being 1. Where there are none there is silence."""

    def add_samples(self, time: int, duration: int, format_name: str, data: Any) -> bool:
        """Samples of all channels, in whatever order they come; false if the format is not one of
        S16, S32, F32, F64 in native endianness."""
        known = _FORMATS.get(format_name)
        if known is None:
            return False
        letter, scale = known
        samples = memoryview(data).cast("B").cast(letter)
        # Buffers may be longer than a stretch.
        parts = max(1, min(len(samples), -(-duration // self.width)))
        step = -(-len(samples) // parts) or 1
        for i in range(0, len(samples), step):
            part = samples[i : i + step].tolist()
            at = time + duration * i // max(len(samples), 1)
            self.add(at, max(min(part) / scale, -1.0), min(max(part) / scale, 1.0))
        return True

    def peaks(self) -> List[Tuple[float, float]]:
        """Lowest and highest sample of each stretch, and 0."""
        return [(min(low, 0.0), max(high, 0.0)) for low, high in super().peaks()]


def read_wave(path: str) -> Optional[Waveform]:
    """The envelope of a PCM .wav file with 16 or 32 bits; ``None`` for other files. Raises `OSError` where there is
    none."""
    try:
        with wave.open(path) as w:
            kind = {2: "S16", 4: "S32"}.get(w.getsampwidth())
            if kind is None:
                return None
            waveform = Waveform()
            rate, done = w.getframerate(), 0
            while True:
                data = w.readframes(max(rate // 100, 1))
                if not data:
                    return waveform
                frames = len(data) // (w.getsampwidth() * w.getnchannels())
                samples = array("h" if kind == "S16" else "i", data)
                waveform.add_samples(done * 10**9 // rate, frames * 10**9 // rate, kind, samples)
                done += frames
    except (EOFError, wave.Error):
        return None
