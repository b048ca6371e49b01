"""Ends while a call awaits: it is cancelled, and its clean-up runs."""

import ctypes
import os
import sys
import tempfile

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
path = os.path.join(tempfile.mkdtemp(), "waits.py")
with open(path, "w") as file:
    file.write("""import asyncio
class N:
    async def process(self, audio, ctx):
        ctx.post("inside")
        try:
            await asyncio.Event().wait()
        finally:
            print("cleaned up", flush=True)
""")
pipeline = Gst.parse_launch(f"audiotestsrc ! pypipelinenode module={path} class=N ! fakesink")
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(
    30 * Gst.SECOND, Gst.MessageType.ELEMENT | Gst.MessageType.ERROR)
assert message is not None and message.type == Gst.MessageType.ELEMENT
# The pipeline runs on. It is never given up: GStreamer warns of one that is while it plays.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(pipeline))
sys.exit(0)
