"""What Silero's network takes in onnxruntime, in one thread: beside `cargo bench --bench vad`.

    pip install onnxruntime==1.32.0 numpy
    silero_onnx.py silero_vad/data/silero_vad_16k_op15.onnx [WINDOWS]

The package is unpacked as for `silero_weights.py`. The sound is the bench's: bursts of a sawtooth over
faint noise, in windows of 32 ms; the fastest of 40 passes over WINDOWS (90) of them counts."""
import sys
import time

import numpy as np
import onnxruntime

PASSES = 40


def sound(windows):
    i = np.arange(windows * 512)
    noise = np.random.default_rng(1).random(i.size) * 1e-3
    on = i * 4 // 16000 % 2 == 0
    return (on * (i * 150 % 16000) / 16000 * 0.3 + noise).astype("f4").reshape(-1, 512)


def main(model, windows=90):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x, rate = sound(int(windows)), np.array(16000, "i8")
    best = float("inf")
    for _ in range(PASSES):
        state, context = np.zeros((2, 1, 128), "f4"), np.zeros(64, "f4")
        start = time.thread_time()
        for window in x:
            feed = {"input": np.concatenate([context, window])[None], "state": state, "sr": rate}
            _, state = session.run(None, feed)
            context = window[-64:]
        best = min(best, (time.thread_time() - start) / len(x))
    print(f"onnxruntime {onnxruntime.__version__}: {best * 1e6:.1f} us a window, "
          f"{best * 1e6 / 3.2:.1f} us per 10 ms")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
