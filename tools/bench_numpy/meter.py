"""One meter of quality for every resampler: what comes out beside a tone that went in."""
from __future__ import annotations

from typing import Any, Callable, Tuple

import numpy as np

#: A function of (frames, 1) float32 to (frames, 1).
Resample = Callable[[Any], Any]


def fit(y: Any, frequency: float) -> Tuple[float, float]:
    """Gain of a tone (cycles a frame) in the middle half of `y`, and the rest over it in dB."""
    inner = slice(len(y) // 4, -len(y) // 4)
    n = np.arange(len(y))[inner]
    basis = np.stack([np.cos(2 * np.pi * frequency * n), np.sin(2 * np.pi * frequency * n)], 1)
    y = y[inner].astype("f8")
    # By the normal equations: the tones are of thousands of periods.
    found = np.linalg.solve(basis.T @ basis, basis.T @ y)
    rest, gain = y - basis @ found, float(np.hypot(*found))
    return gain, 10 * np.log10(max(np.mean(rest**2), 1e-30) / max(gain**2 / 2, 1e-30))


def measure(resample: Resample, a: int, b: int) -> Tuple[float, float, float]:
    """Of a resampler from `a` to `b` Hz: SNR of a tone at 0.15 of the lower rate in dB; the worst alias
    (down) or image (up) in dB, from 5 % above the lower Nyquist frequency on or of tones up to 0.9 of
    it; where the pass band ends (-1 dB), as a fraction of the lower Nyquist frequency."""
    low = min(a, b)

    def through(hertz: float) -> Any:
        tone = np.sin(2 * np.pi * hertz / a * np.arange(a)).astype("f4")
        return np.asarray(resample(tone[:, None]))[:, 0]

    def of_full_scale(y: Any) -> float:
        inner = y[len(y) // 4 : -len(y) // 4].astype("f8")
        return float(10 * np.log10(2 * np.mean(inner**2) + 1e-30))

    hertz = 0.15 * low + 0.37
    snr = -fit(through(hertz), hertz / b)[1]
    if b < a:
        worst = max(of_full_scale(through(f * low / 2)) for f in (1.05, 1.1, 1.2, 1.4) if f * low < a * 0.99)
    else:
        worst = max(fit(through(f * low / 2), f * low / 2 / b)[1] for f in (0.6, 0.75, 0.9))
    edge = 0.0
    for f in np.arange(0.70, 1.0, 0.004):
        if fit(through(f * low / 2), f * low / 2 / b)[0] < 10 ** (-1 / 20):
            break
        edge = float(f)
    return snr, worst, edge
