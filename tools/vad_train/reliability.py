"""How often there is speech where a detector of the crate gives some probability.

    python reliability.py DATA_DIR CLIPS_DIR VAD_PIPE [DETECTOR [LOOK_AHEAD_FRAMES]]

One row per condition: the share of frames labelled speech by people among those with a probability in each
fifth, and the mean error weighted by frames. The clips clean, in noise and one after the other, then meetings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import noises
from detectors import Signals, crate_detector
from evaluate import in_noise, read_clips
from meetings import read_meetings
from silero import HOP

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
    data_dir, clips, program = map(Path, sys.argv[1:4])
    kind = sys.argv[4] if len(sys.argv) > 4 else "neural"
    ahead = int(sys.argv[5]) if len(sys.argv) > 5 else 3
    detector = crate_detector(program, kind, ahead)
    signals, labels = read_clips(clips)
    stream = [np.concatenate([x[: len(x) // HOP * HOP] for x in signals])]
    conditions: list[tuple[str, Signals, list[np.ndarray]]] = [("clean", signals, labels)]
    conditions += [(f"{noise} {db} dB", in_noise(noise, db, signals, labels), labels)
                   for noise in noises.KINDS for db in (10, 0)]
    conditions.append(("one stream", stream, [np.concatenate(labels)]))
    meetings = read_meetings(data_dir)
    if meetings is not None:
        conditions.append(("meetings", *meetings))
    print("| share of speech where p is in | 0-.2 | .2-.4 | .4-.6 | .6-.8 | .8-1 | mean error |")
    print("|---|---|---|---|---|---|---|")
    for name, some, known in conditions:
        p, truth = np.concatenate(detector.run(some)), np.concatenate(known)
        row(name, p[truth >= 0], (truth[truth >= 0] == 1).astype(float))


if __name__ == "__main__":
    main()
