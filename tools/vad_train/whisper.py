"""Speech without a voice: what a throat gives is replaced by noise, what a mouth makes of it stays."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from silero import HOP

#: Poles of the mouth; samples of a frame, a quarter of which lies between two.
ORDER = 18
FRAME = 4 * HOP
#: Share of the energy that is added as white noise: what is digital silence has a filter, too.
FLOOR = 1e-9


def whispered(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """x of 16 kHz, each frame's linear prediction residual replaced by white noise of the same energy.
    Envelope of the spectrum and course of the level stay, pitch goes."""
    window = np.hanning(FRAME + 1)[:-1]
    padded = np.pad(x, (FRAME, FRAME))
    out = np.zeros(len(padded))
    noise = generator.standard_normal(len(padded))
    for start in range(0, len(padded) - FRAME + 1, HOP):
        frame = padded[start : start + FRAME] * window
        spread = np.correlate(frame, frame, "full")[FRAME - 1 :][: ORDER + 1]
        if spread[0] == 0:
            continue
        spread[0] *= 1 + FLOOR
        predictor = np.append(1, -solve_toeplitz(spread[:ORDER], spread[1:]))
        residual = max(float(predictor @ spread), 0.0)
        gain = np.sqrt(residual / np.sum(window**2))
        # The filter rings as long as the frame before the one that counts.
        rung = lfilter([gain], predictor, noise[max(0, start - FRAME) : start + FRAME])[-FRAME:]
        out[start : start + FRAME] += rung * window
    # Hann windows a quarter apart add up to two, in power to three halves: noise of neighbouring frames is the same.
    return out[FRAME:-FRAME] / 2
