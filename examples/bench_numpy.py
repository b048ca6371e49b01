"""The functions on arrays beside what Python has today: CPU time and quality, in one process.

    cargo build --release; pip install $(scripts/wheel.sh) soxr scipy samplerate audresample av
    python examples/bench_numpy.py [--quick]

Peers that are not installed are left out. Rounds are interleaved; each figure is the least CPU time of
its rounds, over all threads of the process. Quality is measured by one meter of this file for all."""
from __future__ import annotations

import importlib
import sys
import time
import timeit
import warnings

import numpy as np

import gstrustaudio as g

warnings.simplefilter("ignore")
QUICK = "--quick" in sys.argv
RATES = [(48000, 16000), (16000, 48000), (44100, 48000), (48000, 44100), (44100, 16000), (96000, 48000)]


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"({name} is not installed)")
        return None


soxr, signal, samplerate, audresample = map(module, ["soxr", "scipy.signal", "samplerate", "audresample"])


def whole_peers(a, b):
    """name: function of (frames, channels) float32."""
    common = np.gcd(a, b)
    yield "gstrustaudio HQ", lambda x: g.resample(x, a, b), 1
    if soxr:
        yield "soxr HQ", lambda x: soxr.resample(x, a, b), 1
    if signal:
        yield "scipy resample_poly", lambda x: signal.resample_poly(x, b // common, a // common), 1
        yield "scipy resample", lambda x: signal.resample(x, round(len(x) * b / a)), 0
    if samplerate:
        yield "samplerate medium", lambda x: samplerate.resample(x, b / a, "sinc_medium"), 0
    if audresample:
        high = audresample.define.ResampleQuality.HIGH
        yield "audresample high", lambda x: np.atleast_2d(
            audresample.resample(np.ascontiguousarray(x.T), a, b, quality=high)).T, 0


def stream_peers(a, b, channels):
    stream = g.ResampleStream(a, b, channels)
    yield "gstrustaudio HQ", stream.resample_chunk
    if soxr:
        other = soxr.ResampleStream(a, b, channels)
        yield "soxr HQ", other.resample_chunk
    if samplerate:
        third = samplerate.Resampler("sinc_medium", channels=channels)
        yield "samplerate medium", lambda x: third.process(x, b / a)


def best(functions, rounds):
    """The least CPU time of each, in seconds."""
    times = {name: [] for name, _ in functions}
    for _ in range(rounds):
        for name, function in functions:
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: min(t) for name, t in times.items()}


def fit(y, frequency):
    """Gain of a tone (cycles a frame) in the middle of `y`, and the rest over it in dB."""
    n = np.arange(len(y))
    inner = slice(len(y) // 4, -len(y) // 4)
    basis = np.stack([np.cos(2 * np.pi * frequency * n), np.sin(2 * np.pi * frequency * n)], 1)[inner]
    y = y[inner].astype("f8")
    found, *_ = np.linalg.lstsq(basis, y, rcond=None)
    rest = y - basis @ found
    return np.hypot(*found), 10 * np.log10(max(np.mean(rest**2), 1e-30) / max(np.hypot(*found) ** 2 / 2, 1e-30))


def meter(function, a, b, seconds=1):
    """SNR at 0.15 of the lower rate, alias or image at worst, and where the pass band ends (-1 dB)."""
    low = min(a, b)

    def tone(hertz):
        return np.sin(2 * np.pi * hertz / a * np.arange(a * seconds)).astype("f4")[:, None]

    snr = -fit(function(tone(0.15 * low + 0.37))[:, 0], (0.15 * low + 0.37) / b)[1]
    if b < a:
        worst = max(10 * np.log10(2 * np.mean(y[len(y) // 4 : -len(y) // 4].astype("f8") ** 2) + 1e-30)
                    for y in (function(tone(f * low / 2))[:, 0] for f in (1.05, 1.1, 1.2, 1.4) if f * low < a * 0.99))
    else:
        worst = max(fit(function(tone(f * low / 2))[:, 0], f * low / 2 / b)[1] for f in (0.6, 0.75, 0.9))
    edge = 0.0
    for f in np.arange(0.80, 1.0, 0.004):
        if fit(function(tone(f * low / 2))[:, 0], f * low / 2 / b)[0] < 10 ** (-1 / 20):
            break
        edge = f
    return snr, worst, edge


def resampling():
    rounds = 2 if QUICK else 5
    ratios = []
    for channels in (1, 2):
        print(f"\n60 s whole, float32, {channels} channel(s): ms of CPU time (times of gstrustaudio's)")
        for a, b in RATES:
            x = np.random.default_rng(0).uniform(-0.5, 0.5, (60 * a, channels)).astype("f4")
            peers = list(whole_peers(a, b))
            times = best([(n, lambda f=f: f(x)) for n, f, fast in peers if fast], rounds)
            times.update(best([(n, lambda f=f: f(x)) for n, f, fast in peers if not fast], 1))
            ours = times["gstrustaudio HQ"]
            if soxr:
                ratios.append(times["soxr HQ"] / ours)
            print(f"  {a} to {b}: " + ", ".join(f"{n} {t * 1e3:.1f} ({t / ours:.1f})" for n, t in times.items()))
        print(f"10 ms chunks, float32, {channels} channel(s): us of CPU time a chunk")
        for a, b in RATES:
            x = np.random.default_rng(0).uniform(-0.5, 0.5, (a // 100, channels)).astype("f4")
            peers = [(n, lambda f=f: [f(x) for _ in range(1000)]) for n, f in stream_peers(a, b, channels)]
            times = best(peers, rounds)
            ours = times["gstrustaudio HQ"]
            if soxr:
                ratios.append(times["soxr HQ"] / ours)
            print(f"  {a} to {b}: " + ", ".join(f"{n} {t * 1e3:.1f} ({t / ours:.1f})" for n, t in times.items()))
    if ratios:
        print(f"\nsoxr HQ / gstrustaudio HQ: mean {np.exp(np.mean(np.log(ratios))):.2f}, least {min(ratios):.2f}")


def quality():
    print("\nSNR of a tone, alias (down) or image (up) at worst, dB; end of the pass band (-1 dB) over lower Nyquist")
    for a, b in RATES:
        for name, function, _ in whole_peers(a, b):
            snr, worst, edge = meter(function, a, b)
            print(f"  {a} to {b} {name}: SNR {snr:.0f}, alias {worst:.0f}, edge {edge:.3f}")


def conversions():
    rng = np.random.default_rng(0)
    f4 = rng.uniform(-0.9, 0.9, (480_000, 2)).astype("f4")
    i2 = (f4 * 32767).astype("i2")
    data = i2.tobytes()
    packed = g.convert(f4, "S24LE")

    def dithered():
        noise = rng.random(f4.shape, "f4") - rng.random(f4.shape, "f4")
        return np.clip(np.rint(f4 * np.float32(32768) + noise), -32768, 32767).astype("i2")

    def unpacked():
        wide = np.zeros((*packed.shape[:-1], 4), np.uint8)
        wide[..., 1:] = packed
        return wide.view("<i4")[..., 0] * np.float32(2**-31)

    rows = [
        ("int16 to float32", lambda: g.convert(i2, "f4"), "numpy", lambda: i2 * np.float32(1 / 32768)),
        ("float32 to int16", lambda: g.convert(f4, "i2", dither="none"), "numpy",
         lambda: np.clip(np.rint(f4 * np.float32(32768)), -32768, 32767).astype("i2")),
        ("float32 to int16, TPDF", lambda: g.convert(f4, "i2"), "numpy", dithered),
        ("packed 24 bits to float32", lambda: g.convert(packed, "f4", format="S24LE"), "numpy", unpacked),
        ("float32 stereo to mono", lambda: g.convert(f4, "f4", channels=1), "numpy", lambda: f4.mean(1, keepdims=True)),
        ("int16 frames to float32 planes", lambda: g.convert(i2, "f4", planar=True), "numpy",
         lambda: np.ascontiguousarray(i2.T) * np.float32(1 / 32768)),
    ]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import audioop as stock
        from gstrustaudio import audioop

        rows += [
            ("lin2lin, 2 to 4 bytes", lambda: audioop.lin2lin(data, 2, 4), "audioop", lambda: stock.lin2lin(data, 2, 4)),
            ("tomono, 2 bytes", lambda: audioop.tomono(data, 2, 0.5, 0.5), "audioop",
             lambda: stock.tomono(data, 2, 0.5, 0.5)),
            ("ratecv, 48 to 16 kHz", lambda: audioop.ratecv(data, 2, 2, 48000, 16000, None), "audioop",
             lambda: stock.ratecv(data, 2, 2, 48000, 16000, None)),
        ]
    except ImportError:
        print("(audioop is not installed)")
    av = module("av")
    if av:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(i2.reshape(1, -1)), "s16", "stereo")
        frame.sample_rate = 48000
        resampler = av.AudioResampler("fltp", "stereo", 48000)
        from gstrustaudio.pyav import process_frames

        rows.append(("AudioFrame s16 to fltp", lambda: list(process_frames([frame], format="fltp")), "PyAV",
                     lambda: resampler.resample(frame)))
    print("\n10 s of stereo at 48 kHz: ms of CPU time")
    ratios = []
    for name, ours, peer, theirs in rows:
        times = best([("a", ours), ("b", theirs)], 3 if QUICK else 20)
        ratio = times["b"] / times["a"]
        if peer == "numpy":
            ratios.append(ratio)
        print(f"  {name}: {times['a'] * 1e3:.2f}, {peer} {times['b'] * 1e3:.2f} ({ratio:.1f})")
    print(f"numpy / gstrustaudio: mean {np.exp(np.mean(np.log(ratios))):.1f}, least {min(ratios):.1f}")


def calls():
    def cost(function, number=20_000):
        return min(timeit.repeat(function, number=number, repeat=5)) / number * 1e6

    x, out = np.zeros((480, 2), np.int16), np.zeros((480, 2), np.float32)
    none, none_out = x[:0], out[:0]
    y = np.zeros((480, 2), np.float32)
    stream = g.ResampleStream(48000, 48000, 2)
    print("\nA call with 10 ms of stereo at 48 kHz, us")
    print(f"  np.copyto(out, x), int16 to float32: {cost(lambda: np.copyto(out, x)):.2f}")
    print(f"  convert(x, 'float32', out=out): {cost(lambda: g.convert(x, np.float32, out=out)):.2f}, "
          f"of no frames {cost(lambda: g.convert(none, np.float32, out=none_out)):.2f}")
    print(f"  convert(x, 'float32'): {cost(lambda: g.convert(x, np.float32)):.2f}")
    print(f"  resample_chunk of no frames: {cost(lambda: stream.resample_chunk(y[:0])):.2f}")
    print(f"  resample(x, 48000, 16000), whole: {cost(lambda: g.resample(y, 48000, 16000), 2000):.1f}"
          + (f", soxr {cost(lambda: soxr.resample(y, 48000, 16000), 2000):.1f}" if soxr else ""))


if __name__ == "__main__":
    print(f"numpy {np.__version__}, Python {sys.version.split()[0]}")
    if "--quality" not in sys.argv:
        calls()
        conversions()
        resampling()
    if "--speed" not in sys.argv:
        quality()
