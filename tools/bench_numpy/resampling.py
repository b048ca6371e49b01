"""Resampling: quality, whole signals, chunks."""
from __future__ import annotations

from typing import Dict, List

import numpy as np

from meter import measure
from peers import OURS, streams, whole as whole_peers
from timing import beside, best, mean, table

RATES = [(48000, 16000), (16000, 48000), (44100, 48000), (48000, 44100), (44100, 16000), (96000, 48000)]


def noise(frames: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels)).astype("f4")


def quality(rounds: int) -> str:
    names = list(whole_peers(48000, 16000, 1))
    rows = []
    for a, b in RATES:
        cells = []
        for function in whole_peers(a, b, 1).values():
            snr, worst, edge = measure(function, a, b)
            cells.append(f"{snr:.0f}, {worst:.0f}, {edge:.3f}" if edge else f"{snr:.0f}, {worst:.0f}, below 0.7")
        rows.append([f"{a} to {b}", *cells])
    return table(["rates", *names], rows)


def whole(rounds: int) -> str:
    return _tables(
        "60 s whole, float32, ms:", 60, 1e-3, rounds, lambda a, b, c: (whole_peers(a, b, c), 1))


def chunks(rounds: int) -> str:
    return _tables(
        "Chunks of 10 ms, float32, us:", 0.01, 1e-6, rounds, lambda a, b, c: (streams(a, b, c), 2000))


def _tables(title: str, seconds: float, unit: float, rounds: int, peers) -> str:
    rows: List[List[str]] = []
    ratios: Dict[str, List[float]] = {}
    for channels in (1, 2):
        for a, b in RATES:
            functions, calls = peers(a, b, channels)
            names = list(functions)
            x = noise(int(a * seconds), channels)
            for function in functions.values():
                # What imports and compiles when it is called.
                function(x[:480])
            times = best({n: (lambda f=f: f(x)) for n, f in functions.items()}, rounds, calls)
            for name, took in times.items():
                if name != OURS:
                    ratios.setdefault(name, []).append(took / times[OURS])
            rows.append([f"{a} to {b}", str(channels), *beside(OURS, times, unit, names)])
    summary = "; ".join(f"{name} {mean(r):.1f} ({min(r):.1f} to {max(r):.1f})" for name, r in ratios.items())
    return f"{title}\n\n{table(['rates', 'ch', *names], rows)}\n\nTimes as long, geometric mean (least to most): {summary}."
