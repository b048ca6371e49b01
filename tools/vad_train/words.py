"""Matrices of networks as the crate's kernels read them: 16-bit words, a scale for each output."""

from __future__ import annotations

import numpy as np

BLOCK = 64
FULL = 32767


def words(weights: np.ndarray, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """weights [outputs, inputs, taps] as whole numbers of the same shape, and [outputs] what 1 in them
    stands for: as large as they may be, so that no sum over words of inputs ends beyond 32 bits. Inputs
    that are not `signed` are never below zero."""
    w = weights.astype(np.float64)
    flat = w.reshape(len(w), -1)
    up, down = (np.clip(x, 0, None).sum(1) for x in (flat, -flat))
    most = up + down if signed else np.maximum(up, down)
    # Each word may be off by a half.
    room = 2**31 - 1 - FULL * flat.shape[1] / 2
    # An output without weights may have any scale.
    least = np.finfo(np.float32).tiny
    scale = np.minimum(room / np.maximum(FULL * most, least), FULL / np.maximum(np.abs(flat).max(1), least))
    scale = np.minimum(scale, 1e30)
    return np.round(w * scale[:, None, None]).astype(np.int16), 1 / scale


def blocks(w: np.ndarray) -> bytes:
    """Words [outputs, inputs, taps] in the order of the file: blocks of outputs, in a block one tap after
    the other, in that pairs of inputs, of each two words for every output."""
    w = np.pad(w, ((0, 0), (0, w.shape[1] % 2), (0, 0)))
    outputs, inputs, taps = w.shape
    w = w.reshape(outputs // BLOCK, BLOCK, inputs // 2, 2, taps)
    return w.transpose(0, 4, 2, 1, 3).astype("<i2").tobytes()


def from_blocks(data: bytes, outputs: int, inputs: int, taps: int = 1) -> np.ndarray:
    """Words [outputs, inputs, taps] of what `blocks` gives."""
    w = np.frombuffer(data, "<i2").reshape(outputs // BLOCK, taps, -1, BLOCK, 2)
    return w.transpose(0, 3, 2, 4, 1).reshape(outputs, -1, taps)[:, :inputs]
