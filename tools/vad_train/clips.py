"""Writes labelled clips of training speech, such as vad_fit and vad_eval read.

    python clips.py DATA_DIR OUT_DIR [--count N] [--seed N]

Clean streams of 12 s of the pools that are not held out, in the sound of a room, at 16 bits; beside each
an .scv file with the stretches that the teacher is sure of: name, then start, end, 0 or 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from mix import SAMPLES, Mixer, Pools
from silero import HOP, RATE, Silero
from teach import label

#: Frames with a probability between these are of nobody's: the teacher is not sure.
NO_SPEECH, SPEECH = 0.3, 0.7
#: Level of the speech in dBFS, and of the room under it in dB.
SPEECH_DB, ROOM_DB = (-35.0, -18.0), (35.0, 55.0)


def clip(mixer: Mixer, silero: Silero) -> tuple[np.ndarray, np.ndarray]:
    """A clip, and the teacher's probability per frame."""
    speech, regions = mixer.speech()
    room = mixer.tone_of_room(SAMPLES)
    room *= 10 ** (-mixer.rng.uniform(*ROOM_DB) / 20) / max(float(np.sqrt(np.mean(room**2))), 1e-9)
    level = 10 ** (mixer.rng.uniform(*SPEECH_DB) / 20)
    return np.clip((speech + room) * level, -1, 1), label(silero, speech[None], [regions])[0]


def stretches(p: np.ndarray) -> list[tuple[int, int, int]]:
    """First frame, first one after, and 0 or 1, of each stretch that the teacher is sure of."""
    kind = np.where(p >= SPEECH, 1, np.where(p <= NO_SPEECH, 0, -1))
    edges = np.flatnonzero(np.diff(kind, prepend=-2, append=-2))
    return [(int(a), int(b), int(kind[a])) for a, b in zip(edges, edges[1:]) if kind[a] >= 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    out, seed = arguments.out, arguments.seed
    out.mkdir(parents=True, exist_ok=True)
    mixer, silero = Mixer(Pools(arguments.data_dir), seed), Silero()
    for i in range(arguments.count):
        x, p = clip(mixer, silero)
        name = f"{seed:03}-{i:04}"
        soundfile.write(out / f"{name}.wav", x, RATE, subtype="PCM_16")
        fields = [f"{a * HOP / RATE:.2f},{b * HOP / RATE:.2f},{kind}" for a, b, kind in stretches(p)]
        (out / f"{name}.scv").write_text(",".join([name, *fields]) + "\n")


if __name__ == "__main__":
    main()
