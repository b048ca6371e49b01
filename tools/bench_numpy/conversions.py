"""Conversions of samples beside numpy's expressions, audioop and PyAV."""
from __future__ import annotations

import warnings
from typing import Any, Callable, List, Tuple

import numpy as np

import gstrustaudio as g
from meter import measure
from peers import module
from timing import best, digits, mean, table

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    stock = module("audioop")
av = module("av")

Row = Tuple[str, str, Callable[[], object], Callable[[], object]]


def _numpy_rows() -> List[Row]:
    rng = np.random.default_rng(0)
    f4 = rng.uniform(-0.9, 0.9, (480_000, 2)).astype("f4")
    i2 = (f4 * 32767).astype("i2")
    packed = g.convert(f4, "S24LE")
    # Both sides write to arrays that are made once, where they can.
    to_f4, to_i2, planes, work = np.empty_like(f4), np.empty_like(i2), np.empty((2, 480_000), "f4"), np.empty_like(f4)

    def rounded(x: Any) -> Any:
        np.multiply(x, np.float32(32768), out=work)
        np.rint(work, out=work)
        np.clip(work, -32768, 32767, out=work)
        np.copyto(to_i2, work, casting="unsafe")

    def dithered() -> Any:
        noise = rng.random(f4.shape, "f4")
        noise -= rng.random(f4.shape, "f4")
        np.multiply(f4, np.float32(32768), out=work)
        np.add(work, noise, out=work)
        np.rint(work, out=work)
        np.clip(work, -32768, 32767, out=work)
        np.copyto(to_i2, work, casting="unsafe")

    wide = np.zeros((480_000, 2, 4), np.uint8)

    def unpacked() -> None:
        wide[..., 1:] = packed
        np.multiply(wide.view("<i4")[..., 0], np.float32(2**-31), out=to_f4, casting="unsafe")

    def mixed() -> Any:
        np.add(f4[:, 0], f4[:, 1], out=work.reshape(-1)[:480_000])
        return np.multiply(work.reshape(-1)[:480_000], np.float32(0.5), out=work.reshape(-1)[:480_000])

    mono = np.empty((480_000, 1), "f4")
    return [
        ("int16 to float32", "numpy", lambda: g.convert(i2, "f4", out=to_f4),
         lambda: np.multiply(i2, np.float32(2**-15), out=to_f4)),
        ("float32 to int16", "numpy", lambda: g.convert(f4, "i2", dither="none", out=to_i2), lambda: rounded(f4)),
        ("float32 to int16, TPDF", "numpy", lambda: g.convert(f4, "i2", out=to_i2), dithered),
        ("packed 24 bits to float32", "numpy", lambda: g.convert(packed, "f4", format="S24LE", out=to_f4), unpacked),
        ("float32 stereo to mono", "numpy", lambda: g.convert(f4, "f4", channels=1, out=mono), mixed),
        ("int16 frames to float32 planes", "numpy", lambda: g.convert(i2, "f4", planar=True, out=planes),
         lambda: np.multiply(i2.T, np.float32(2**-15), out=planes)),
        ("int16 to float32, new array", "numpy", lambda: g.convert(i2, "f4"), lambda: i2 * np.float32(2**-15)),
        ("float32 to int16, new arrays", "numpy", lambda: g.convert(f4, "i2", dither="none"),
         lambda: np.clip(np.rint(f4 * np.float32(32768)), -32768, 32767).astype("i2")),
        ("float32 stereo to mono, new array", "numpy", lambda: g.convert(f4, "f4", channels=1),
         lambda: f4.mean(1, keepdims=True)),
    ]


def _audioop_rows() -> List[Row]:
    from gstrustaudio import audioop

    data = (np.random.default_rng(0).uniform(-0.9, 0.9, 960_000) * 32767).astype("i2").tobytes()
    mono = data[: len(data) // 2]
    return [
        ("lin2lin, 2 to 4 bytes", "audioop", lambda: audioop.lin2lin(data, 2, 4), lambda: stock.lin2lin(data, 2, 4)),
        ("byteswap, 2 bytes", "audioop", lambda: audioop.byteswap(data, 2), lambda: stock.byteswap(data, 2)),
        ("tomono, 2 bytes", "audioop", lambda: audioop.tomono(data, 2, 0.5, 0.5),
         lambda: stock.tomono(data, 2, 0.5, 0.5)),
        ("tostereo, 2 bytes", "audioop", lambda: audioop.tostereo(mono, 2, 1, 1), lambda: stock.tostereo(mono, 2, 1, 1)),
        ("ratecv, 48 to 16 kHz", "audioop", lambda: audioop.ratecv(data, 2, 2, 48000, 16000, None),
         lambda: stock.ratecv(data, 2, 2, 48000, 16000, None)),
    ]


def arrays(rounds: int) -> str:
    rows: List[List[str]] = []
    ratios: List[float] = []
    for name, peer, ours, theirs in _numpy_rows() + (_audioop_rows() if stock else []):
        times = best({"ours": ours, "theirs": theirs}, 4 * rounds, 5)
        a, b = times["ours"] * 1e3, times["theirs"] * 1e3
        if peer == "numpy":
            ratios.append(b / a)
        rows.append([name, f"{a:.2f}", f"{peer} {b:.2f}", f"{b / a:.1f}"])
    text = table(["10 s of stereo at 48 kHz, ms", "here", "peer", "times"], rows)
    return f"{text}\n\nnumpy's expressions take {mean(ratios):.1f} times as long in the geometric mean, least {min(ratios):.1f}."


def frames(rounds: int) -> str:
    """PyAV's resampler, libswresample, beside `process_frames`."""
    if not av:
        return "(av is not installed)"
    rows = []
    for samples, count in [(1024, 470), (480_000, 1)]:
        for source, target, layout, rate in [
            ("fltp", "s16", "stereo", 48000), ("s16", "fltp", "stereo", 48000), ("s16", "s16", "stereo", 16000),
            ("fltp", "s16", "mono", 16000), ("fltp", "fltp", "stereo", 44100),
        ]:
            made = _frames(source, samples, count)
            functions = {"theirs": lambda: _swresample(made, target, layout, rate),
                         "ours": lambda: _ours(made, target, layout, rate, "HQ")}
            if rate != 48000:
                functions["equal"] = lambda: _ours(made, target, layout, rate, EQUAL)
            times = {n: t / count * 1e6 for n, t in best(functions, 3 * rounds, 3 if count > 1 else 10).items()}
            cells = [f"{times[n]:.{digits(times[n])}f}" if n in times else "as HQ" for n in ("ours", "equal", "theirs")]
            least = times["theirs"] / max(times.get("equal", 0), times["ours"])
            rows.append([f"{source} to {target}, {layout}, {rate // 1000} kHz", str(samples), *cells, f"{least:.1f}"])
    swr, hq, equal = (", ".join(f"{v:.{0 if abs(v) > 1 else 3}f}" for v in _quality(run)) for run in (
        lambda made: _swresample(made, "flt", "mono", 16000), lambda made: _ours(made, "flt", "mono", 16000, "HQ"),
        lambda made: _ours(made, "flt", "mono", 16000, EQUAL)))
    text = table(["us a frame, from stereo at 48 kHz", "samples", "HQ", f"quality={EQUAL}", "PyAV", "times at least"], rows)
    return (f"{text}\n\nSNR, alias and pass band, 48 to 16 kHz: PyAV's resampler {swr}; quality={EQUAL} {equal}; HQ {hq}. "
            "No dither on either side.")


#: The lowest quality here that is as good as libswresample as PyAV uses it, in each of the three.
EQUAL = 6


def _frames(format: str, samples: int, count: int) -> List[Any]:
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (samples, 2)).astype("f4")
    if format == "s16":
        x = (x * 32767).astype("i2")
    array = np.ascontiguousarray(x.T if format.endswith("p") else x.reshape(1, -1))
    made = []
    for n in range(count):
        frame = av.AudioFrame.from_ndarray(array, format, "stereo")
        frame.sample_rate, frame.pts = 48000, n * samples
        made.append(frame)
    return made


def _swresample(made: List[Any], format: str, layout: str, rate: int) -> List[Any]:
    resampler = av.AudioResampler(format, layout, rate)
    return [out for frame in [*made, None] for out in resampler.resample(frame)]


def _ours(made: List[Any], format: str, layout: str, rate: int, quality: Any) -> List[Any]:
    from gstrustaudio.pyav import process_frames

    return list(process_frames(made, format=format, layout=layout, rate=rate, quality=quality, dither="none"))


def _quality(run: Callable[[List[Any]], List[Any]]) -> Tuple[float, float, float]:
    def resample(x: Any) -> Any:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(x.T), "flt", "mono")
        frame.sample_rate = 48000
        return np.concatenate([f.to_ndarray()[0] for f in run([frame])])[:, None]

    return measure(resample, 48000, 16000)
