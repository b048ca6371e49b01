"""A program that mypy checks as a user's would be."""
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import gstrustaudio
from gstrustaudio import Metrics, ResampleStream, resample


def whole(x: NDArray[np.float32]) -> NDArray[Any]:
    y: NDArray[Any] = resample(x, 48000, 16000, "HQ", axis=-1, engine="fft")
    return resample([0.0, 1.0], 44100.5, 16000, gstrustaudio.HQ, out=y)


def chunks(x: NDArray[np.int16], metrics: Metrics) -> float:
    stream = ResampleStream(48000, 16000, 2, np.int16, max_latency=200)
    stream.rate_correction = 1.0
    y: NDArray[Any] = stream.resample_chunk(x, last=True)
    stream.clear()
    return stream.delay() + stream.latency + len(y) + metrics.num_samples
