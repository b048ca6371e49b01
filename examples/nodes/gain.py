"""A gain in dB, in place: the smallest node there is.

gst-launch-1.0 audiotestsrc ! audio/x-raw,format=F32LE ! \
    pypipelinenode module=examples/nodes/gain.py class=Gain 'kwargs={"db": -6}' ! autoaudiosink
"""

import numpy as np


class Gain:
    # The node writes to its input: have it copied where others see the same buffer (after a tee).
    in_place = True

    def __init__(self, db=0.0):
        self.factor = np.float32(10.0 ** (db / 20.0))

    def process(self, audio, ctx):
        audio *= self.factor
