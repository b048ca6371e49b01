"""Makes training data: streams, their labels, the front end's features and Silero's view of them.

    python make.py DATA_DIR SEED CHUNKS

Writes DATA_DIR/set/SEED_NNN.npz, each of 22 clean streams mixed three ways, 27 without speech and 3 of crowds:
own [streams, 1200, 35] float16, logit [streams, 375] float16, hidden [streams, 375, 128] float16,
clear and raised [streams, 1200] float16, label [streams, 1200] float16, spoken [streams] bool. A seed gives the
same data again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from front import features, listen
from mix import Mixer, Pools
from silero import HOP, Silero, logit
from teach import heard, label

CLEAN, WAYS, SILENT, CROWDS = 22, 3, 27, 3


def view(silero: Silero, x: np.ndarray) -> dict[str, np.ndarray]:
    """What the network gets of signals [signals, samples]."""
    own, gain, clear = features(x)
    p, hidden, raised = listen(silero, x, gain)
    return {"own": own.astype(np.float16), "logit": logit(p).astype(np.float16),
            "hidden": hidden.astype(np.float16), "clear": clear.astype(np.float16),
            "raised": raised.astype(np.float16)}


def chunk(mixer: Mixer, silero: Silero) -> dict[str, np.ndarray]:
    clean = [mixer.speech() for _ in range(CLEAN)]
    labels = label(silero, np.stack([x for x, _ in clean]), [regions for _, regions in clean])
    streams = [mixer.spoken(x, regions) for x, regions in clean for _ in range(WAYS)]
    streams += [mixer.unspoken() for _ in range(SILENT)]
    crowds = np.stack([mixer.crowd() for _ in range(CROWDS)])
    streams += list(crowds)
    targets = np.concatenate([labels.repeat(WAYS, 0),
                              np.zeros((SILENT, streams[0].size // HOP), np.float32),
                              heard(silero, crowds)])
    spoken = np.arange(len(streams)) < CLEAN * WAYS
    return view(silero, np.stack(streams)) | {"label": targets.astype(np.float16), "spoken": spoken}


def main() -> None:
    data_dir, seed, chunks = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    (data_dir / "set").mkdir(exist_ok=True)
    mixer, silero = Mixer(Pools(data_dir), seed), Silero()
    for i in range(chunks):
        start = time.time()
        partial = data_dir / "set" / f"{seed}_{i:03d}.part.npz"
        np.savez(partial, **chunk(mixer, silero))
        partial.rename(data_dir / "set" / f"{seed}_{i:03d}.npz")
        print(seed, i, f"{time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
