#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the table of dsp/src/resample/sharp.rs: an equiripple low-pass response, sampled four times a
frame of the lower of two rates, from its centre on; then that of halves.rs.

    pip install scipy
    tools/resample_response.py > table.txt

It is 160 frames long. The stop band begins at the Nyquist frequency, 128.9 dB down, and is 134.4 dB down from 10 %
above it on; the pass band (-1 dB) ends where that length allows. Errors of the pass band count some thousand times
less than those of the stop band.
"""

import numpy as np
from scipy.signal import remez

TAPS = 635
OVERSAMPLE = 4
# In dB, up to 10 % above the Nyquist frequency and beyond.
STOP = (-129.5, -135)
RIPPLE = 8e-4


def response(edge):
    """Taps whose pass band, but for its ripple, ends at `edge` of the Nyquist frequency."""
    bands = [0, edge / 2, 0.5, 0.545, 0.55, OVERSAMPLE / 2]
    return remez(
        TAPS,
        bands,
        [1, 0, 0],
        weight=[1, *(RIPPLE / 10 ** (stop / 20) for stop in STOP)],
        fs=OVERSAMPLE,
        maxiter=250,
        grid_density=20,
    )


def stop_bands(taps):
    """The largest response from the Nyquist frequency up to 10 % above it, and from there on, in dB."""
    points = 1 << 17
    spectrum = np.abs(np.fft.rfft(taps, points))
    spectrum /= spectrum[0]
    places = np.arange(len(spectrum)) / points * 2 * OVERSAMPLE
    bands = ((places >= 1) & (places < 1.1), places >= 1.1)
    return [20 * np.log10(spectrum[band].max()) for band in bands]


def half_band():
    """Taps to one side of an equiripple half-band filter, but for its centre, whose gain is 2.

    Those are every other one of all that are not 0, so that by themselves they are a filter of one band.
    """
    taps = remez(24, [0, 2 * 31 / 192], [1], fs=1, grid_density=40)
    return taps[12:]


def write(taps):
    for i in range(0, len(taps), 6):
        print("    " + " ".join(f"{tap:.11}," for tap in taps[i : i + 6]))


def main():
    low, high, best = 0.85, 0.97, None
    for _ in range(11):
        edge = (low + high) / 2
        try:
            taps = response(edge)
        except ValueError:  # It does not converge.
            high = edge
            continue
        if all(level <= stop + 0.6 for level, stop in zip(stop_bands(taps), STOP)):
            low, best = edge, taps
        else:
            high = edge
    write(best[len(best) // 2 :] / best.sum() * OVERSAMPLE)
    print("\nThe half-band filter of dsp/src/resample/halves.rs:")
    write(half_band())


main()
