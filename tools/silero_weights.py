"""Makes the weights of `detector=silero` from those of the PyPI package silero-vad.

    pip download --no-deps silero-vad==6.2.3 && unzip silero_vad-6.2.3-*.whl
    pip install onnx==1.23.2 numpy
    silero_weights.py silero_vad/data/silero_vad_16k_op15.onnx dsp/src/vad/silero/weights.bin

They are the 16 kHz network's, rounded to words of 16 bits (biases stay float), as `weights.rs` reads
them; `vad_train/words.py` says in which order. The STFT is left out: it is a Hann window and a Fourier
transform. So are taps that only ever meet padding. Weights of the first layer are nine times as large
at the top of the spectrum as below, and words have one scale for all: so each bin has a gain, which its
magnitude is multiplied by and its weights are divided by.

The package's silero_vad_16k.safetensors holds other weights than its ONNX files, which are those of
the model that the package runs by default."""
import hashlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper

from vad_train.words import blocks, words

SOURCE = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"


def bin_gains(conv1):
    """For each input of the first layer the size of its weights, the greatest 1."""
    size = np.sqrt((conv1.astype("f8") ** 2).mean((0, 2)))
    return size / size.max()


def check_transform(basis):
    """The network's first layer is a windowed Fourier transform, which is not stored."""
    n, k = np.arange(256), np.arange(129)[:, None]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 256)
    turn = 2 * np.pi * k * n / 256
    wanted = np.concatenate([hann * np.cos(turn), -hann * np.sin(turn)])
    if np.abs(basis[:, 0] - wanted).max() > 1e-6:
        sys.exit("the first layer is not the transform that silero/network.rs computes")


def main(source, target):
    with open(source, "rb") as f:
        data = f.read()
    if hashlib.sha256(data).hexdigest() != SOURCE:
        sys.exit(f"{source}: not the file of silero-vad 6.2.3 (SHA-256 {SOURCE})")
    graph = onnx.load_from_string(data).graph
    tensors = {t.name.removeprefix("model."): numpy_helper.to_array(t) for t in graph.initializer}
    check_transform(tensors["stft.forward_basis_buffer"])

    conv = [tensors[f"encoder.{i}.reparam_conv.weight"] for i in range(4)]
    lstm = {k: tensors["decoder.rnn." + k] for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    gains = bin_gains(conv[0])
    layers = [
        words(conv[0] / gains[:, None], signed=False),
        words(conv[1], signed=False),
        words(conv[2][:, :, 1:], signed=False),
        words(conv[3][:, :, 1:2], signed=False),
        words(lstm["weight_ih"][:, :, None], signed=False),
        words(lstm["weight_hh"][:, :, None], signed=True),
    ]
    biases = [tensors[f"encoder.{i}.reparam_conv.bias"] for i in range(4)]
    biases.append(lstm["bias_ih"].astype("f8") + lstm["bias_hh"])
    floats = [gains]
    for bias, (_, scale) in zip(biases, layers):
        floats += [bias, scale]
    floats += [
        layers[5][1],
        tensors["decoder.decoder.2.weight"],
        tensors["decoder.decoder.2.bias"],
    ]
    out = b"".join(blocks(w) for w, _ in layers)
    out += b"".join(a.astype("<f4").tobytes() for a in floats)
    with open(target, "wb") as f:
        f.write(out)
    print(f"{target}: {len(out)} bytes, SHA-256 {hashlib.sha256(out).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
