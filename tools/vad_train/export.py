"""Writes the trained head for the crate: dsp/src/vad/neural/weights.bin.

    python export.py MODEL.pt WEIGHTS.bin

Matrices as words of 16 bits in the order of `words.py`: dense layer of the frame's inputs, of Silero's
hidden state, the memory's input, its recurrence. Then in single precision the biases of the dense layer
and of the gates (i, f, g, o), what 1 in the words of each matrix stands for, by output, and of each head
the weights of the memory, of the inputs, and the offset. The normalisation of the features is folded
into all of them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch

from front import FEATURES
from model import DENSE, LOOK_AHEADS, MEMORY, Net
from silero import HIDDEN
from trained import load
from words import blocks, from_blocks, words

#: The matrices in the order of the file, and whether their inputs may be below zero.
MATRICES = {"frame": True, "window": True, "input": False, "recurrent": True}


#: Words of each matrix [outputs, inputs, 1], and what 1 in them stands for.
Words = dict[str, tuple[np.ndarray, np.ndarray]]


def folded(net: Net) -> tuple[Words, dict[str, np.ndarray]]:
    """All weights for features as they come: the matrices as words, and all as the crate will read them."""
    weights = {k: v.numpy().astype(np.float64) for k, v in net.state_dict().items()}
    scale = np.concatenate([1 / weights["deviation"], np.ones(3)])
    mean = np.concatenate([weights["mean"], np.zeros(3)])
    matrices = {
        "frame": weights["dense.weight"] * scale,
        "window": weights["window.weight"],
        "input": weights["memory.weight_ih_l0"],
        "recurrent": weights["memory.weight_hh_l0"],
    }
    found = {name: words(w[:, :, None], MATRICES[name]) for name, w in matrices.items()}
    matrices = {name: w[:, :, 0] * scale[:, None] for name, (w, scale) in found.items()}
    heads = weights["heads.weight"]
    of_inputs = heads[:, MEMORY:] * scale
    return found, matrices | {
        "dense": weights["dense.bias"] - matrices["frame"] @ mean,
        "gates": weights["memory.bias_ih_l0"] + weights["memory.bias_hh_l0"],
        "of_memory": heads[:, :MEMORY],
        "of_inputs": of_inputs,
        "offset": weights["heads.bias"] - of_inputs @ mean,
    }


def packed(found: Words, w: dict[str, np.ndarray]) -> bytes:
    """The file of what `folded` gives."""
    assert w["dense"].shape == (DENSE,)
    matrices = [found[name] for name in MATRICES]
    floats = [w["dense"], w["gates"], *(scale for _, scale in matrices)]
    for memory, inputs, offset in zip(w["of_memory"], w["of_inputs"], w["offset"]):
        floats += [memory, inputs, np.array([offset])]
    data = b"".join(blocks(matrix) for matrix, _ in matrices)
    return data + np.concatenate(floats).astype("<f4").tobytes()


def unpacked(data: bytes) -> Net:
    """The network of such a file, as the crate hears it."""
    net, inputs = Net(), FEATURES + 3
    shapes = {"frame": (DENSE, inputs), "window": (DENSE, HIDDEN), "input": (4 * MEMORY, DENSE),
              "recurrent": (4 * MEMORY, MEMORY)}
    w, at = {}, 0
    for name, (outputs, width) in shapes.items():
        size = 2 * outputs * (width + width % 2)
        w[name] = from_blocks(data[at : at + size], outputs, width)[:, :, 0].astype(np.float64)
        at += size
    floats = np.frombuffer(data[at:], "<f4").astype(np.float64)
    sizes = [DENSE, 4 * MEMORY, *(outputs for outputs, _ in shapes.values()),
             *len(LOOK_AHEADS) * [MEMORY, inputs, 1]]
    dense, gates, *rest = np.split(floats, np.cumsum(sizes)[:-1])
    scales, heads = rest[: len(shapes)], rest[len(shapes) :]
    for name, scale in zip(shapes, scales):
        w[name] *= scale[:, None]
    memories, of_inputs, offsets = heads[::3], heads[1::3], heads[2::3]
    state = {
        "mean": np.zeros(FEATURES), "deviation": np.ones(FEATURES),
        "dense.weight": w["frame"], "dense.bias": dense, "window.weight": w["window"],
        "memory.weight_ih_l0": w["input"], "memory.weight_hh_l0": w["recurrent"],
        "memory.bias_ih_l0": gates, "memory.bias_hh_l0": np.zeros(4 * MEMORY),
        "heads.weight": np.hstack([memories, of_inputs]), "heads.bias": np.concatenate(offsets),
    }
    net.load_state_dict({k: torch.from_numpy(v.astype(np.float32)) for k, v in state.items()})
    return net.eval()


def main() -> None:
    data = packed(*folded(load(Path(sys.argv[1]))))
    Path(sys.argv[2]).write_bytes(data)
    print(len(data), "bytes", hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
