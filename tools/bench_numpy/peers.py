"""Who else resamples arrays, each in the way that its documentation calls fastest: what can be made once is."""
from __future__ import annotations

import importlib
import importlib.metadata
import platform
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

import gstrustaudio as g

#: A function of (frames, channels) float32 to the same of another rate.
Resample = Callable[[Any], Any]
OURS = "gstrustaudio HQ"


def module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


soxr, signal, samplerate, audresample = map(module, ["soxr", "scipy.signal", "samplerate", "audresample"])
librosa, torch, quick, fast = map(module, ["librosa", "torch", "si_quick_resampler", "fast_audio_resampler"])
torchaudio = module("torchaudio.transforms") if torch else None
if torch:
    torch.set_num_threads(1)

_PACKAGES = [
    "gstrustaudio", "numpy", "soxr", "scipy", "samplerate", "audresample", "librosa", "torchaudio", "si-quick-resampler",
    "fast-audio-resampler", "av", "audioop-lts",
]


def versions() -> str:
    """Names and versions of what is compared."""
    found, missing = [], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if "audioop-lts" in missing and platform.python_version_tuple() < ("3", "13"):
        missing.remove("audioop-lts")
        found.append("audioop of the standard library")
    text = f"Python {platform.python_version()}, {', '.join(found)}."
    return text + (f" Not installed: {', '.join(missing)}." if missing else "")


def whole(a: int, b: int, channels: int) -> Dict[str, Resample]:
    """Resamplers of whole signals; each gets frames, and the layout that it takes is made outside of the time
    where it asks for another: see `prepared`."""
    common = int(np.gcd(a, b))
    found: Dict[str, Optional[Resample]] = {
        OURS: lambda x: g.resample(x, a, b),
        "soxr HQ": soxr and (lambda x: soxr.resample(x, a, b)),
        "librosa soxr_hq": librosa and (lambda x: librosa.resample(x, orig_sr=a, target_sr=b, axis=0)),
        "audresample high": audresample and _audresample(a, b),
        "samplerate medium": samplerate and (lambda x: samplerate.resample(x, b / a, "sinc_medium")),
        "si-quick high": quick and _quick(a, b),
        "fast-audio best": fast and _fast(a, b, channels),
        "torchaudio": torchaudio and _torchaudio(a, b),
        "torchaudio kaiser": torchaudio and _torchaudio(a, b, **KAISER_BEST),
        "scipy resample_poly": signal and (lambda x: signal.resample_poly(x, b // common, a // common)),
        "scipy resample": signal and (lambda x: signal.resample(x, round(len(x) * b / a))),
    }
    return {name: function for name, function in found.items() if function}


#: What torchaudio's documentation has for the quality of resampy's kaiser_best.
KAISER_BEST = {
    "lowpass_filter_width": 64, "rolloff": 0.9475937167399596, "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}


def _audresample(a: int, b: int) -> Resample:
    high = audresample.define.ResampleQuality.HIGH
    return lambda x: np.atleast_2d(audresample.resample(np.ascontiguousarray(x.T), a, b, quality=high)).T


def _quick(a: int, b: int) -> Resample:
    resampler = quick.QResampler(a, b, quality="high")
    return lambda x: resampler.resample(x, axis=0)


def _fast(a: int, b: int, channels: int) -> Resample:
    resampler = fast.F32Resampler(a, b, channels, quality="best")

    def run(x: Any) -> Any:
        head, _ = resampler.process(memoryview(np.ascontiguousarray(x).reshape(-1)))
        tail, _ = resampler.finish()
        resampler.reset()
        return np.asarray(head + tail, "f4").reshape(-1, channels)

    return run


def _torchaudio(a: int, b: int, **options: Any) -> Resample:
    transform = torchaudio.Resample(a, b, **options)
    return lambda x: transform(torch.from_numpy(x).T).T.numpy()


def streams(a: int, b: int, channels: int) -> Dict[str, Callable[[Any], Any]]:
    """Resamplers of chunks, made once."""
    found: Dict[str, Any] = {OURS: g.ResampleStream(a, b, channels).resample_chunk}
    if soxr:
        found["soxr HQ"] = soxr.ResampleStream(a, b, channels).resample_chunk
    if samplerate:
        converter = samplerate.Resampler("sinc_medium", channels=channels)
        found["samplerate medium"] = lambda x: converter.process(x, b / a)
    if quick:
        process = quick.QResampler(a, b, quality="high").stream(channels=channels, dtype="float32").process
        # One channel is a vector there.
        found["si-quick high"] = process if channels > 1 else lambda x: process(x[:, 0])
    if fast:
        resampler = fast.F32Resampler(a, b, channels, quality="best")
        found["fast-audio best"] = lambda x: np.asarray(resampler.process(memoryview(x.reshape(-1)))[0], "f4")
    return found


#: Peers that have no streams, or none that a program in Python can use.
WITHOUT_STREAMS: Tuple[str, ...] = ("librosa", "audresample", "torchaudio", "scipy")
