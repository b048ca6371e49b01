# SPDX-License-Identifier: MIT
"""Where somebody speaks, in arrays: the detectors of the element ``rustvad``.

Audio is ``(frames,)`` or ``(frames, channels)``, at any rate from 8 kHz, of int8, uint8, int16, uint16, int32,
uint32, float32 or float64; full scale is 1.0, or the largest integer. Arrays are read where they lie if the
samples of a frame, or those of a channel, lie side by side. Several channels make one decision, by their
mean. NaN counts as 0, and what is more than 24 dB over full scale as that. The GIL is released.
"""
from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, Literal, NamedTuple, NoReturn, Optional, Tuple, Union, cast, overload

from numpy import float32
from numpy.typing import ArrayLike, NDArray

from . import _native

#: Who listens: Silero's network; that one joined with features of the spectrum by a network of its own;
#: features of the spectrum alone; the level alone.
DetectorName = Literal["silero", "neural", "spectral", "energy"]



class SpeechEdge(NamedTuple):
    """Speech starts or ends.

    Attributes
    ----------
    speech : bool
        True where it starts.
    sample : int
        First frame of what starts here, counted from the start of the stream, padding included.
    time : float
        The same in seconds.
    segment : int
        Number of the segment, from 1.
    start : int
        First frame of the segment that starts or ends here.
    probability, level, noise_floor : float
        Of the 10 ms frame where the detector changed its mind: probability of speech, level and noise floor
        in dBFS.
    segment_level : float, optional
        Level of the whole segment that ended in dBFS; None at a start.
    """

    speech: bool
    sample: int
    time: float
    segment: int
    start: int
    probability: float
    level: float
    noise_floor: float
    segment_level: Optional[float]


class SpeechChunk(NamedTuple):
    """What a chunk decided.

    Attributes
    ----------
    probabilities : numpy.ndarray of float32, shape (n,)
        Of speech in the frames of 10 ms that can be told now, in order, without a gap between chunks.
    edges : list of SpeechEdge
        Those that are certain now.
    """

    probabilities: NDArray[float32]
    edges: List[SpeechEdge]


def _choice(
    detector: str, look_ahead_ms: Optional[int], usual: int, energy_threshold: float
) -> Tuple[str, int, float]:
    ahead = usual if look_ahead_ms is None else look_ahead_ms
    return detector, 0 if detector == "energy" else ahead, energy_threshold


def _release(threshold: float, neg_threshold: Optional[float]) -> float:
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold: expected 0 to 1, got {threshold!r}")
    if neg_threshold is None:
        return max(threshold - 0.15, 0.01)
    if not 0 <= neg_threshold <= 1:
        raise ValueError(f"neg_threshold: expected 0 to 1, got {neg_threshold!r}")
    return neg_threshold


def _time(name: str, value: float, unit: float) -> float:
    """``value`` in seconds."""
    if not value >= 0:
        raise ValueError(f"{name}: expected 0 or more, got {value!r}")
    # A whole number may be beyond all floats.
    return value * unit if value < 1e300 else math.inf


def probabilities(
    x: ArrayLike,
    rate: int,
    *,
    detector: DetectorName = "neural",
    look_ahead_ms: Optional[int] = None,
    energy_threshold: float = -30.0,
) -> NDArray[float32]:
    """Probability of speech in each 10 ms of a recording.

    Parameters
    ----------
    x : array_like, shape (frames,) or (frames, channels)
        Samples.
    rate : int
        Sample rate in Hz, from 8000.
    detector : {'silero', 'neural', 'spectral', 'energy'}
        Who listens.
    look_ahead_ms : {0, 30, 60, 100}, optional
        How much audio after a frame its probability hears; ``spectral`` has no 60. By default 100, the truest.
    energy_threshold : float
        For ``energy``, in dBFS, from -120 to 0: the probability is 1 at or above it, else 0.

    Returns
    -------
    numpy.ndarray of float32, shape (n,)
        One for each whole 10 ms: frame ``k`` starts at sample ``k * rate / 100``, rounded half up.

    Raises
    ------
    TypeError, ValueError
        For a dtype, shape, rate or choice that there is none of, with what came and what was expected.

    Examples
    --------
    >>> import numpy as np
    >>> from gstrustaudio import probabilities
    >>> silence = np.zeros(16_000, np.int16)
    >>> p = probabilities(silence, 16_000)
    >>> p.shape, p.dtype, bool(p.max() < 0.5)
    ((100,), dtype('float32'), True)
    """
    return _native.probabilities(x, rate, _choice(detector, look_ahead_ms, 100, energy_threshold))


@overload
def speech_timestamps(
    x: ArrayLike, rate: int = ..., *, threshold: float = ..., min_speech_duration_ms: float = ...,
    max_speech_duration_s: float = ..., min_silence_duration_ms: float = ..., speech_pad_ms: float = ...,
    return_seconds: Literal[False] = ..., time_resolution: int = ...,
    progress_tracking_callback: Optional[Callable[[float], object]] = ...,
    neg_threshold: Optional[float] = ..., min_silence_at_max_speech: float = ...,
    use_max_poss_sil_at_max_speech: bool = ..., detector: DetectorName = ...,
    look_ahead_ms: Optional[int] = ..., energy_threshold: float = ...,
) -> List[Dict[str, int]]: ...
@overload
def speech_timestamps(
    x: ArrayLike, rate: int = ..., *, threshold: float = ..., min_speech_duration_ms: float = ...,
    max_speech_duration_s: float = ..., min_silence_duration_ms: float = ..., speech_pad_ms: float = ...,
    return_seconds: bool = ..., time_resolution: int = ...,
    progress_tracking_callback: Optional[Callable[[float], object]] = ...,
    neg_threshold: Optional[float] = ..., min_silence_at_max_speech: float = ...,
    use_max_poss_sil_at_max_speech: bool = ..., detector: DetectorName = ...,
    look_ahead_ms: Optional[int] = ..., energy_threshold: float = ...,
) -> Union[List[Dict[str, int]], List[Dict[str, float]]]: ...
def speech_timestamps(
    x: ArrayLike,
    rate: int = 16_000,
    *,
    threshold: float = 0.5,
    min_speech_duration_ms: float = 250,
    max_speech_duration_s: float = math.inf,
    min_silence_duration_ms: float = 100,
    speech_pad_ms: float = 30,
    return_seconds: bool = False,
    time_resolution: int = 1,
    progress_tracking_callback: Optional[Callable[[float], object]] = None,
    neg_threshold: Optional[float] = None,
    min_silence_at_max_speech: float = 98,
    use_max_poss_sil_at_max_speech: bool = True,
    detector: DetectorName = "neural",
    look_ahead_ms: Optional[int] = None,
    energy_threshold: float = -30.0,
) -> Any:
    """Where somebody speaks in a recording. Parameters, their defaults and what is returned are those of
    ``get_speech_timestamps`` of silero-vad 6; its rules make the segments, of probabilities per 10 ms.

    Parameters
    ----------
    x : array_like, shape (frames,) or (frames, channels)
        Samples.
    rate : int
        Sample rate in Hz, from 8000; Silero's ``sampling_rate``.
    threshold : float
        Speech at or above this probability.
    min_speech_duration_ms : float
        Segments that are not longer are dropped.
    max_speech_duration_s : float
        Longer segments are cut at a silence in them, or else where they get too long.
    min_silence_duration_ms : float
        Shorter silences belong to the segment around them.
    speech_pad_ms : float
        What segments are extended by on both sides, as far as there is silence between them.
    return_seconds : bool
        Seconds in place of sample numbers.
    time_resolution : int
        Decimals of those seconds.
    progress_tracking_callback : callable, optional
        Is called with percents every ten seconds of audio. What it raises ends the work.
    neg_threshold : float, optional
        Silence below this probability; by default ``threshold - 0.15``, but not below 0.01.
    min_silence_at_max_speech : float
        Silences longer than so many ms may be cut at.
    use_max_poss_sil_at_max_speech : bool
        Cut at the longest of those; else at the last.
    detector, look_ahead_ms, energy_threshold
        As in `probabilities`.

    Returns
    -------
    list of dict
        ``{'start': first frame, 'end': first frame after it}`` for each segment, in order.

    Raises
    ------
    TypeError, ValueError
        For a dtype, shape, rate or choice that there is none of, with what came and what was expected.

    Examples
    --------
    >>> import numpy as np
    >>> from gstrustaudio import speech_timestamps
    >>> t = np.arange(3 * 16_000) / 16_000
    >>> tone = np.where((t >= 1) & (t < 2), np.sin(2 * np.pi * 440 * t), 0)
    >>> speech_timestamps(tone, 16_000, detector="energy", return_seconds=True)
    [{'start': 1.0, 'end': 2.0}]
    >>> speech_timestamps(tone, 16_000, detector="energy")
    [{'start': 15520, 'end': 32480}]
    """
    rules = (
        threshold,
        _release(threshold, neg_threshold),
        _time("min_speech_duration_ms", min_speech_duration_ms, 1e-3),
        _time("max_speech_duration_s", max_speech_duration_s, 1.0),
        _time("min_silence_duration_ms", min_silence_duration_ms, 1e-3),
        _time("speech_pad_ms", speech_pad_ms, 1e-3),
        _time("min_silence_at_max_speech", min_silence_at_max_speech, 1e-3),
        use_max_poss_sil_at_max_speech,
    )
    choice = _choice(detector, look_ahead_ms, 100, energy_threshold)
    length, found = _native.speech_times(x, rate, choice, rules, progress_tracking_callback)
    if not return_seconds:
        return [{"start": start, "end": end} for start, end in found]
    return [
        {"start": round(start / rate, time_resolution),
         "end": min(round(end / rate, time_resolution), length / rate)}
        for start, end in found
    ]


class SpeechDetector:
    """Hears a stream by chunks of any size: probabilities per 10 ms, and the edges of segments as they become
    certain. Rules and their defaults are those of the element ``rustvad``.

    Parameters
    ----------
    rate : int
        Sample rate in Hz, from 8000.
    channels : int
        Channels of each chunk.
    detector : {'silero', 'neural', 'spectral', 'energy'}
        Who listens.
    look_ahead_ms : {0, 30, 60, 100}, optional
        How much audio after a frame its probability hears, which is delay; by default 30.
    threshold, neg_threshold : float
        Speech at or above the one, silence below the other; by default 0.15 less.
    min_speech_duration_ms, min_silence_duration_ms : float
        Speech that makes a segment start, and silence that makes it end, up to 60000; in steps of 10 ms.
    speech_pad_ms : float
        What segments are extended by on both sides, up to 60000.
    max_speech_duration_s : float
        Longer segments are cut there, into ones that touch.
    energy_threshold : float
        For ``energy``, in dBFS, from -120 to 0.

    Notes
    -----
    One stream has one detector. A second thread that uses it at the same time gets a RuntimeError.

    Examples
    --------
    >>> import numpy as np
    >>> from gstrustaudio import SpeechDetector
    >>> t = np.arange(16_000) / 16_000
    >>> tone = np.where((t >= 0.25) & (t < 0.75), np.sin(2 * np.pi * 440 * t), 0).astype(np.float32)
    >>> detector = SpeechDetector(16_000, detector="energy")
    >>> for n in range(0, 16_000, 1000):
    ...     for edge in detector.push(tone[n:n + 1000]).edges:
    ...         print("start" if edge.speech else "end", edge.time)
    start 0.22
    end 0.78
    >>> detector.flush().edges
    []
    """

    def __init__(
        self,
        rate: int,
        channels: int = 1,
        *,
        detector: DetectorName = "neural",
        look_ahead_ms: Optional[int] = None,
        threshold: float = 0.5,
        neg_threshold: Optional[float] = None,
        min_speech_duration_ms: float = 100,
        min_silence_duration_ms: float = 150,
        speech_pad_ms: float = 30,
        max_speech_duration_s: float = math.inf,
        energy_threshold: float = -30.0,
    ) -> None:
        self.rate = rate
        self.channels = channels
        times = (
            _rule("min_speech_duration_ms", min_speech_duration_ms),
            _rule("min_silence_duration_ms", min_silence_duration_ms),
            _rule("speech_pad_ms", speech_pad_ms),
            _longest("max_speech_duration_s", max_speech_duration_s),
        )
        self._native = _native.Detector(
            rate, channels, _choice(detector, look_ahead_ms, 30, energy_threshold),
            (threshold, _release(threshold, neg_threshold)), times)

    def __reduce__(self) -> NoReturn:
        # A copy that copy.copy made would hear with the same ears.
        raise TypeError("a SpeechDetector is in the midst of its stream and cannot be copied or pickled: make another one")

    def push(self, x: ArrayLike) -> SpeechChunk:
        """Takes the next chunk.

        Parameters
        ----------
        x : array_like, shape (frames,) or (frames, channels)
            Samples, of the dtype of the first chunk.

        Returns
        -------
        SpeechChunk
            What it decided; on the whole the same, however the stream is cut.
        """
        probabilities, edges = self._native.push(x)
        return _chunk(SpeechChunk, (probabilities, self._edges(edges) if edges else []))

    def flush(self) -> SpeechChunk:
        """Ends the stream: what waits is decided, and an open segment ends where the audio does. What comes
        next is another recording, at sample 0, whose segments are counted on."""
        probabilities, edges = self._native.flush()
        return SpeechChunk(probabilities, self._edges(edges))

    def reset(self) -> None:
        """Starts afresh: at sample 0 and segment 1, with nothing learnt."""
        self._native.reset()

    @property
    def position(self) -> int:
        """Frames taken."""
        return self._native.state()[0]

    @property
    def decided(self) -> int:
        """All frames before this one are known to be speech or not."""
        return self._native.state()[1]

    @property
    def speech(self) -> bool:
        """In a segment, as far as is decided."""
        return self._native.state()[2]

    @property
    def delay(self) -> int:
        """Frames after one that it takes at most to decide about it, the rest of its 10 ms left out."""
        return self._native.state()[3]

    def _edges(self, edges: List[_native._Edge]) -> List[SpeechEdge]:
        rate = self.rate
        return [
            SpeechEdge(speech, sample, sample / rate, segment, start, probability, level, floor, whole)
            for speech, sample, segment, start, whole, probability, level, floor in edges
        ]


# Half of what a push costs would go into a named tuple's own constructor.
_chunk = cast("Callable[..., SpeechChunk]", tuple.__new__)


#: Longest time in ms that a rule of a stream takes, as the element's: what it asks for is held in memory.
_LONGEST_RULE = 60_000


def _rule(name: str, ms: float) -> int:
    """``ms`` in ns."""
    if not 0 <= ms <= _LONGEST_RULE:
        raise ValueError(f"{name}: expected 0 to {_LONGEST_RULE} ms, got {ms!r}")
    return round(ms * 1e6)


def _longest(name: str, seconds: float) -> int:
    """``seconds`` in ns; the largest is none."""
    given = _time(name, seconds, 1.0)
    return 2**64 - 1 if given > 1e10 else round(given * 1e9)
