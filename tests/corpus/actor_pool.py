"""A pipeline with examples/nodes/ray_pool.py, for test_ray.py: plays CHUNKS of 480 frames, each of another value,
and kills an actor's process when KILL of them have come out; prints what came as JSON.

    actor_pool.py CHUNKS KILL"""
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

import gi
import numpy as np

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

NODE = Path(__file__).resolve().parents[2] / "examples" / "nodes" / "ray_pool.py"


def pipeline(node):
    """A pipeline from an appsrc to an appsink, with the element ``node`` in between."""
    Gst.init(None)
    return Gst.parse_launch(
        "appsrc name=in format=time block=true max-bytes=100000 ! audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved"
        f" ! {node} ! appsink name=out sync=false max-buffers=2")


def play(p, chunks, each=lambda count: None):
    """Values that came out, one a chunk, and failures as (exception, action); ``each`` hears how many have come."""
    p.set_state(Gst.State.PLAYING)
    source, sink, values, sent = p.get_by_name("in"), p.get_by_name("out"), [], 0
    while True:
        while sent < chunks and sent < len(values) + 16:
            buffer = Gst.Buffer.new_wrapped(np.full(480, sent, "<f4").tobytes())
            buffer.pts, buffer.duration = sent * 10_000_000, 10_000_000
            source.emit("push-buffer", buffer)
            sent += 1
            if sent == chunks:
                source.emit("end-of-stream")
        sample = sink.emit("pull-sample")
        if sample is None:
            break
        buffer = sample.get_buffer()
        ok, mapped = buffer.map(Gst.MapFlags.READ)
        values.append((np.frombuffer(mapped.data, "<f4").tolist(), buffer.pts))
        buffer.unmap(mapped)
        each(len(values))
    failures = []
    while True:
        message = p.get_bus().pop_filtered(Gst.MessageType.ELEMENT | Gst.MessageType.ERROR)
        if message is None:
            break
        s = message.get_structure()
        if message.type == Gst.MessageType.ERROR:
            raise SystemExit(str(message.parse_error()))
        if s.get_name() == "pypipelinenode-failure":
            failures.append((s["exception"], s["action"]))
    p.set_state(Gst.State.NULL)
    return values, failures


def main(chunks, kill):
    import ray

    # The element takes a loaded module of that name for its own.
    spec = importlib.util.spec_from_file_location("ray_pool", NODE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["ray_pool"] = module
    spec.loader.exec_module(module)
    pids = []

    class Known(module.RayPool):
        def start(self):
            super().start()
            pids[:] = [ray.get(a.__ray_call__.remote(lambda _: os.getpid())) for a in self.actors]

    module.RayPool = Known

    def each(count):
        if count == kill:
            os.kill(pids[1], signal.SIGKILL)

    started = time.monotonic()
    values, failures = play(pipeline("pypipelinenode module=ray_pool class=RayPool kwargs=\"{\\\"actors\\\":2}\" initial-backoff=1000000"),
                            chunks, each)
    seconds = time.monotonic() - started
    whole = [len(set(v)) == 1 and len(v) == 480 for v, _ in values]
    print(json.dumps({"values": [v[0] for v, _ in values], "times": [t for _, t in values], "whole": all(whole),
                      "failures": failures, "seconds": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
