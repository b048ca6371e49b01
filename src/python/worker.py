"""A node in a process of its own: takes requests from the pipeline's end of a socket.

Audio is in shared memory; the socket carries what to do with it, one packet a message. Started with
`python -c`, with the descriptors of the socket and the memory as arguments.
"""

import json
import mmap
import os
import signal
import socket
import struct
import sys
import threading
import time

CALL = struct.Struct("<cQQQqqiIQQQQiQIdQQQQQ")
REPLACED = struct.Struct("<cQI")
PART = struct.Struct("<QQQ")
NO_TIME = 2**64 - 1
PACKET = 1 << 18
TEXT = 60000

sock = socket.socket(fileno=int(sys.argv[1]))
memory_fd = int(sys.argv[2])
parent = int(sys.argv[3])
sys.argv[:] = [""]

# Ctrl-C is for the pipeline, which then ends this process.
signal.signal(signal.SIGINT, signal.SIG_IGN)


def watch_parent():
    # A node that never returns does not see the socket close.
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


threading.Thread(target=watch_parent, daemon=True).start()


def text(kind, body):
    sock.send(kind + body.encode("utf-8", "replace"))


def known(ns):
    return None if ns == NO_TIME else ns


class Stream:
    rate = channels = format = caps = None


class Ctx:
    """As in the pipeline's own process."""

    __slots__ = ("pts", "duration", "stream_time", "running_time", "speech", "utterance", "attempt",
                 "discont", "gap", "_segment", "_stream")

    rate = property(lambda self: self._stream.rate)
    channels = property(lambda self: self._stream.channels)
    format = property(lambda self: self._stream.format)
    caps = property(lambda self: self._stream.caps)

    @property
    def segment(self):
        rate, *times = self._segment
        return {"rate": rate, **dict(zip(("start", "stop", "time", "base"), map(known, times)))}

    def post(self, name, **fields):
        text(b"P", dumps([name, fields]))

    def log(self, level, line):
        if level not in ("error", "warning", "info", "debug", "trace"):
            raise TypeError(f"log level {level!r}; expected error, warning, info, debug or trace")
        text(b"L", json.dumps([level, str(line)[:TEXT]]))


class Shared:
    """The memory, mapped anew where the other end has made it larger."""

    def __init__(self):
        self.map = None
        self.size = 0

    def at_least(self, size):
        if size > os.fstat(memory_fd).st_size:
            os.ftruncate(memory_fd, size)
        if size > self.size:
            self.size = os.fstat(memory_fd).st_size
            self.map = mmap.mmap(memory_fd, self.size)
        return self.map


# Of node.py, once that has come.
dumps = json.dumps


def main():
    global dumps
    source = sock.recv(PACKET).decode()
    helper = {"__name__": "_rustaudio_node", "__file__": "<rustaudio>/node.py"}
    try:
        exec(compile(source, "<rustaudio>/node.py", "exec"), helper)
    except ModuleNotFoundError as error:
        text(b"E", json.dumps({
            "exception": "ModuleNotFoundError", "types": ["ModuleNotFoundError", "ImportError"],
            "message": f"{error}, in Python {sys.version} at {sys.prefix}. Install it there or set "
                       "python-home", "traceback": "", "configuration": True}))
        return
    helper["_OWN"].add("<string>")
    dumps = helper["dumps"]
    np = helper["np"]
    kinds = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 11: "f4", 12: "f8"}
    kinds = {number: np.dtype(code) for number, code in kinds.items()}
    shared = Shared()
    stream = Stream()
    node = None

    def call(packet):
        (_, total, frames, channels, frame_stride, channel_stride, sample, flags, pts, duration,
         stream_time, running_time, speech, utterance, attempt, rate, start, stop, base_time, base,
         size) = CALL.unpack(packet)
        memory = shared.at_least(total)
        shape, strides = (frames, channels), (frame_stride, channel_stride)
        if flags & 2:
            shape, strides = shape[::-1], strides[::-1]
        there = np.ndarray(shape, kinds[sample], memory, 0, strides)
        # A node may keep its array; the next call finds this memory free again.
        audio = there.copy("K")
        if not flags & 1:
            audio.flags.writeable = False
        if node.takes_ctx:
            ctx = Ctx()
            ctx.pts, ctx.duration = known(pts), known(duration)
            ctx.stream_time, ctx.running_time = known(stream_time), known(running_time)
            ctx.speech = None if speech < 0 else speech > 0
            ctx.utterance = utterance or None
            ctx.attempt = attempt
            ctx.discont, ctx.gap = bool(flags & 4), bool(flags & 8)
            ctx._segment = (rate, start, stop, base_time, base)
            ctx._stream = stream
            result = node.call(audio, ctx)
        else:
            result = node.call(audio)
        if result is None or result is audio:
            if flags & 1:
                there[...] = audio
            return b"I"
        arrays = node.outputs(result)
        if not isinstance(arrays, list):
            # What a generator yields may change when it goes on.
            arrays = [np.array(array) for array in arrays]
        at, parts = size, []
        for array in arrays:
            parts.append((at, array.nbytes, array.shape[1 if node.output.planar else 0]))
            at += array.nbytes
        memory = shared.at_least(at)
        for (offset, nbytes, _), array in zip(parts, arrays):
            np.ndarray(array.shape, array.dtype, memory, offset)[...] = array
        return REPLACED.pack(b"R", shared.size, len(parts)) + b"".join(PART.pack(*p) for p in parts)

    def cold(kind, body):
        nonlocal node
        if kind == b"N":
            node = helper["Node"](body)
            return node.describe()
        if kind == b"S":
            wanted = node.start(body)
            for key in ("rate", "channels", "format", "caps"):
                setattr(stream, key, node.info[key])
            return wanted
        if kind == b"U":
            return node.reload()
        node.stop()
        return ""

    while True:
        packet = sock.recv(PACKET)
        if not packet:
            return
        kind = packet[:1]
        try:
            if kind == b"C":
                sock.send(call(packet))
            else:
                text(b"A", cold(kind, packet[1:].decode()))
        except BaseException as error:
            file = node.file if node is not None else None
            said = json.loads(helper["describe"](error, file))
            said["traceback"] = said["traceback"][-TEXT:]
            said["message"] = said["message"][:TEXT]
            text(b"E", json.dumps(said))
            # Its frames would keep the audio of the failed call.
            del error


try:
    main()
except (BrokenPipeError, ConnectionResetError):
    pass
