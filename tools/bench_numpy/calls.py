"""What a call costs, and what threads gain."""
from __future__ import annotations

import os
import threading
import time
import timeit
from typing import Any, Callable

import numpy as np

import gstrustaudio as g
from gstrustaudio import _native
from peers import soxr
from timing import table


def _cost(function: Callable[[], object], rounds: int, number: int = 20_000) -> float:
    """us."""
    return min(timeit.repeat(function, number=number, repeat=3 * rounds)) / number * 1e6


def calls(rounds: int) -> str:
    x, out = np.zeros((480, 2), np.int16), np.zeros((480, 2), np.float32)
    none, none_out = x[:0], out[:0]
    y = np.zeros((480, 2), np.float32)
    stream = g.ResampleStream(48000, 48000, 2)
    nothing = _native._nothing
    rows = [
        ("a compiled function of `convert`'s arguments that does nothing", lambda: nothing(x, np.float32, out=out)),
        ("`convert(x, 'float32', out=out)`, int16, of no frames", lambda: g.convert(none, np.float32, out=none_out)),
        ("the same of 10 ms", lambda: g.convert(x, np.float32, out=out)),
        ("`np.copyto(out, x)`, which does not scale", lambda: np.copyto(out, x)),
        ("`convert(x, 'float32')` of 10 ms, new array", lambda: g.convert(x, np.float32)),
        ("`x * np.float32(2**-15)`", lambda: x * np.float32(2**-15)),
        ("`resample_chunk` of no frames", lambda: stream.resample_chunk(y[:0])),
        ("`resample(x, 48000, 16000)` of 10 ms as a whole", lambda: g.resample(y, 48000, 16000)),
    ]
    if soxr:
        rows.append(("`soxr.resample` of the same", lambda: soxr.resample(y, 48000, 16000)))
    return table(["a call with stereo at 48 kHz", "us"], [[name, f"{_cost(f, rounds):.2f}"] for name, f in rows])


def threads(rounds: int) -> str:
    """Wall time of N threads, each with an object and a signal of its own, beside one thread."""
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (48_000 * 60, 2)).astype("f4")
    i2 = (x * 32767).astype("i2")
    mono = np.ascontiguousarray(i2[::3, 0])

    def chunks() -> None:
        stream = g.ResampleStream(48000, 44100, 2)
        for n in range(0, len(x), 4800):
            stream.resample_chunk(x[n : n + 4800])

    def conversions() -> None:
        out = np.empty(x.shape, "i2")
        for _ in range(10):
            g.convert(x, "i2", out=out)

    work = [
        ("resample, 60 s, 48 to 44.1 kHz", lambda: g.resample(x, 48000, 44100)),
        ("ResampleStream, chunks of 100 ms", chunks),
        ("convert, float32 to int16, TPDF", conversions),
        ("probabilities, silero, 60 s", lambda: g.probabilities(mono, 16_000)),
    ]
    counts = [1, 2] + ([4] if (os.cpu_count() or 1) >= 4 else [])
    rows = []
    for name, function in work:
        walls = [[_wall(function, n) for n in counts] for _ in range(4 * rounds)]
        times = dict(zip(counts, map(min, zip(*walls))))
        rows.append([name, f"{times[1] * 1e3:.1f}", *(f"{n * times[1] / times[n]:.2f}" for n in counts[1:])])
    return table([f"{os.cpu_count()} cores", "one thread, ms", *(f"{n} threads, times the work" for n in counts[1:])], rows)


def _wall(function: Callable[[], Any], count: int) -> float:
    started = threading.Barrier(count + 1)

    def run() -> None:
        started.wait()
        function()

    found = [threading.Thread(target=run) for _ in range(count)]
    for thread in found:
        thread.start()
    started.wait()
    start = time.perf_counter()
    for thread in found:
        thread.join()
    return time.perf_counter() - start
