"""Calls every function again and again, errors too, and counts what stays behind.

    python tests/numpy/leaks.py 10000000

Prints, for so many calls in all, the resident memory before and after, and per kind of call the bytes of
malloc (Rust's and numpy's) and the blocks of Python that it left."""
from __future__ import annotations

import ctypes
import gc
import sys
import time
from typing import Any, Callable, Dict, Iterator, NamedTuple, Tuple

import numpy as np

import gstrustaudio as g
from gstrustaudio import audioop

try:
    import av

    from gstrustaudio import pyav
except ImportError:
    av = None

Call = Callable[[], object]


class _Heap(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


class Left(NamedTuple):
    """What a number of calls left behind."""

    bytes: int
    blocks: int


def _mallinfo() -> Any:
    function = ctypes.CDLL(None).mallinfo2
    function.restype = _Heap
    return function


_mallinfo2 = _mallinfo()


def in_use() -> Tuple[int, int]:
    """Bytes that malloc has given out, and blocks of Python's own allocator."""
    gc.collect()
    heap = _mallinfo2()
    return heap.uordblks + heap.hblkhd, sys.getallocatedblocks()


def resident() -> int:
    """kB of the process."""
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def fails(function: Call) -> Call:
    def call() -> None:
        try:
            function()
        except (TypeError, ValueError, RuntimeError, ConnectionError, audioop.error):
            return
        raise AssertionError("expected to fail")

    return call


def _resampling() -> Iterator[Tuple[str, Call]]:
    f4, out = np.zeros((96, 2), "f4"), np.zeros((32, 2), "f4")
    swapped, planes = f4.astype(">f4"), np.asfortranarray(f4)
    yield "resample", lambda: g.resample(f4, 48000, 16000)
    yield "resample out=", lambda: g.resample(f4, 48000, 16000, out=out)
    yield "resample, another byte order", lambda: g.resample(swapped, 48000, 16000)
    yield "resample, planes", lambda: g.resample(planes, 48000, 16000, 4, engine="polyphase")
    yield "resample a list", lambda: g.resample([0.0, 0.5, 0.0], 3, 2)
    yield "resample, wrong rate", fails(lambda: g.resample(f4, 0, 16000))
    yield "resample, wrong out", fails(lambda: g.resample(f4, 48000, 16000, out=f4))
    stream = g.ResampleStream(48000, 16000, 2)
    # Not long enough to need memory of its own.
    yield "resample_chunk", lambda: stream.resample_chunk(f4)
    yield "resample_chunk, wrong dtype", fails(lambda: stream.resample_chunk(out.astype("f8")))
    yield "delay, latency, repr", lambda: (stream.delay(), stream.latency, stream.engine, repr(stream))

    def signal() -> None:
        one = g.ResampleStream(3, 2, 2, quality=0)
        one.rate_correction = 1.001
        one.resample_chunk(f4, last=True)
        one.clear()

    yield "ResampleStream", signal


def _conversion() -> Iterator[Tuple[str, Call]]:
    f4 = np.zeros((96, 2), "f4")
    i2, strided = np.zeros((96, 2), "i2"), np.zeros((96, 4), "f4")[:, ::2]
    out, matrix = np.zeros((96, 2), "i2"), np.full((1, 2), 0.5)
    yield "convert", lambda: g.convert(i2, "f4")
    yield "convert out=", lambda: g.convert(f4, np.int16, out=out)
    yield "convert, strided", lambda: g.convert(strided, "i2", noise_shaping="high")
    yield "convert, packed", lambda: g.convert(g.convert(f4, "S24LE"), "i4", format="S24LE")
    yield "convert, mix", lambda: g.convert(f4, "f8", mix_matrix=matrix)
    yield "convert, planar", lambda: g.convert(f4, "f4", channels=1, planar=True)
    yield "convert, wrong dither", fails(lambda: g.convert(f4, "i2", dither="x"))
    yield "convert, wrong matrix", fails(lambda: g.convert(f4, "i2", mix_matrix="x"))
    data = bytes(192)
    yield "lin2lin", lambda: audioop.lin2lin(data, 2, 4)
    yield "byteswap", lambda: audioop.byteswap(bytearray(data), 2)
    yield "tomono", lambda: audioop.tomono(data, 2, 0.5, 0.5)
    yield "tostereo", lambda: audioop.tostereo(data, 2, 1, 1)
    yield "ratecv", lambda: audioop.ratecv(data, 2, 2, 3, 1, None)
    yield "lin2lin, wrong width", fails(lambda: audioop.lin2lin(data, 5, 4))


def _speech() -> Iterator[Tuple[str, Call]]:
    x, few = np.zeros(480, "i2"), np.zeros(160, "f4")
    for name in ("silero", "neural", "spectral", "energy"):
        yield f"probabilities {name}", lambda name=name: g.probabilities(x, 16_000, detector=name)
        detector = g.SpeechDetector(16_000, detector=name)
        yield f"push {name}", lambda detector=detector: detector.push(few)
    yield "speech_timestamps", lambda: g.speech_timestamps(x, 16_000, detector="energy")
    yield "speech_timestamps, wrong rate", fails(lambda: g.speech_timestamps(x, 1))

    def recording() -> None:
        detector = g.SpeechDetector(16_000, detector="energy")
        detector.push(x)
        detector.flush()
        detector.reset()

    yield "SpeechDetector", recording


def _resilience() -> Iterator[Tuple[str, Call]]:
    @g.retry(sleep=lambda seconds: None)
    def answers() -> int:
        return 1

    @g.retry(g.RetryPolicy(max_retries=1), sleep=lambda seconds: None)
    def raises() -> int:
        raise ConnectionError("reset")

    breaker = g.CircuitBreaker(threshold=0)

    def block() -> None:
        with breaker:
            pass

    yield "retry", answers
    yield "retry, given up", fails(raises)
    yield "metrics", answers.metrics
    yield "CircuitBreaker", block
    yield "retry(…)(…)", lambda: g.retry(lambda: 1)()


def _frames() -> Iterator[Tuple[str, Call]]:
    def frame(format: str) -> Any:
        frame = av.AudioFrame(format, "stereo", 96)
        frame.sample_rate, frame.pts = 48000, 0
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        return frame

    packed, planar = frame("s16"), frame("fltp")
    yield "process_frames, format", lambda: list(pyav.process_frames([packed], format="fltp"))
    yield "process_frames, rate", lambda: list(pyav.process_frames([planar], format="s16", rate=16000))
    yield "process_frames, function", lambda: list(pyav.process_frames([planar], function=lambda x: x))
    yield "to_array, to_frame", lambda: pyav.to_frame(pyav.to_array(planar), "fltp", "stereo", 48000)
    yield "process_frames, wrong format", fails(lambda: list(pyav.process_frames([planar], format="x")))


def kinds() -> Dict[str, Call]:
    found = [*_resampling(), *_conversion(), *_speech(), *_resilience()]
    return dict(found + (list(_frames()) if av else []))


def left(call: Call, calls: int) -> Left:
    """What `calls` of them left, after as many as make all tables, caches and rings as large as they get."""
    for _ in range(600):
        call()
    bytes_before, blocks_before = in_use()
    for _ in range(calls):
        call()
    bytes_after, blocks_after = in_use()
    return Left(bytes_after - bytes_before, blocks_after - blocks_before)


def main(total: int) -> None:
    calls = kinds()
    each = -(-total // len(calls))
    for call in calls.values():
        left(call, 100)
    before, start = resident(), time.time()
    for name, call in calls.items():
        found = left(call, each)
        print(f"{name}: {found.bytes} bytes, {found.blocks} blocks after {each} calls; {resident()} kB", flush=True)
    done = each * len(calls)
    print(f"{done} calls in {time.time() - start:.0f} s: {before} kB resident before, {resident()} after")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(int(sys.argv[1]))
