"""Segments of speech: Silero's rules, and how segments compare with people's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: (first frame, the one after the last), of 10 ms.
Segment = tuple[float, float]
#: Edges further off than this belong to something else, in frames.
NEAR = 50


def by_silero(p: np.ndarray, length: float, frames: float, threshold: float = 0.5, release: float = 0.35,
              speech: float = 25, silence: float = 10, pad: float = 3) -> list[Segment]:
    """Segments of `frames` frames by the rules and defaults of Silero's get_speech_timestamps, from
    probabilities of windows that are `length` frames long; everything in frames."""
    found: list[Segment] = []
    start: float | None = None
    quiet: float | None = None
    for i, value in enumerate(p):
        now = i * length
        if value >= threshold:
            quiet = None
            start = now if start is None else start
        elif start is not None and value < release:
            quiet = now if quiet is None else quiet
            if now - quiet >= silence:
                found.append((start, quiet))
                start = quiet = None
    if start is not None:
        found.append((start, frames))
    return padded([s for s in found if s[1] - s[0] > speech], frames, pad)


def padded(found: list[Segment], frames: float, pad: float) -> list[Segment]:
    """Segments extended on both sides, as far as half of the pause between two."""
    ends = [(max(0.0, a - pad), min(frames, b + pad)) for a, b in found]
    for i in range(len(ends) - 1):
        if ends[i][1] > ends[i + 1][0]:
            middle = (found[i][1] + found[i + 1][0]) / 2
            ends[i], ends[i + 1] = (ends[i][0], middle), (middle, ends[i + 1][1])
    return ends


def stretches(label: np.ndarray) -> list[tuple[int, int]]:
    """Runs of speech among labels."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (label == 1).astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


@dataclass
class Comparison:
    """How segments compare with labels."""

    known: int
    minutes: float
    #: Segments without any speech, pieces too many of stretches of speech, stretches without a segment.
    false: int
    fragments: int
    lost: int
    #: Errors of the nearest edge of each stretch in ms, padding included; late is positive.
    starts: list[float]
    ends: list[float]

    @property
    def false_per_minute(self) -> float:
        return self.false / self.minutes


def compare(found: list[list[Segment]], labels: list[np.ndarray]) -> Comparison:
    """Compares the segments of each recording with its labels."""
    result = Comparison(0, 0.0, 0, 0, 0, [], [])
    for segments, label in zip(found, labels):
        known = stretches(label)
        result.known += len(known)
        result.minutes += len(label) / 6000
        meets = lambda a, b: a[0] < b[1] and b[0] < a[1]
        result.false += sum(not any(meets(s, k) for k in known) for s in segments)
        for k in known:
            pieces = sum(meets(s, k) for s in segments)
            result.lost += pieces == 0
            result.fragments += max(0, pieces - 1)
            # Recordings that start or end in speech have no edge there.
            if k[0] > 0:
                result.starts += nearest([s[0] - k[0] for s in segments])
            if k[1] < len(label):
                result.ends += nearest([s[1] - k[1] for s in segments])
    return result


def nearest(errors: list[float]) -> list[float]:
    """The smallest error in ms, if one is small."""
    small = [10 * e for e in errors if abs(e) <= NEAR]
    return [min(small, key=abs)] if small else []
