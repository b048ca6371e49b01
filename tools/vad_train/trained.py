"""The network that is trained here, as a detector."""

from __future__ import annotations

from pathlib import Path

import torch

from detectors import Detector, Heard, Hearing, Signals
from model import LOOK_AHEADS, Net, predict
from segments import by_silero


def load(path: Path) -> Net:
    net = Net()
    net.load_state_dict(torch.load(path))
    return net.eval()


def network_detector(hearing: Hearing, net: Net, look_ahead: int, name: str = "neural") -> Detector:
    """The trained network."""
    head = LOOK_AHEADS.index(look_ahead)

    def hear(signals: Signals) -> list[Heard]:
        hearing.hear(signals)
        outputs = [predict(net, view) for view in hearing.views()]
        courses = hearing.course([out[:, look_ahead:, head] for out in outputs])
        return [(p, by_silero(p, 1, len(p))) for p in courses]

    return Detector(name, 10 * look_ahead, hear)
