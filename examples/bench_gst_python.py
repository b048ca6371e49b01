"""Cost of a Python element per 480x2 F32 buffer, over an element that does nothing: gst-python's way
and pypipelinenode's, in one run.

    GST_PLUGIN_PATH=target/release /usr/bin/python3 examples/bench_gst_python.py [BUFFERS]
"""

import os
import sys
import tempfile
import time

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstBase", "1.0")
from gi.repository import Gst, GstBase  # noqa: E402

Gst.init(None)
CAPS = "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved"


class Base(GstBase.BaseTransform):
    __gsttemplates__ = tuple(
        Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, Gst.Caps.from_string(CAPS))
        for name, direction in (("sink", Gst.PadDirection.SINK), ("src", Gst.PadDirection.SRC)))


class PyNoop(Base):
    __gstmetadata__ = ("noop", "Filter", "does nothing", "-")

    def do_transform_ip(self, buffer):
        return Gst.FlowReturn.OK


class PyGain(Base):
    __gstmetadata__ = ("gain", "Filter", "a gain", "-")

    def do_transform_ip(self, buffer):
        with buffer.map(Gst.MapFlags.READ | Gst.MapFlags.WRITE) as info:
            audio = np.ndarray((480, 2), np.float32, info.data)
            audio *= np.float32(0.5)
        return Gst.FlowReturn.OK


for name, kind in (("pynoop", PyNoop), ("pygain", PyGain)):
    Gst.Element.register(None, name, 0, kind)

folder = tempfile.mkdtemp()
path = os.path.join(folder, "bench_node.py")
with open(path, "w") as file:
    file.write("import numpy as np\nhalf = np.float32(0.5)\ndef noop(audio, ctx): pass\n"
               "def gain(audio, ctx): audio *= half\n")
NODE = f"pypipelinenode post-metrics=false module={path} function="
CASES = {
    "nothing (identity)": "identity silent=true",
    "gst-python no-op": "pynoop",
    "gst-python gain": "pygain",
    "pypipelinenode no-op": NODE + "noop",
    "pypipelinenode gain": NODE + "gain",
    "isolated no-op": NODE + "noop isolation=process",
}
count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000


def seconds(element, n):
    pipeline = Gst.parse_launch(
        f"fakesrc num-buffers={n} sizetype=fixed sizemax=3840 filltype=zero format=time ! {CAPS} ! {element} ! "
        "fakesink sync=false")
    bus = pipeline.get_bus()
    pipeline.set_state(Gst.State.PAUSED)
    pipeline.get_state(Gst.CLOCK_TIME_NONE)
    start = time.perf_counter()
    pipeline.set_state(Gst.State.PLAYING)
    message = bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    took = time.perf_counter() - start
    assert message.type == Gst.MessageType.EOS, message.parse_error()
    pipeline.set_state(Gst.State.NULL)
    return took


base = None
for name, element in CASES.items():
    n = count // 10 if "isolated" in name else count
    best = min(seconds(element, n) for _ in range(3)) / n * 1e6
    base = best if base is None else base
    print(f"{name:24} {best:8.2f} us/buffer   {best - base:+8.2f} over nothing")
os.remove(path)
os.rmdir(folder)
