"""Silero VAD beside rustvad: posts a `silero` message with its probability for every 32 ms.

... ! audio/x-raw,format=F32LE,rate=16000,channels=1 ! rustvad ! \
    pypipelinenode module=examples/nodes/silero.py class=Silero \
    chunk=duration chunk-duration=32000000 ! ...

Needs `pip install onnxruntime` and `pip install --no-deps silero-vad`, whose wheel holds the model:
the package itself would ask for torch, which the model does not need.
"""

import importlib.util
import os

import numpy as np
import onnxruntime


class Silero:
    WINDOW = 512
    CONTEXT = 64

    def __init__(self, threshold=0.5):
        package = importlib.util.find_spec("silero_vad")
        if package is None:
            raise ModuleNotFoundError("silero_vad: pip install --no-deps silero-vad")
        path = os.path.join(package.submodule_search_locations[0], "data", "silero_vad.onnx")
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"])
        self.rate = np.array(16000, np.int64)
        self.threshold = threshold

    def start(self, info):
        if (info.rate, info.channels, info.format[:3]) != (16000, 1, "F32"):
            raise ValueError(f"Silero wants 16 kHz mono F32, not {info.caps}")
        self.reset()

    def reset(self):
        self.state = np.zeros((2, 1, 128), np.float32)
        # The end of the last window goes before the next one.
        self.samples = np.zeros((1, self.CONTEXT + self.WINDOW), np.float32)

    def process(self, audio, ctx):
        if ctx.discont:
            self.reset()
        samples = self.samples
        samples[0, : self.CONTEXT] = samples[0, -self.CONTEXT:]
        # The last chunk of a stream may be shorter.
        n = min(len(audio), self.WINDOW)
        samples[0, self.CONTEXT:] = 0
        samples[0, self.CONTEXT: self.CONTEXT + n] = audio[:n, 0]
        score, self.state = self.session.run(
            None, {"input": samples, "state": self.state, "sr": self.rate})
        score = float(score[0, 0])
        ctx.post("silero", timestamp=ctx.pts, probability=score, speech=score >= self.threshold,
                 rustvad=ctx.speech)
