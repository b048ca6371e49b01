"""How often there is speech where the detector gives some probability.

    python reliability.py DATA_DIR CLIPS_DIR MODEL [LOOK_AHEAD_FRAMES]

One row per condition: the share of frames labelled speech among those with a probability in each fifth,
and the mean error weighted by frames. First on the validation streams (the teacher's labels, and what
is not speech), then on the clips (people's labels) clean and in noise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import noises
from detectors import Hearing, sigmoid
from evaluate import in_noise, read_clips
from model import LOOK_AHEADS, predict
from silero import Silero
from train import chunks
from trained import load, network_detector

EDGES = np.linspace(0, 1, 6)


def row(name: str, p: np.ndarray, truth: np.ndarray) -> None:
    """Prints one condition."""
    which = np.clip(np.digitize(p, EDGES) - 1, 0, len(EDGES) - 2)
    cells, error = [], 0.0
    for i in range(len(EDGES) - 1):
        inside = which == i
        if inside.sum() == 0:
            cells.append("-")
            continue
        share = truth[inside].mean()
        error += abs(share - p[inside].mean()) * inside.mean()
        cells.append(f"{share:.2f}")
    print(f"| {name} | " + " | ".join(cells) + f" | {error:.3f} |")


def main() -> None:
    data_dir, clips, model = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    ahead = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    net = load(data_dir / "model" / f"{model}.pt")
    print("| share of speech where p is in | 0-.2 | .2-.4 | .4-.6 | .6-.8 | .8-1 | mean error |")
    print("|---|---|---|---|---|---|---|")
    probabilities, truths = [], []
    for chunk in chunks(data_dir)[1]:
        out = sigmoid(predict(net, chunk)[:, :, LOOK_AHEADS.index(ahead)])
        probabilities.append(out[:, ahead:].ravel())
        truths.append(chunk["label"].astype(np.float32)[:, : out.shape[1] - ahead].ravel())
    row("validation streams", np.concatenate(probabilities), np.concatenate(truths))
    detector = network_detector(Hearing(Silero()), net, ahead)
    signals, labels = read_clips(clips)
    conditions = [("clean", signals)]
    conditions += [(f"{kind} {db} dB", in_noise(kind, db, signals, labels))
                   for kind in noises.KINDS for db in (10, 0)]
    known = np.concatenate(labels)
    for name, some in conditions:
        p = np.concatenate(detector.run(some))
        row(name, p[known >= 0], (known[known >= 0] == 1).astype(float))


if __name__ == "__main__":
    main()
