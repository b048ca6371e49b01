"""PyAV's audio frames in and out of the functions on arrays; needs av.

    from gstrustaudio.pyav import process_frames

    with av.open("speech.mp3") as source:
        for frame in process_frames(source.decode(audio=0), format="s16", layout="mono", rate=16000):
            ..."""
from __future__ import annotations

from fractions import Fraction
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple

import av
import numpy as np

from ._native import ResampleStream, convert

#: Sample formats of FFmpeg by their packed names.
_DTYPES = {"u8": "uint8", "s16": "int16", "s32": "int32", "flt": "float32", "dbl": "float64"}
#: From the narrowest to the widest.
_ORDER = ["u8", "s16", "s32", "flt", "dbl"]
#: Layouts whose channels lie as `convert` takes them to.
_MIXED = ["mono", "stereo", "quad", "5.1", "7.1"]
#: What files without a channel mask have.
_UNKNOWN = ["1 channels", "2 channels"]

_Key = Tuple[str, str, int]


def _packed(name: str) -> str:
    packed = name[:-1] if name.endswith("p") else name
    if packed not in _DTYPES:
        known = ", ".join(f"'{n}', '{n}p'" for n in _DTYPES)
        raise ValueError(f"format: expected one of {known}, got '{name}'")
    return packed


def to_array(frame: Any) -> Any:
    """The samples of an `av.AudioFrame`.

    Returns
    -------
    numpy.ndarray
        ``(samples, channels)`` of a packed frame, a view of its memory; ``(channels, samples)`` of a
        planar one, whose planes are copied together if there are several.
    """
    dtype = np.dtype(_DTYPES[_packed(frame.format.name)])
    channels = frame.layout.nb_channels
    planes = [np.frombuffer(plane, dtype) for plane in frame.planes]
    if not frame.format.is_planar:
        return planes[0][: frame.samples * channels].reshape(frame.samples, channels)
    if channels == 1:
        return planes[0][: frame.samples].reshape(1, -1)
    return np.stack([plane[: frame.samples] for plane in planes])


def to_frame(
    array: Any,
    format: str,
    layout: str,
    rate: int,
    pts: Optional[int] = None,
    time_base: Optional[Fraction] = None,
) -> Any:
    """An `av.AudioFrame` of samples.

    Parameters
    ----------
    array : numpy.ndarray
        ``(samples, channels)`` for a packed `format`, ``(channels, samples)`` for a planar one, of its
        dtype.
    format, layout : str
        FFmpeg's names, such as 'fltp' and 'stereo'.
    rate : int
        Hz.
    pts : int, optional
        Time of the first sample.
    time_base : Fraction, optional
        Of `pts`; None for ``1 / rate``.
    """
    dtype = np.dtype(_DTYPES[_packed(format)])
    planar = format.endswith("p")
    if array.dtype != dtype:
        raise TypeError(f"array: expected dtype {dtype} for format '{format}', got {array.dtype}")
    channels = av.AudioLayout(layout).nb_channels
    if array.ndim != 2 or array.shape[0 if planar else 1] != channels:
        expected = f"({channels}, samples)" if planar else f"(samples, {channels})"
        raise ValueError(f"array: expected shape {expected} for '{format}' and '{layout}', got {array.shape}")
    samples = array.shape[1 if planar else 0]
    frame = av.AudioFrame(format=format, layout=layout, samples=samples)
    for index, plane in enumerate(frame.planes):
        to = np.frombuffer(plane, dtype)
        to[: array.size // len(frame.planes)] = array[index] if planar else array.reshape(-1)
    frame.sample_rate = rate
    frame.pts = pts
    frame.time_base = time_base or Fraction(1, rate)
    return frame


def process_frames(
    frames: Iterable[Any],
    *,
    format: Optional[str] = None,
    layout: Optional[str] = None,
    rate: Optional[int] = None,
    quality: Any = "HQ",
    engine: Any = "auto",
    mix_matrix: Any = None,
    dither: Any = "tpdf",
    noise_shaping: Any = "none",
    function: Optional[Callable[[Any], Any]] = None,
) -> Iterator[Any]:
    """Convert, mix, resample and process the frames of a stream.

    What is not asked for stays: format, layout, rate, and where the rate stays pts and time base too.
    Else the time base is ``1 / rate``, and pts are those of the input to the nearest sample. A change
    of format in the stream, and a gap or step back of more than a sample, ends the signal before it:
    its tail comes out, and the next begins at its own time.

    Parameters
    ----------
    frames : iterable of av.AudioFrame
        As decoded. None in it, as PyAV gives at the end, is passed over.
    format, layout : str, optional
        FFmpeg's names, such as 's16' and 'mono'.
    rate : int, optional
        Hz.
    quality, engine
        As for `gstrustaudio.resample`.
    mix_matrix, dither, noise_shaping
        As for `gstrustaudio.convert`. The noise differs from frame to frame and is the same in each run.
    function : callable, optional
        Gets the samples of each frame, ``(samples, channels)`` or with a planar format ``(channels,
        samples)``, once they are converted; returns as many, of the same dtype.

    Yields
    ------
    av.AudioFrame

    Raises
    ------
    ValueError
        A format that is not known, or a layout that needs a `mix_matrix`.
    """
    line: Optional[_Line] = None
    wanted: Dict[str, Any] = {
        "format": format, "layout": layout, "rate": rate, "quality": quality, "engine": engine,
        "mix_matrix": mix_matrix, "dither": dither, "noise_shaping": noise_shaping, "function": function,
    }
    for frame in frames:
        if frame is None:
            continue
        if line is not None and not line.continues(frame):
            yield from line.finish()
            line = None
        if line is None:
            line = _Line(frame, **wanted)
        yield from line.push(frame)
    if line is not None:
        yield from line.finish()


def _key(frame: Any) -> _Key:
    return frame.format.name, frame.layout.name, frame.sample_rate


class _Line:
    """One signal on its way: frames of one kind without gaps."""

    def __init__(self, first: Any, **wanted: Any) -> None:
        self.key = _key(first)
        name, layout, rate = self.key
        self.wanted = wanted
        self.format: str = wanted["format"] or name
        self.layout: str = wanted["layout"] or layout
        self.rate: int = wanted["rate"] or rate
        #: When the first sample is, in seconds.
        self.start = None if first.pts is None else first.pts * Fraction(first.time_base)
        self.samples_in = self.samples_out = self.calls = 0
        self.channels = av.AudioLayout(self.layout).nb_channels
        self._check_mix(layout)
        # Rates are converted in the wider of the formats, and not in 8 bits.
        work = max(_packed(name), _packed(self.format), key=_ORDER.index)
        self.stream: Optional[ResampleStream] = None
        self.work = self.format
        if self.rate != rate:
            work = "flt" if work == "u8" else work
            self.work = work + ("p" if self.format.endswith("p") else "")
            self.stream = ResampleStream(
                rate, self.rate, self.channels, _DTYPES[work], wanted["quality"], engine=wanted["engine"]
            )

    def _check_mix(self, layout: str) -> None:
        if layout == self.layout or self.wanted["mix_matrix"] is not None:
            return
        if av.AudioLayout(layout).nb_channels == self.channels:
            return
        for name in (layout, self.layout):
            if name not in _MIXED + _UNKNOWN:
                known = ", ".join(f"'{n}'" for n in _MIXED)
                raise ValueError(f"layout: '{layout}' to '{self.layout}' needs a mix_matrix; without go {known}")

    def continues(self, frame: Any) -> bool:
        if _key(frame) != self.key:
            return False
        if self.start is None or frame.pts is None:
            return True
        at = frame.pts * Fraction(frame.time_base)
        expected = self.start + Fraction(self.samples_in, frame.sample_rate)
        # Times are rounded to the time base.
        return bool(abs(at - expected) <= max(Fraction(frame.time_base), Fraction(1, frame.sample_rate)))

    def push(self, frame: Any) -> Iterator[Any]:
        self.samples_in += frame.samples
        x = self._convert(to_array(frame), frame.format.name, frame.layout.name, self.work)
        if self.stream is None:
            yield self._frame(x, frame.pts, frame.time_base)
            return
        yield from self._resampled(x, False)

    def finish(self) -> Iterator[Any]:
        if self.stream is not None:
            planar = self.work.endswith("p")
            empty = np.zeros((self.channels, 0) if planar else (0, self.channels), _DTYPES[_packed(self.work)])
            yield from self._resampled(empty, True)

    def _resampled(self, x: Any, last: bool) -> Iterator[Any]:
        assert self.stream is not None
        planar = self.work.endswith("p")
        y = self.stream.resample_chunk(x.T if planar else x, last)
        if len(y):
            y = self._convert(y.T if planar else y, self.work, self.layout, self.format)
            pts = None if self.start is None else round(self.start * self.rate) + self.samples_out
            self.samples_out += y.shape[1 if self.format.endswith("p") else 0]
            yield self._frame(y, pts, Fraction(1, self.rate))

    def _convert(self, x: Any, source: str, layout: str, target: str) -> Any:
        mixes = layout != self.layout
        if source == target and not mixes:
            return x
        self.calls += 1
        return convert(
            x,
            _DTYPES[_packed(target)],
            self.channels if mixes else None,
            self.wanted["mix_matrix"] if mixes else None,
            self.wanted["dither"],
            self.wanted["noise_shaping"],
            axis=1 if source.endswith("p") else 0,
            planar=target.endswith("p"),
            rate=self.rate,
            seed=self.calls,
        )

    def _frame(self, x: Any, pts: Optional[int], time_base: Any) -> Any:
        function = self.wanted["function"]
        if function is not None:
            y = function(x)
            if y.shape != x.shape or y.dtype != x.dtype:
                raise ValueError(
                    f"function: expected to return {x.dtype} of shape {x.shape}, got {y.dtype} of shape {y.shape}"
                )
            x = y
        return to_frame(x, self.format, self.layout, self.rate, pts, time_base)
