"""The network: our features of 10 ms and Silero's last window in, one logit per look-ahead out."""

from __future__ import annotations

import numpy as np
import torch

from front import BANDS, FEATURES, MAX_GAIN, RATIO_SCALE
from silero import HIDDEN, HOP, WINDOW

#: Frames between the one that a head decides about and the newest one.
LOOK_AHEADS = (0, 3, 6, 10)
#: Units of the dense layer and of the memory.
DENSE, MEMORY = 64, 48
#: Log odds by which the heads may exceed Silero: all of it where the sound is no further than NOISY dB
#: over the noise, none from CLEAR dB on.
MOST_OVER, NOISY, CLEAR = 6.0, 10.0, 20.0
#: And all of it where the mean log-likelihood ratio of the bands was AUDIBLE or more in one of the newest
#: RECENT frames, none where it was INAUDIBLE or less in all of them.
INAUDIBLE, AUDIBLE, RECENT = -2.0, 0.0, 8
#: Silero's share in what is told: none up to SHARED dB, MOST_SHARE from ALL_SHARED dB on.
MOST_SHARE, SHARED, ALL_SHARED = 0.5, 25.0, 40.0
#: Scale of Silero's logits among the inputs.
LOGIT_SCALE = 0.25


def newest_windows(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """For each frame the index of the newest window that is complete at its end (-1: none) and the
    samples since then."""
    end = (np.arange(frames) + 1) * HOP
    return end // WINDOW - 1, end % WINDOW


def silero_inputs(logits: torch.Tensor, frames: int) -> torch.Tensor:
    """[signals, frames, 3]: the newest window's logit, the one before it, and its age; logits
    [signals, windows]."""
    window, age = newest_windows(frames)
    padded = torch.nn.functional.pad(logits, (2, 0)) * LOGIT_SCALE
    ages = torch.from_numpy((age / WINDOW).astype(np.float32)).expand(len(logits), -1)
    return torch.stack([padded[:, window + 2], padded[:, window + 1], ages], 2)


class Net(torch.nn.Module):
    """Dense layer, long short-term memory, linear heads on its output and on the inputs.

    The dense layer also takes Silero's hidden state, whose part changes once per window only."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        inputs = FEATURES + 3
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.dense = torch.nn.Linear(inputs, DENSE)
        self.window = torch.nn.Linear(HIDDEN, DENSE, bias=False)
        self.memory = torch.nn.LSTM(DENSE, MEMORY, batch_first=True)
        self.heads = torch.nn.Linear(MEMORY + inputs, len(LOOK_AHEADS))
        with torch.no_grad():
            # Silero's logit is the first guess.
            self.heads.weight.zero_()
            self.heads.bias.zero_()
            self.heads.weight[:, MEMORY + FEATURES] = 0.5 / LOGIT_SCALE

    def inputs(self, own: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """[signals, frames, FEATURES + 3] from features [signals, frames, .] and Silero's logits
        [signals, windows]."""
        normal = (own - self.mean) / self.deviation
        return torch.cat([normal, silero_inputs(logits, own.shape[1])], 2)

    def forward(self, x: torch.Tensor, hidden: torch.Tensor, part: slice = slice(None),
                state: tuple[torch.Tensor, torch.Tensor] | None = None
                ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Logits [signals, frames, heads] of the frames in `part` and the state after them, from
        `inputs` and Silero's hidden states [signals, windows, 128]."""
        window, _ = newest_windows(x.shape[1])
        of_window = torch.nn.functional.pad(self.window(hidden), (0, 0, 1, 0))[:, window + 1]
        x = x[:, part]
        y, state = self.memory(torch.relu(self.dense(x) + of_window[:, part]), state)
        return self.heads(torch.cat([y, x], 2)), state


def settled(out: torch.Tensor, own: torch.Tensor, logits: torch.Tensor, clear: torch.Tensor,
            part: slice = slice(None), raised: torch.Tensor | None = None) -> torch.Tensor:
    """What is told of the heads' logits [signals, frames, heads] in the frames of `part`: the clearer the
    sound stands over the noise, the less speech the bands show, and the further it was raised, the less may
    it exceed Silero's greater one of the two newest windows. Of whole signals: features `own` [signals,
    frames, FEATURES], Silero's logits [signals, windows], `clear` and `raised` [signals, frames] in dB."""
    window, _ = newest_windows(own.shape[1])
    padded = torch.nn.functional.pad(logits, (2, 0))
    silero = torch.maximum(padded[:, window + 2], padded[:, window + 1])[:, part, None]
    ratio = RATIO_SCALE * own[:, None, :, BANDS : 2 * BANDS].mean(3)
    padded = torch.nn.functional.pad(ratio, (RECENT - 1, 0), value=INAUDIBLE)
    recent = torch.nn.functional.max_pool1d(padded, RECENT, 1)[:, 0, part, None]
    clear = clear[:, part, None]
    noisy = ((CLEAR - clear) / (CLEAR - NOISY)).clamp(0, 1)
    audible = ((recent - INAUDIBLE) / (AUDIBLE - INAUDIBLE)).clamp(0, 1)
    share = MOST_SHARE * ((clear - SHARED) / (ALL_SHARED - SHARED)).clamp(0, 1)
    over = MOST_OVER * noisy * audible
    if raised is not None:
        over = over * (1 - raised[:, part, None] / MAX_GAIN)
    return torch.minimum(out + share * (silero - out), silero + over)


def predict(net: Net, view: dict[str, np.ndarray]) -> np.ndarray:
    """Logits [signals, frames, heads] of what `make.view` gives."""
    own, logits, hidden, clear, raised = (torch.from_numpy(view[k].astype(np.float32))
                                          for k in ("own", "logit", "hidden", "clear", "raised"))
    with torch.no_grad():
        out = net(net.inputs(own, logits), hidden)[0]
        return settled(out, own, logits, clear, raised=raised).numpy()
