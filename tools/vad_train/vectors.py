"""Writes test vectors for the crate: made audio, and what the exported head says of it.

    python vectors.py WEIGHTS.bin VECTORS.bin

1.5 s of 16-bit samples, then for each look-ahead 150 logits in single precision, as the frames come; then as
many for the samples divided by 100, which are raised before Silero.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from export import unpacked
from make import view
from model import predict
from silero import RATE, Silero

SAMPLES = 24_000


def voice() -> np.ndarray:
    """Hiss, a made vowel that glides, silence, the vowel again 30 dB lower, an offset throughout."""
    rng = np.random.default_rng(1)
    t = np.arange(SAMPLES) / RATE
    pitch = 120 + 30 * np.sin(2 * np.pi * 1.7 * t)
    pulses = np.diff(np.floor(np.cumsum(pitch) / RATE), prepend=0)
    y = pulses
    for hz, width in ((600, 90), (1200, 110), (2500, 160)):
        r = np.exp(-np.pi * width / RATE)
        y = lfilter([1 - r], [1, -2 * r * np.cos(2 * np.pi * hz / RATE), r * r], y)
    shape = np.interp(t, [0, 0.2, 0.25, 0.6, 0.65, 0.9, 0.95, 1.4, 1.45],
                      [0, 0, 1, 1, 0, 0, 0.03, 0.03, 0])
    y = 0.3 * shape * y / np.abs(y).max() + 3e-4 * rng.standard_normal(SAMPLES) + 0.01
    return np.clip(np.round(y * 32767), -32768, 32767).astype("<i2")


def main() -> None:
    net, audio = unpacked(Path(sys.argv[1]).read_bytes()), voice()
    signals = np.stack([audio, np.round(audio / 100)]) / 32768
    out = predict(net, view(Silero(), signals))
    print(out.shape[1], "frames, probabilities", (1 / (1 + np.exp(-out[0, ::15]))).round(3).tolist())
    Path(sys.argv[2]).write_bytes(audio.tobytes() + out.transpose(0, 2, 1).astype("<f4").tobytes())


if __name__ == "__main__":
    main()
