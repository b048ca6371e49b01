"""Silero's network (package silero-vad, MIT) on batches of signals: as teacher and as feature extractor."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime

RATE = 16_000
WINDOW = 512
CONTEXT = 64
HIDDEN = 128
#: Samples of a frame of ours: 10 ms.
HOP = 160


def logit(p: np.ndarray) -> np.ndarray:
    """Log odds of probabilities, those beyond 1e-4 from either end taken as 1e-4 from it."""
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


@dataclass
class State:
    """Of the network between two windows of some signals."""

    memory: np.ndarray
    context: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        return self.memory[0]


class Silero:
    """The 16 kHz network of the installed package, from silence, one call per signal or batch."""

    def __init__(self) -> None:
        spec = find_spec("silero_vad")
        if spec is None or spec.origin is None:
            raise SystemExit("package silero-vad is not installed")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        model = Path(spec.origin).parent / "data" / "silero_vad.onnx"
        self.session = onnxruntime.InferenceSession(str(model), options, ["CPUExecutionProvider"])

    def run(self, x: np.ndarray, hidden: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Probabilities [signals, windows] of x [signals, samples] in [-1, 1], and if wanted the
        hidden states [signals, windows, 128] after each window. A last part of a window is left
        out."""
        count, samples = x.shape
        windows = samples // WINDOW
        state = self.start(count)
        p = np.zeros((count, windows), np.float32)
        h = np.zeros((count, windows, HIDDEN), np.float32) if hidden else None
        for i in range(windows):
            p[:, i], state = self.step(x[:, i * WINDOW : (i + 1) * WINDOW], state)
            if h is not None:
                h[:, i] = state.hidden
        return p, h

    def start(self, count: int) -> State:
        """The state of `count` signals that nothing was heard of."""
        return State(np.zeros((2, count, HIDDEN), np.float32), np.zeros((count, CONTEXT), np.float32))

    def step(self, window: np.ndarray, state: State) -> tuple[np.ndarray, State]:
        """Probabilities [signals] of the next window [signals, WINDOW], and the state after it."""
        new = window.astype(np.float32)
        fed = {"input": np.concatenate([state.context, new], 1), "state": state.memory,
               "sr": np.array(RATE, np.int64)}
        out, memory = self.session.run(None, fed)
        return out[:, 0], State(memory, new[:, -CONTEXT:])

    def on_grid(self, x: np.ndarray, phase: int) -> np.ndarray:
        """Logits [signals, frames] at the centres of 10 ms frames, interpolated between the centres
        of windows that start `phase` samples before the signal."""
        frames = x.shape[1] // HOP
        padded = np.pad(x, ((0, 0), (phase, 2 * WINDOW)))
        values = logit(self.run(padded)[0])
        at = np.arange(values.shape[1]) * WINDOW + WINDOW / 2 - phase
        wanted = np.arange(frames) * HOP + HOP / 2
        return np.stack([np.interp(wanted, at, row) for row in values])

    def both_ways(self, x: np.ndarray, phases: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Logits [signals, frames] heard forwards and backwards in time, each the mean over window
        phases."""
        x = x[:, : x.shape[1] // HOP * HOP]
        forward = np.mean([self.on_grid(x, phase) for phase in phases], 0)
        reversed_x = np.ascontiguousarray(x[:, ::-1])
        backward = np.mean([self.on_grid(reversed_x, phase) for phase in phases], 0)
        return forward, backward[:, ::-1]
