"""Two nodes of one process, started one after the other with other surroundings."""

import os
import tempfile

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

Gst.init(None)
folder = tempfile.mkdtemp()
node = os.path.join(folder, "node.py")
with open(node, "w") as file:
    file.write("""import os
def process(audio, ctx):
    print(os.environ.get("WHO"), os.getcwd(), os.umask(0), flush=True)
""")


def start():
    pipeline = Gst.parse_launch(
        f"audiotestsrc num-buffers=1 ! pypipelinenode isolation=process module={node} ! fakesink")
    pipeline.set_state(Gst.State.PLAYING)
    wanted = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, wanted)
    assert message and message.type == Gst.MessageType.EOS, message
    # Kept, so that what serves both could be the same.
    return pipeline


def redirected(name):
    kept = os.dup(1)
    with open(os.path.join(folder, name), "wb") as file:
        os.dup2(file.fileno(), 1)
    pipeline = start()
    os.dup2(kept, 1)
    os.close(kept)
    return pipeline


os.environ["WHO"] = "first"
one = redirected("one")
two = redirected("two")
os.environ["WHO"] = "second"
os.chdir(folder)
three = redirected("three")
os.umask(0o77)
four = redirected("four")
for pipeline in (one, two, three, four):
    pipeline.set_state(Gst.State.NULL)
said = [open(os.path.join(folder, name)).read().split() for name in ("one", "two", "three", "four")]
assert said[0] == said[1] and said[0][0] == "first", said
assert said[2][:2] == ["second", os.path.realpath(folder)], said
assert said[3] == [*said[2][:2], str(0o77)] != said[2], said
print("all good")
