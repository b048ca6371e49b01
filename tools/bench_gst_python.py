#!/usr/bin/python3
"""Cost of a Python element per 480x2 F32 buffer, over an empty element in Rust: gst-python's way and
pypipelinenode's, in one run.

    cargo build --release --lib --example empty_element
    GST_PLUGIN_PATH=target/release tools/bench_gst_python.py [BUFFERS]

Both sides look up constants once. gst-python has no metrics, so pypipelinenode's are off but in the
rows that say so.
"""

import os
import subprocess
import sys
import tempfile
import time

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstBase", "1.0")
from gi.repository import Gst, GstBase  # noqa: E402

Gst.init(None)
here = os.path.dirname(os.path.abspath(__file__))
Gst.Registry.get().add_plugin(
    Gst.Plugin.load_file(os.path.join(here, "../target/release/examples/libempty_element.so")))
OK = Gst.FlowReturn.OK
READ_WRITE = Gst.MapFlags.READ | Gst.MapFlags.WRITE
HALF = np.float32(0.5)
CAPS = "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved"


class Base(GstBase.BaseTransform):
    __gsttemplates__ = tuple(
        Gst.PadTemplate.new(name, direction, Gst.PadPresence.ALWAYS, Gst.Caps.from_string(CAPS))
        for name, direction in (("sink", Gst.PadDirection.SINK), ("src", Gst.PadDirection.SRC)))


class PyNoop(Base):
    __gstmetadata__ = ("noop", "Filter", "does nothing", "-")

    def do_transform_ip(self, buffer):
        return OK


class PyGain(Base):
    __gstmetadata__ = ("gain", "Filter", "a gain", "-")

    def do_transform_ip(self, buffer):
        with buffer.map(READ_WRITE) as info:
            audio = np.ndarray((480, 2), np.float32, info.data)
            audio *= HALF
        return OK


for name, kind in (("pynoop", PyNoop), ("pygain", PyGain)):
    Gst.Element.register(None, name, 0, kind)

folder = tempfile.TemporaryDirectory()
path = os.path.join(folder.name, "bench_node.py")
with open(path, "w") as file:
    file.write("import numpy as np\nhalf = np.float32(0.5)\ndef noop(audio, ctx): pass\n"
               "def gain(audio, ctx): audio *= half\n")
NODE = f"pypipelinenode post-metrics=false module={path} function="
METERED = f"pypipelinenode module={path} function="
CASES = {
    "empty, in Rust": "rustempty",
    "identity": "identity silent=true",
    "gst-python no-op": "pynoop",
    "gst-python gain": "pygain",
    "pypipelinenode no-op": NODE + "noop",
    "pypipelinenode gain": NODE + "gain",
    "pypipelinenode with metrics, no-op": METERED + "noop",
    "pypipelinenode with metrics, gain": METERED + "gain",
    "isolated no-op": NODE + "noop isolation=process",
    "isolated gain": NODE + "gain isolation=process",
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


if len(sys.argv) > 2:
    print(min(seconds(CASES[sys.argv[2]], count) for _ in range(3)) / count * 1e6)
    sys.exit()

best = {}
# Round by round, so that what disturbs the machine disturbs all of them. Each in a process of its
# own: the thread state that pypipelinenode keeps would make gst-python's calls on the same thread
# cheaper.
for _ in range(3):
    for name in CASES:
        took = subprocess.run([sys.executable, __file__, str(count), name], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        best[name] = min(best.get(name, 1e9), float(took))
base = best["empty, in Rust"]
for name, took in best.items():
    kind = name.rsplit(" ", 1)[-1]
    share = ""
    if name.startswith(("pypipelinenode", "isolated")):
        share = f"   1/{(best['gst-python ' + kind] - base) / (took - base):.1f} of gst-python's"
    print(f"{name:34} {took:8.2f} us/buffer   {took - base:+8.2f} over the empty one{share}")
