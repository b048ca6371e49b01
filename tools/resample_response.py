#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the table of dsp/src/resample/sharp.rs: an equiripple low-pass response, sampled four times a
frame of the lower of two rates, from its centre on.

    pip install scipy
    tools/resample_response.py > table.txt

It is 176 frames long. The stop band begins at the Nyquist frequency, 136 dB down; the pass band (-1 dB)
ends where that length allows. Errors of the pass band count 10^4 times less than those of the stop band.
"""

import numpy as np
from scipy.signal import remez

FRAMES = 176
OVERSAMPLE = 4
STOP = 10 ** (-137 / 20)
RIPPLE = 6e-4


def response(edge):
    """Taps whose pass band, but for its ripple, ends at `edge` of the Nyquist frequency."""
    bands = [0, edge / 2, 0.5, OVERSAMPLE / 2]
    return remez(
        OVERSAMPLE * FRAMES - 3,
        bands,
        [1, 0],
        weight=[1, RIPPLE / STOP],
        fs=OVERSAMPLE,
        maxiter=250,
        grid_density=20,
    )


def stop_band(taps):
    """The largest response from the Nyquist frequency up, in dB."""
    points = 1 << 17
    spectrum = np.abs(np.fft.rfft(taps, points))
    return 20 * np.log10(spectrum[points // (2 * OVERSAMPLE) :].max())


def main():
    low, high, best = 0.85, 0.97, None
    for _ in range(11):
        edge = (low + high) / 2
        try:
            taps = response(edge)
        except ValueError:  # It does not converge.
            high = edge
            continue
        if stop_band(taps) <= -136:
            low, best = edge, taps
        else:
            high = edge
    half = best[len(best) // 2 :] / best.sum() * OVERSAMPLE
    for i in range(0, len(half), 6):
        print("    " + " ".join(f"{tap:.11}," for tap in half[i : i + 6]))


main()
