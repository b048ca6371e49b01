"""What the package silero-vad says about recordings of Debian's alsa-utils: the yardstick of a test.

    pip install onnx==1.23.2 onnxruntime==1.32.0 numpy
    silero_expected.py silero_vad/data/silero_vad_16k_op15.onnx dsp/tests/vad/silero.csv

The package is unpacked as for `silero_weights.py`. Each line holds the probability of one window of
32 ms: by the package's weights, and by the same rounded to words of 16 bits, as the plugin has them.
(The plugin rounds what goes through the layers likewise, which this does not.) The last line holds the
hidden state after the last window, with the rounded weights.

The sound is made of integers alone, so that it is the same to the bit elsewhere: the eight spoken
channel names, each sample the mean of three at 48 kHz, and before each 0.3 s of faint noise."""
import sys
import wave

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from silero_weights import bin_gains
from vad_train.words import words

NAMES = ["Front_Center", "Front_Left", "Front_Right", "Rear_Center", "Rear_Left", "Rear_Right",
         "Side_Left", "Side_Right"]
PAUSE = 4800
#: The matrices; those whose inputs may be below zero; taps that meet nothing but padding.
ROUNDED = [f"encoder.{i}.reparam_conv.weight" for i in range(4)] + ["decoder.rnn.weight_ih",
                                                                     "decoder.rnn.weight_hh"]
SIGNED = ("decoder.rnn.weight_hh",)
TAPS = {"encoder.2.reparam_conv.weight": [1, 2], "encoder.3.reparam_conv.weight": [1]}


def spoken(name):
    with wave.open(f"/usr/share/sounds/alsa/{name}.wav") as w:
        if (w.getframerate(), w.getnchannels(), w.getsampwidth()) != (48000, 1, 2):
            sys.exit(f"{name}: expected 48 kHz mono S16")
        x = np.frombuffer(w.readframes(w.getnframes()), "<i2").astype("i4")
    return x[: len(x) // 3 * 3].reshape(-1, 3).sum(1)


def sound():
    """At 16 kHz, in parts of 98304, whole windows of it."""
    seed, parts = 1, []
    for name in NAMES:
        noise = []
        for _ in range(PAUSE):
            seed = (seed * 1664525 + 1013904223) % 2**32
            noise.append((seed >> 25) - 64)
        parts += [np.array(noise), spoken(name)]
    x = np.concatenate(parts)
    x = x[: len(x) // 512 * 512].reshape(-1, 512)
    return x.astype("f4") * np.float32(1 / 98304)


def run(model, windows):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    state, context = np.zeros((2, 1, 128), "f4"), np.zeros(64, "f4")
    probabilities = []
    for x in windows:
        p, state = session.run(None, {"input": np.concatenate([context, x])[None], "state": state,
                                      "sr": np.array(16000, "i8")})
        context = x[-64:]
        probabilities.append(float(p[0, 0]))
    return probabilities, state[0, 0]


def in_words(name, w):
    """Weights [outputs, inputs, taps] or [outputs, inputs] as `silero_weights.py` rounds them."""
    w = w.astype("f8")
    shape, w = w.shape, w.reshape(*w.shape[:2], -1)
    taps = TAPS.get(name, list(range(w.shape[2])))
    gains = bin_gains(w) if name == ROUNDED[0] else np.ones(w.shape[1])
    found, scale = words(w[:, :, taps] / gains[:, None], name in SIGNED)
    out = np.zeros_like(w)
    out[:, :, taps] = found * scale[:, None, None] * gains[:, None]
    return out.reshape(shape).astype("f4")


def rounded(path):
    model = onnx.load(path)
    done = 0
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("model.")
        if name in ROUNDED:
            value = in_words(name, numpy_helper.to_array(tensor))
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
            done += 1
    if done != len(ROUNDED):
        sys.exit(f"{path}: not all weights found")
    return model.SerializeToString()


def main(path, target):
    windows = sound()
    exact, _ = run(path, windows)
    near, hidden = run(rounded(path), windows)
    with open(target, "w") as f:
        for p, q in zip(exact, near):
            f.write(f"{p:.6g},{q:.6g}\n")
        f.write(",".join(f"{h:.6g}" for h in hidden) + "\n")
    worst = max(abs(p - q) for p, q in zip(exact, near))
    print(f"{target}: {len(windows)} windows, rounding changes a probability by {worst:.2g} at most")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
