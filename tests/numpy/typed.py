"""A program that mypy checks as a user's would be."""
from __future__ import annotations

from typing import Any, Dict, List, Union

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import gstrustaudio
from gstrustaudio import (
    CircuitBreaker,
    Metrics,
    ResampleStream,
    RetryPolicy,
    SpeechDetector,
    probabilities,
    resample,
    retry,
    speech_timestamps,
)


def whole(x: NDArray[np.float32]) -> NDArray[Any]:
    y: NDArray[Any] = resample(x, 48000, 16000, "HQ", axis=-1, engine="fft")
    return resample([0.0, 1.0], 44100.5, 16000, gstrustaudio.HQ, out=y)


def chunks(x: NDArray[np.int16], metrics: Metrics) -> float:
    stream = ResampleStream(48000, 16000, 2, np.int16, max_latency=200)
    stream.rate_correction = 1.0
    y: NDArray[Any] = stream.resample_chunk(x, last=True)
    stream.clear()
    return stream.delay() + stream.latency + len(y) + metrics.num_samples


@retry
def bare(question: str, times: int = 1) -> float:
    return 0.5


@retry(RetryPolicy(max_retries=2), breaker=CircuitBreaker())
def with_policy(question: str, *, times: int = 1) -> List[str]:
    return []


@CircuitBreaker(threshold=3)
async def asynchronous(question: str) -> bytes:
    return b""


class Client:
    @retry()
    def ask(self, question: str) -> int:
        return 1

    @retry()
    async def ask_later(self, question: str) -> int:
        return 1


async def guarded_and_heard(x: NDArray[np.float32]) -> None:
    assert_type(bare("who?", times=2), float)
    assert_type(with_policy("who?", times=2), List[str])
    assert_type(await asynchronous("who?"), bytes)
    assert_type(Client().ask("who?"), int)
    assert_type(await Client().ask_later("who?"), int)
    assert_type(bare.metrics(), Dict[str, Any])
    bare(1)  # type: ignore[arg-type]
    bare("who?", other=1)  # type: ignore[call-arg]
    Client().ask(1)  # type: ignore[arg-type]
    Client().ask()  # type: ignore[call-arg]
    for attempt in retry():
        with attempt:
            assert_type(attempt.number, int)
    assert_type(probabilities(x, 16_000), NDArray[np.float32])
    assert_type(speech_timestamps(x, 16_000), List[Dict[str, int]])
    assert_type(
        speech_timestamps(x, 16_000, return_seconds=True),
        Union[List[Dict[str, int]], List[Dict[str, float]]],
    )
    assert_type(SpeechDetector(16_000).push(x).probabilities, NDArray[np.float32])
    probabilities(x, 16_000, detector="webrtc")  # type: ignore[arg-type]
