"""Makes the weights of `detector=silero` from those of the PyPI package silero-vad.

    pip download --no-deps silero-vad==6.2.3 && unzip silero_vad-6.2.3-*.whl
    pip install onnx==1.23.2 numpy
    silero_weights.py silero_vad/data/silero_vad_16k_op15.onnx dsp/src/vad/silero/weights.bin

They are the 16 kHz network's, rounded to half floats (biases stay float), as `weights.rs` reads them:
matrices in blocks of 64 outputs, in a block one matrix a tap, in that the weights of all 64 outputs
for the first input, then for the second. The STFT is left out: it is a Hann window and a Fourier
transform. So are taps that only ever meet padding.

The package's silero_vad_16k.safetensors holds other weights than its ONNX files, which are those of
the model that the package runs by default."""
import hashlib
import sys

import numpy as np
import onnx
from onnx import numpy_helper

SOURCE = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
BLOCK = 64


def blocks(weights, taps):
    """Weights [output][input][tap] as [block][tap][input][output]."""
    w = weights[:, :, taps].reshape(-1, BLOCK, weights.shape[1], len(taps))
    return w.transpose(0, 3, 2, 1)


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
    halves = [
        blocks(conv[0], [0, 1, 2]),
        blocks(conv[1], [0, 1, 2]),
        blocks(conv[2], [1, 2]),
        blocks(conv[3], [1]),
        blocks(lstm["weight_ih"][:, :, None], [0]),
        blocks(lstm["weight_hh"][:, :, None], [0]),
    ]
    floats = [tensors[f"encoder.{i}.reparam_conv.bias"] for i in range(4)]
    floats += [
        lstm["bias_ih"].astype("f8") + lstm["bias_hh"],
        tensors["decoder.decoder.2.weight"],
        tensors["decoder.decoder.2.bias"],
    ]
    out = b"".join(a.astype("<f2").tobytes() for a in halves)
    out += b"".join(a.astype("<f4").tobytes() for a in floats)
    with open(target, "wb") as f:
        f.write(out)
    print(f"{target}: {len(out)} bytes, SHA-256 {hashlib.sha256(out).hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
