#!/usr/bin/python3
"""Runs recorded speech through all four elements and prints what they say on the bus.

    examples/speech_pipeline.py [FILE]"""
import sys
from pathlib import Path

import gi
gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst

Gst.init(None)
recording = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/sounds/alsa/Front_Center.wav"
node = Path(__file__).with_name("nodes") / "gain.py"
pipeline = Gst.parse_launch(
    f"filesrc location={recording} ! decodebin"
    " ! rustaudioconvert ! audio/x-raw,format=F32LE,channels=1"
    " ! rustresample ! audio/x-raw,rate=16000 ! rustvad"
    f' ! pypipelinenode module={node} class=Gain kwargs="{{\\"db\\":6}}" ! fakesink')
loop = GLib.MainLoop()
errors = []


def on_message(bus, message):
    s = message.get_structure()
    if message.type == Gst.MessageType.ELEMENT and s.get_name() == "rustvad":
        print("speech" if s["speech"] else "silence", "from", s["stream-time"] / 1e9)
    elif message.type == Gst.MessageType.ELEMENT and s.get_name() == "rustaudio-metrics" and s["final"]:
        print(f"{s['factory']}: {s['num-samples']} samples, p99 {s['processing-time-p99'] / 1e3:.0f} us")
    elif message.type == Gst.MessageType.ERROR:
        error, debug = message.parse_error()   # the node's traceback is in debug
        errors.append(f"{error.message}\n{debug}")
    if message.type in (Gst.MessageType.ERROR, Gst.MessageType.EOS):
        loop.quit()


bus = pipeline.get_bus()
bus.add_signal_watch()
bus.connect("message", on_message)
pipeline.set_state(Gst.State.PLAYING)
loop.run()
pipeline.set_state(Gst.State.NULL)
sys.exit("\n".join(errors) or 0)
