"""pypipelinenode in a Python host: one interpreter, one sys, the host's modules."""

import os
import sys
import tempfile
import threading

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
NODE = """
import sys, threading
import host_module

class Node:
    def start(self, info):
        host_module.seen.append(("start", id(sys), info.rate, info.channels))

    def process(self, audio, ctx):
        host_module.seen.append(("process", audio.shape, ctx.pts, threading.get_ident()))
        audio[:] = 7
        ctx.post("told", n=len(host_module.seen))

    def stop(self):
        host_module.seen.append(("stop",))
"""


class host_module:
    seen = []


sys.modules["host_module"] = host_module


def play(line):
    pipeline = Gst.parse_launch(line)
    bus = pipeline.get_bus()
    got = []
    pad = pipeline.get_by_name("out").get_static_pad("sink")

    def probe(_, info):
        ok, data = info.get_buffer().map(Gst.MapFlags.READ)
        got.append(bytes(data.data))
        info.get_buffer().unmap(data)
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER, probe)
    pipeline.set_state(Gst.State.PLAYING)
    messages = []
    while True:
        message = bus.timed_pop(30 * Gst.SECOND)
        assert message is not None, "nothing came"
        messages.append(message)
        if message.type in (Gst.MessageType.EOS, Gst.MessageType.ERROR):
            break
    pipeline.set_state(Gst.State.NULL)
    assert messages[-1].type == Gst.MessageType.EOS, messages[-1].parse_error()
    return got, messages


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "host_node.py")
    with open(path, "w") as file:
        file.write(NODE)
    got, messages = play(
        f"audiotestsrc num-buffers=5 samplesperbuffer=100 ! audio/x-raw,format=S16LE,channels=1,rate=8000 "
        f"! pypipelinenode module={path} class=Node ! fakesink name=out")

seen = host_module.seen
assert seen[0] == ("start", id(sys), 8000, 1), seen[0]
assert [s[0] for s in seen] == ["start"] + ["process"] * 5 + ["stop"], seen
assert [s[2] for s in seen[1:6]] == [i * 12_500_000 for i in range(5)], seen
assert seen[1][3] != threading.get_ident()
assert got == [b"\x07\x00" * 100] * 5
told = [m.get_structure().get_value("n") for m in messages
        if m.type == Gst.MessageType.ELEMENT and m.get_structure().get_name() == "told"]
assert told == [2, 3, 4, 5, 6], told
print("all good")
