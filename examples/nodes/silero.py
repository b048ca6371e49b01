"""Silero VAD beside rustvad: posts a `silero` message with its probability for every 32 ms.

... ! audio/x-raw,format=F32LE,rate=16000,channels=1 ! rustvad ! \
    pypipelinenode module=examples/nodes/silero.py class=Silero \
    chunk=duration chunk-duration=32000000 ! ...

Needs `pip install silero-vad onnxruntime`, whose wheel holds the model.
"""

import numpy as np


class Silero:
    WINDOW = 512

    def __init__(self, threshold=0.5):
        from silero_vad import load_silero_vad

        self.model = load_silero_vad(onnx=True)
        self.threshold = threshold

    def start(self, info):
        if (info.rate, info.channels, info.format[:3]) != (16000, 1, "F32"):
            raise ValueError(f"Silero wants 16 kHz mono F32, not {info.caps}")
        self.model.reset_states()

    def process(self, audio, ctx):
        import torch

        samples = np.zeros(self.WINDOW, np.float32)
        samples[: len(audio)] = audio[: self.WINDOW, 0]
        score = float(self.model(torch.from_numpy(samples), 16000).item())
        ctx.post("silero", timestamp=ctx.pts, probability=score, speech=score >= self.threshold,
                 rustvad=ctx.speech)
