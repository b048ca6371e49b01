"""Resampling with scipy: a node that changes the rate, and holds nothing back.

... ! audio/x-raw,format=F32LE,rate=48000 ! \
    pypipelinenode module=examples/nodes/resample.py class=Resample 'kwargs={"rate": 16000}' \
    chunk=duration chunk-duration=1000000000 ! ...

For production use rustresample: this one restarts its filter at each chunk. Needs scipy.
"""

from math import gcd

import numpy as np
from scipy.signal import resample_poly


class Resample:
    def __init__(self, rate):
        self.rate = rate

    def output_caps(self, caps):
        return {"rate": self.rate}

    def start(self, info):
        common = gcd(self.rate, info.rate)
        self.up, self.down = self.rate // common, info.rate // common

    def process(self, audio, ctx):
        return resample_poly(audio, self.up, self.down, axis=0).astype(audio.dtype)
