"""`numpy.fft` of 1024 points beside rustfft, which is measured by a Rust program: calls of Python would be half of
what they take."""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict

import numpy as np

from peers import module
from timing import best, table

ROOT = Path(__file__).resolve().parents[2]
scipy_fft = module("scipy.fft")


def _rust() -> Dict[str, float]:
    """us of a transform by its name."""
    if not shutil.which("cargo"):
        return {}
    line = ["cargo", "run", "--release", "--locked", "-q", "-p", "rustaudio-dsp", "--example", "fft"]
    found = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    return {m[1]: float(m[2]) for m in re.finditer(r"^(.+): ([\d.]+) us$", found.stdout, re.MULTILINE)}


def fft(rounds: int) -> str:
    rng = np.random.default_rng(0)
    real = rng.uniform(-1, 1, 1024)
    kinds = {"complex f64": real + 1j * real[::-1], "complex f32": (real + 1j * real[::-1]).astype("c8"),
             "real f64": real, "real f32": real.astype("f4")}
    rust = _rust()
    rows = []
    for name, x in kinds.items():
        is_real = name.startswith("real")
        many = np.tile(x, (256, 1))
        functions = {"one": lambda: (np.fft.rfft if is_real else np.fft.fft)(x),
                     "many": lambda: (np.fft.rfft if is_real else np.fft.fft)(many)}
        if scipy_fft:
            functions["scipy"] = lambda: (scipy_fft.rfft if is_real else scipy_fft.fft)(x)
        times = {n: t * 1e6 for n, t in best(functions, 5 * rounds, 200).items()}
        times["many"] /= 256
        ours = rust.get(name)
        cells = [f"{times[n]:.2f}" + (f" ({times[n] / ours:.1f})" if ours else "") for n in ("one", "many", "scipy") if n in times]
        rows.append([name, f"{ours:.2f}" if ours else "-", *cells])
    head = ["1024 points, us", "rustfft", "`numpy.fft`, a call", "`numpy.fft`, one of 256 in a call"]
    return table(head + (["`scipy.fft`, a call"] if scipy_fft else []), rows)
