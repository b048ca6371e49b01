"""Writes the trained head for the crate: dsp/src/vad/neural/weights.bin.

    python export.py MODEL.pt WEIGHTS.bin

Matrices as little-endian half floats, in blocks of 64 outputs, for each block the weights of all its
outputs for the first input, then for the second, and so on: dense layer of the frame's inputs, of
Silero's hidden state, the memory's input, its recurrence. Then in single precision the biases of the
dense layer and of the gates (i, f, g, o), and of each head the weights of the memory, of the inputs,
and the offset. The normalisation of the features is folded into all of them.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import torch

from front import FEATURES
from model import DENSE, MEMORY, Net
from trained import load

BLOCK = 64


def blocks(matrix: np.ndarray) -> np.ndarray:
    """[outputs, inputs] in the order of the kernels."""
    return matrix.reshape(-1, BLOCK, matrix.shape[1]).transpose(0, 2, 1).ravel()


def half(matrix: np.ndarray) -> np.ndarray:
    """As the crate will read it."""
    return matrix.astype(np.float16).astype(np.float32)


def folded(net: Net) -> dict[str, np.ndarray]:
    """All weights for features as they come, matrices rounded to halves."""
    weights = {k: v.numpy().astype(np.float64) for k, v in net.state_dict().items()}
    scale = np.concatenate([1 / weights["deviation"], np.ones(3)])
    mean = np.concatenate([weights["mean"], np.zeros(3)])
    frame = half(weights["dense.weight"] * scale)
    heads = weights["heads.weight"]
    of_inputs = heads[:, MEMORY:] * scale
    return {
        "frame": frame,
        "window": half(weights["window.weight"]),
        "input": half(weights["memory.weight_ih_l0"]),
        "recurrent": half(weights["memory.weight_hh_l0"]),
        "dense": weights["dense.bias"] - frame @ mean,
        "gates": weights["memory.bias_ih_l0"] + weights["memory.bias_hh_l0"],
        "of_memory": heads[:, :MEMORY],
        "of_inputs": of_inputs,
        "offset": weights["heads.bias"] - of_inputs @ mean,
    }


def rounded(net: Net) -> Net:
    """The network as it is after rounding."""
    w = {k: torch.from_numpy(np.asarray(v, np.float32)) for k, v in folded(net).items()}
    out = Net()
    out.load_state_dict({
        "mean": torch.zeros(FEATURES), "deviation": torch.ones(FEATURES),
        "dense.weight": w["frame"], "dense.bias": w["dense"], "window.weight": w["window"],
        "memory.weight_ih_l0": w["input"], "memory.weight_hh_l0": w["recurrent"],
        "memory.bias_ih_l0": w["gates"], "memory.bias_hh_l0": torch.zeros(4 * MEMORY),
        "heads.weight": torch.cat([w["of_memory"], w["of_inputs"]], 1), "heads.bias": w["offset"],
    })
    return out.eval()


def main() -> None:
    w = folded(load(Path(sys.argv[1])))
    assert w["dense"].shape == (DENSE,)
    halves = [blocks(w[k]) for k in ("frame", "window", "input", "recurrent")]
    floats = [w["dense"], w["gates"]]
    for memory, inputs, offset in zip(w["of_memory"], w["of_inputs"], w["offset"]):
        floats += [memory, inputs, np.array([offset])]
    data = np.concatenate(halves).astype("<f2").tobytes() + np.concatenate(floats).astype("<f4").tobytes()
    Path(sys.argv[2]).write_bytes(data)
    print(len(data), "bytes", hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
