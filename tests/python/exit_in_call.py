"""Ends while streaming threads are inside Python: no abort, exit status 0."""

import os
import sys
import tempfile

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

Gst.init(None)
folder = tempfile.mkdtemp()
path = os.path.join(folder, "busy.py")
with open(path, "w") as file:
    file.write("def process(audio, ctx):\n    for _ in range(2000): pass\n    ctx.post('inside')\n")
pipelines = [
    Gst.parse_launch(f"audiotestsrc ! pypipelinenode module={path} ! fakesink") for _ in range(4)
]
for pipeline in pipelines:
    pipeline.set_state(Gst.State.PLAYING)
for pipeline in pipelines:
    while True:
        message = pipeline.get_bus().timed_pop_filtered(
            30 * Gst.SECOND, Gst.MessageType.ELEMENT | Gst.MessageType.ERROR)
        assert message is not None and message.type == Gst.MessageType.ELEMENT
        if message.get_structure().get_name() == "inside":
            break
os.remove(path)
os.rmdir(folder)
# The pipelines run on.
sys.exit(0)
