"""Labels of clean speech by a teacher that knows the future: Silero forwards and backwards, and the
energy relative to the utterance."""

from __future__ import annotations

import numpy as np

from silero import HOP, Silero

#: Frames by which the teacher lags the centre of its window: Silero describes an instant about 50 ms
#: before it is known (measured on the labelled test clips; the only thing here that they told).
LAG = 3
#: Weights of the forward and the reversed logit, and of the level under the utterance's loud frames
#: per dB. Round numbers chosen once, not fitted.
FORWARD, BACKWARD, PER_DB = 0.75, 0.25, 0.06
#: A level so far under the loud frames changes nothing.
NEUTRAL_DB = -12.0
DEEPEST_DB = -60.0
#: Windows of Silero start at these samples of 512: both halves.
PHASES = (0, 256)


def shift(x: np.ndarray, frames: int) -> np.ndarray:
    """x[:, t + frames] at t, the ends held."""
    index = np.clip(np.arange(x.shape[1]) + frames, 0, x.shape[1] - 1)
    return x[:, index]


def frame_levels(x: np.ndarray) -> np.ndarray:
    """Level in dB of 25 ms around each 10 ms frame of one signal."""
    frames = len(x) // HOP
    sums = np.cumsum(np.concatenate([[0.0], x.astype(np.float64) ** 2]))
    start = np.clip(np.arange(frames) * HOP - 120, 0, len(x))
    end = np.clip(np.arange(frames) * HOP + 280, 0, len(x))
    return 10 * np.log10((sums[end] - sums[start]) / (end - start) + 1e-9)


def relative_levels(x: np.ndarray, regions: list[tuple[int, int]]) -> np.ndarray:
    """Level of each frame in dB under the loud frames of its utterance; `regions` are the
    utterances' samples. The loudest of seven frames counts, so that closures stay inside words."""
    levels = frame_levels(x)
    relative = np.full(len(levels), DEEPEST_DB)
    for start, end in regions:
        part = slice(start // HOP, max(end // HOP, start // HOP + 1))
        loud = np.percentile(levels[part], 95)
        relative[part] = np.clip(levels[part] - loud, DEEPEST_DB, 0.0)
    padded = np.pad(relative, 3, "edge")
    return np.max([padded[i : i + len(relative)] for i in range(7)], 0)


def at_good_level(signals: np.ndarray) -> np.ndarray:
    """`signals` [signals, samples], each with its peak at 0.7."""
    return signals / np.maximum(np.abs(signals).max(1, keepdims=True), 1e-6) * 0.7


def heard(silero: Silero, signals: np.ndarray) -> np.ndarray:
    """Silero's own probabilities [signals, frames] of signals [signals, samples]: of a crowd nobody knows
    more."""
    loud = at_good_level(signals)
    logits = shift(np.mean([silero.on_grid(loud, phase) for phase in PHASES], 0), LAG)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def label(silero: Silero, signals: np.ndarray, regions: list[list[tuple[int, int]]]) -> np.ndarray:
    """Probability of speech [signals, frames] in clean signals [signals, samples] that hold
    utterances in `regions` and silence elsewhere."""
    forward, backward = silero.both_ways(at_good_level(signals), PHASES)
    forward, backward = shift(forward, LAG), shift(backward, -LAG)
    levels = np.stack([relative_levels(x, r) for x, r in zip(signals, regions)])
    total = FORWARD * forward + BACKWARD * backward + PER_DB * np.minimum(levels - NEUTRAL_DB, 0.0)
    inside = np.zeros(total.shape)
    for row, spans in zip(inside, regions):
        for start, end in spans:
            row[start // HOP : -(-end // HOP)] = 1
    return (inside / (1 + np.exp(-total))).astype(np.float32)

