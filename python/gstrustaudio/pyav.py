# SPDX-License-Identifier: MIT
"""PyAV's audio frames in and out of the functions on arrays; needs av.

    from gstrustaudio.pyav import process_frames

    with av.open("speech.mp3") as source:
        for frame in process_frames(source.decode(audio=0), format="s16", layout="mono", rate=16000):
            ..."""
from __future__ import annotations

from fractions import Fraction
from operator import index
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import av
import numpy as np

from . import _native

#: Sample formats of FFmpeg by their packed names.
_DTYPES = {"u8": "uint8", "s16": "int16", "s32": "int32", "flt": "float32", "dbl": "float64"}
#: From the narrowest to the widest.
_ORDER = ["u8", "s16", "s32", "flt", "dbl"]
#: Layouts whose channels lie as `convert` takes them to.
_MIXED = ["mono", "stereo", "quad", "5.1", "7.1"]
#: What files without a channel mask have.
_UNKNOWN = ["1 channels", "2 channels"]

_Key = Tuple[str, str, int]


def _name(of: Any) -> Any:
    """FFmpeg's name of a format or layout, which PyAV has objects for, too."""
    return getattr(of, "name", of)


def _rate(rate: Any) -> int:
    """A rate that a caller gave."""
    try:
        hertz = index(rate)
    except TypeError:
        raise TypeError(f"rate: expected a whole number of Hz, got {rate!r}") from None
    if not 0 < hertz < 2**31:
        raise ValueError(f"rate: expected 1 Hz to 2147483647 Hz, got {hertz}")
    return hertz


def _packed(name: str) -> str:
    packed = name[:-1] if name.endswith("p") else name
    if packed not in _DTYPES:
        known = ", ".join(f"'{n}', '{n}p'" for n in _DTYPES)
        raise ValueError(f"format: expected one of {known}, got '{name}'")
    return packed


def to_array(frame: Any) -> Any:
    """The samples of an `av.AudioFrame`.

    Parameters
    ----------
    frame : av.AudioFrame
        Of a format 'u8', 's16', 's32', 'flt' or 'dbl', packed or planar.

    Returns
    -------
    numpy.ndarray
        ``(samples, channels)`` of a packed frame, ``(channels, samples)`` of a planar one. A view of the
        frame's memory where that is one piece: packed, of one channel, or made by PyAV; planes that lie
        apart, as decoders make them, are copied together.

    Raises
    ------
    ValueError
        The format is another.

    Examples
    --------
    >>> import av
    >>> frame = av.AudioFrame(format='s16', layout='stereo', samples=480)
    >>> to_array(frame).shape, to_array(frame).dtype
    ((480, 2), dtype('int16'))
    """
    dtype = np.dtype(_DTYPES[_packed(frame.format.name)])
    channels, samples = frame.layout.nb_channels, frame.samples
    if not frame.format.is_planar:
        return _whole(frame, dtype).reshape(samples, channels)
    if _is_whole(frame, dtype):
        return _whole(frame, dtype).reshape(channels, samples)
    return np.stack(_planes(frame, dtype))


def _planes(frame: Any, dtype: Any) -> List[Any]:
    """An array for each plane: views."""
    samples = frame.samples
    if not samples:
        return [np.empty(0, dtype)] * (frame.layout.nb_channels if frame.format.is_planar else 1)
    if not frame.format.is_planar:
        samples *= frame.layout.nb_channels
    return [np.frombuffer(plane, dtype, samples) for plane in frame.planes]


class _Memory:
    """The planes of a frame that lie side by side, as numpy makes an array of them."""

    def __init__(self, frame: Any, address: int, dtype: Any, samples: int) -> None:
        self.frame = frame
        self.__array_interface__ = {
            "data": (address, False), "shape": (samples,), "typestr": dtype.str, "version": 3,
        }


def _is_whole(frame: Any, dtype: Any) -> bool:
    """Whether the planes of a planar frame follow each other without gaps. Two pieces of memory never do:
    something of the allocator's is between them."""
    bytes_each = frame.samples * dtype.itemsize
    starts = [plane.buffer_ptr for plane in frame.planes]
    return all(b - a == bytes_each for a, b in zip(starts, starts[1:]))


def _whole(frame: Any, dtype: Any) -> Any:
    """All samples of a frame in the order of its memory, which is one piece: a view, to be written to too."""
    samples = frame.samples * frame.layout.nb_channels
    if not samples:
        return np.empty(0, dtype)
    planes = frame.planes
    if len(planes) == 1:
        return np.frombuffer(planes[0], dtype, samples)
    return np.asarray(_Memory(frame, planes[0].buffer_ptr, dtype, samples))


def to_frame(
    array: Any,
    format: Union[str, av.AudioFormat],
    layout: Union[str, av.AudioLayout],
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
    format, layout : str, av.AudioFormat, av.AudioLayout
        FFmpeg's names, such as 'fltp' and 'stereo', or PyAV's objects.
    rate : int
        Hz.
    pts : int, optional
        Time of the first sample.
    time_base : Fraction, optional
        Of `pts`; None for ``1 / rate``.

    Returns
    -------
    av.AudioFrame
        Its memory is its own.

    Raises
    ------
    TypeError
        The array's dtype is not the format's.
    ValueError
        A format that is not known, or a shape that does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> frame = to_frame(np.zeros((2, 480), np.float32), 'fltp', 'stereo', 48000, pts=960)
    >>> frame.samples, frame.pts, frame.time_base
    (480, 960, Fraction(1, 48000))
    """
    format, layout, rate = _name(format), _name(layout), _rate(rate)
    dtype = np.dtype(_DTYPES[_packed(format)])
    planar = format.endswith("p")
    array = np.asarray(array)
    if array.dtype != dtype:
        raise TypeError(f"array: expected dtype {dtype} for format '{format}', got {array.dtype}")
    channels = av.AudioLayout(layout).nb_channels
    if array.ndim != 2 or array.shape[0 if planar else 1] != channels:
        expected = f"({channels}, samples)" if planar else f"(samples, {channels})"
        raise ValueError(f"array: expected shape {expected} for '{format}' and '{layout}', got {array.shape}")
    frame = _frame(format, layout, array.shape[1 if planar else 0], rate, pts, time_base or Fraction(1, rate))
    whole = _whole(frame, dtype)
    whole.reshape(array.shape)[...] = array
    return frame


def _frame(format: str, layout: str, samples: int, rate: int, pts: Optional[int], time_base: Any) -> Any:
    """A new frame, whose memory is one piece."""
    frame = av.AudioFrame(format, layout, samples)
    frame.sample_rate = rate
    frame.pts = pts
    frame.time_base = time_base
    return frame


def process_frames(
    frames: Iterable[Any],
    *,
    format: Union[str, av.AudioFormat, None] = None,
    layout: Union[str, av.AudioLayout, None] = None,
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
    Else the time base is ``1 / rate``, and pts are those of the input to the nearest sample. Frames that
    nothing is to be done to are passed on themselves. Planes are read where they lie. A change
    of format in the stream, and a gap or step back of more than a sample, ends the signal before it:
    its tail comes out, and the next begins at its own time.

    Parameters
    ----------
    frames : iterable of av.AudioFrame
        As decoded. None in it, as PyAV gives at the end, is passed over.
    format, layout : str, av.AudioFormat, av.AudioLayout, optional
        FFmpeg's names, such as 's16' and 'mono', or PyAV's objects.
    rate : int, optional
        Hz.
    quality, engine
        As for `gstrustaudio.resample`.
    mix_matrix, dither, noise_shaping
        As for `gstrustaudio.convert`. Noise and its shaping go on from frame to frame, and are the same in
        each run.
    function : callable, optional
        Gets the samples of each frame, ``(samples, channels)`` or with a planar format ``(channels,
        samples)``, once they are converted; returns as many, of the same dtype. It may change those that
        it got and return them.

    Yields
    ------
    av.AudioFrame

    Raises
    ------
    TypeError
        What is no frame of audio, or a rate that is no whole number.
    ValueError
        A format that is not known, a rate that there is none of, or a layout that needs a `mix_matrix`.

    Examples
    --------
    >>> import numpy as np
    >>> frames = [to_frame(np.zeros((4800, 2), np.int16), 's16', 'stereo', 48000, 4800 * n) for n in range(10)]
    >>> heard = list(process_frames(frames, format='fltp', layout='mono', rate=16000))
    >>> sum(frame.samples for frame in heard), heard[0].format.name, heard[0].layout.name
    (16000, 'fltp', 'mono')
    """
    line: Optional[_Line] = None
    wanted: Dict[str, Any] = {
        "format": _name(format), "layout": _name(layout), "rate": None if rate is None else _rate(rate), "quality": quality, "engine": engine,
        "mix_matrix": mix_matrix, "dither": dither, "noise_shaping": noise_shaping, "function": function,
    }
    for frame in frames:
        if frame is None:
            continue
        if not isinstance(frame, av.AudioFrame):
            raise TypeError(f"frames: expected av.AudioFrame, got {type(frame).__name__}")
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
        self.format: str = wanted["format"] or name
        self.layout: str = wanted["layout"] or layout
        self.rate: int = wanted["rate"] or rate
        self.function = wanted["function"]
        self.source = np.dtype(_DTYPES[_packed(name)])
        self.target = np.dtype(_DTYPES[_packed(self.format)])
        self.channels = av.AudioLayout(self.layout).nb_channels
        self.planar = self.format.endswith("p")
        #: When the first sample is, in ticks of a time base.
        self.start: Optional[int] = first.pts
        self.time_base = Fraction(first.time_base or Fraction(1, rate))
        self.step = Fraction(1, self.rate)
        self.samples_in = self.samples_out = 0
        _check_mix(layout, self.layout, self.channels, wanted["mix_matrix"])
        self.resamples = self.rate != rate
        changed = self.key[:2] != (self.format, self.layout) or self.resamples
        self.native = self._line(first.layout.nb_channels, wanted) if changed else None

    def _line(self, channels: int, wanted: Dict[str, Any]) -> _native.Line:
        name, layout, rate = self.key
        # Rates are converted in the wider of the formats, and not in 8 bits.
        work = max(_packed(name), _packed(self.format), key=_ORDER.index)
        work = "flt" if work == "u8" else work
        return _native.Line(
            (self.source, channels, name.endswith("p")),
            (self.target, self.channels, self.planar),
            wanted["mix_matrix"] if layout != self.layout else None,
            (wanted["dither"], wanted["noise_shaping"], self.rate),
            (rate, self.rate, wanted["quality"], wanted["engine"], _DTYPES[work]) if self.resamples else None,
        )

    def continues(self, frame: Any) -> bool:
        if _key(frame) != self.key:
            return False
        if self.start is None or frame.pts is None:
            return True
        at, base, other = frame.pts, self.time_base, frame.time_base
        if other is not None and other != base:
            at = at * other / base
        # Both in units of 1 / (denominator * rate); times are rounded to the time base.
        tick, sample = base.numerator * self.key[2], base.denominator
        return bool(abs((at - self.start) * tick - self.samples_in * sample) <= max(tick, sample))

    def push(self, frame: Any) -> Iterator[Any]:
        self.samples_in += frame.samples
        if self.resamples:
            assert self.native is not None
            yield from self._pulled(self.native.push(_planes(frame, self.source)))
        elif self.native is None and self.function is None:
            yield frame
        else:
            made = _frame(self.format, self.layout, frame.samples, self.rate, frame.pts, frame.time_base or self.step)
            whole = _whole(made, self.target)
            if self.native is not None:
                self.native.convert(_planes(frame, self.source), whole)
            else:
                self._shaped(whole)[...] = to_array(frame)
            yield self._called(made, whole)

    def finish(self) -> Iterator[Any]:
        if self.resamples:
            assert self.native is not None
            yield from self._pulled(self.native.finish())

    def _pulled(self, samples: int) -> Iterator[Any]:
        if samples:
            pts = None if self.start is None else round(self.start * self.time_base * self.rate) + self.samples_out
            made = _frame(self.format, self.layout, samples, self.rate, pts, self.step)
            whole = _whole(made, self.target)
            assert self.native is not None
            self.native.pull(whole)
            self.samples_out += samples
            yield self._called(made, whole)

    def _shaped(self, whole: Any) -> Any:
        return whole.reshape((self.channels, -1) if self.planar else (-1, self.channels))

    def _called(self, frame: Any, whole: Any) -> Any:
        """The frame with what the caller's function makes of its samples."""
        if self.function is not None:
            x = self._shaped(whole)
            y = self.function(x)
            if not isinstance(y, np.ndarray) or y.shape != x.shape or y.dtype != x.dtype:
                got = f"{y.dtype} of shape {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
                raise ValueError(f"function: expected to return {x.dtype} of shape {x.shape}, got {got}")
            if y is not x:
                x[...] = y
        return frame


def _check_mix(source: str, target: str, channels: int, mix_matrix: Any) -> None:
    if source == target or mix_matrix is not None or av.AudioLayout(source).nb_channels == channels:
        return
    for name in (source, target):
        if name not in _MIXED + _UNKNOWN:
            known = ", ".join(f"'{n}'" for n in _MIXED)
            raise ValueError(f"layout: '{source}' to '{target}' needs a mix_matrix; without go {known}")
