"""Detectors to compare: each turns signals into probabilities of speech per 10 ms."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from make import view
from model import LOOK_AHEADS, Net, predict
from silero import HOP, WINDOW, Silero, logit

Signals = list[np.ndarray]
#: Frames of 10 ms: probabilities of each signal.
Course = list[np.ndarray]


@dataclass
class Detector:
    """`run` gives one probability per frame of 10 ms, known `look_ahead_ms` after the frame's end."""

    name: str
    look_ahead_ms: int
    run: Callable[[Signals], Course]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


class Hearing:
    """What Silero and the front end make of signals, kept for the last ones that were asked for: all
    detectors of one condition share it."""

    def __init__(self, silero: Silero, size: int = 15) -> None:
        self.silero, self.size = silero, size
        self.signals: Signals | None = None
        self.batches: list[tuple[list[int], dict[str, np.ndarray]]] = []
        self.outputs: dict[int, list[np.ndarray]] = {}

    def hear(self, signals: Signals) -> None:
        """Takes up other signals, if these are others."""
        if signals is self.signals:
            return
        self.signals, self.batches, self.outputs = signals, [], {}
        order = sorted(range(len(signals)), key=lambda i: len(signals[i]))
        for at in range(0, len(order), self.size):
            some = order[at : at + self.size]
            # Room for the look-ahead after the end.
            longest = max(len(signals[i]) for i in some) + 2 * WINDOW + 10 * HOP
            x = np.stack([np.pad(signals[i], (0, longest - len(signals[i]))) for i in some])
            plain = logit(self.silero.run(x)[0])
            self.batches.append((some, view(self.silero, x) | {"plain": plain}))

    def network(self, net: Net) -> list[np.ndarray]:
        """Logits [signals, frames, heads] of each batch."""
        if id(net) not in self.outputs:
            self.outputs[id(net)] = [predict(net, v) for _, v in self.batches]
        return self.outputs[id(net)]

    def course(self, rows: list[np.ndarray]) -> Course:
        """Logits [signals, frames] of each batch as probabilities of each signal."""
        assert self.signals is not None
        out: Course = [np.zeros(0)] * len(self.signals)
        for (some, _), logits in zip(self.batches, rows):
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

    def run(signals: Signals) -> Course:
        hearing.hear(signals)
        logits = [v["logit" if tracker else "plain"].astype(np.float64) for _, v in hearing.batches]
        frames = [v["own"].shape[1] for _, v in hearing.batches]
        return hearing.course([on_frames(x, n, look_ahead) for x, n in zip(logits, frames)])

    return Detector("Silero behind the tracker" if tracker else "Silero", 10 * look_ahead, run)


def load(path: Path) -> Net:
    net = Net()
    net.load_state_dict(torch.load(path))
    return net.eval()


def network_detector(hearing: Hearing, net: Net, look_ahead: int, name: str = "neural") -> Detector:
    """The trained network."""
    head = LOOK_AHEADS.index(look_ahead)

    def run(signals: Signals) -> Course:
        hearing.hear(signals)
        return hearing.course([out[:, look_ahead:, head] for out in hearing.network(net)])

    return Detector(name, 10 * look_ahead, run)


def shifted(p: np.ndarray, frames: int) -> np.ndarray:
    """p known `frames` later than its frame: what is said at the end of frame t + frames is for t."""
    return np.concatenate([p[frames:], np.full(min(frames, len(p)), p[-1])])


def webrtc_detector(look_ahead: int = 0, mode: int = 3) -> Detector:
    """The WebRTC project's detector: yes or no."""
    import webrtcvad

    def one(x: np.ndarray) -> np.ndarray:
        vad = webrtcvad.Vad(mode)
        pcm = np.clip(np.round(x * 32767), -32768, 32767).astype("<i2")
        frames = range(len(pcm) // HOP)
        said = [vad.is_speech(pcm[i * HOP : (i + 1) * HOP].tobytes(), 16_000) for i in frames]
        return shifted(np.array(said, float), look_ahead)

    return Detector("WebRTC", 10 * look_ahead, lambda signals: [one(x) for x in signals])


def ten_detector(look_ahead: int) -> Detector:
    """TEN VAD, hop 160."""
    from ten_vad import TenVad

    def one(x: np.ndarray) -> np.ndarray:
        vad = TenVad(HOP, 0.5)
        pcm = np.clip(np.round(x * 32767), -32768, 32767).astype(np.int16)
        p = [vad.process(pcm[i * HOP : (i + 1) * HOP])[0] for i in range(len(pcm) // HOP)]
        return shifted(np.array(p), look_ahead)

    return Detector("TEN", 10 * look_ahead, lambda signals: [one(x) for x in signals])


def crate_detector(program: Path, kind: str, look_ahead: int) -> Detector:
    """A detector of the crate, by its example vad_pipe."""

    def one(x: np.ndarray) -> np.ndarray:
        command = [str(program), kind, str(10 * look_ahead)]
        run = subprocess.run(command, input=x.astype("<f4").tobytes(), capture_output=True, check=True)
        return np.frombuffer(run.stdout, "<f4").astype(np.float64)

    return Detector(f"{kind} (crate)", 10 * look_ahead, lambda signals: [one(x) for x in signals])


def mean_detector(a: Detector, b: Detector) -> Detector:
    """Mean of the logits of two."""

    def run(signals: Signals) -> Course:
        pairs = zip(a.run(signals), b.run(signals))
        return [sigmoid((logit(x) + logit(y)) / 2) for x, y in pairs]

    return Detector(f"mean of {a.name} and {b.name}", max(a.look_ahead_ms, b.look_ahead_ms), run)
