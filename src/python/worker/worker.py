# SPDX-License-Identifier: MIT
"""A node in a process of its own: takes requests from the pipeline's end of a socket.

Audio is in shared memory. Calls and their answers are in a page of it (see control.rs); all else is
in packets of the socket, which also wake who sleeps. forkserver.py forks it or, where that would not
be safe, starts it with `python -c` and the arguments of `main`.
"""

import sys

# `-c` puts the current directory first: a json.py there must not be taken for the library's.
sys.path[:] = [folder for folder in sys.path if folder]

import faulthandler
import json
import mmap
import os
import signal
import socket
import struct
import threading
import time

SHAPE = struct.Struct("<QQQQqqiI")
MOMENT = struct.Struct("<QQQQiQIdQQQQ")
ANSWER = struct.Struct("<cxxxI")
PART = struct.Struct("<QQQ")
# Words of the page, in words, and what follows them, in bytes.
REQUESTED, PLUGIN_WATCHES, CANCEL = 0, 1, 2
ANSWERED, WORKER_WATCHES, TAKEN, ASIDES = 16, 17, 18, 19
REQUEST_AT, ANSWER_AT, PAGE = 128, 512, 4096
NO_TIME = 2**64 - 1
PACKET = 200_000
# Most bytes of a text, so that two of them and what is around them fit into a packet.
TEXT = 60_000

# What a process that hangs is ended with: it writes its stack and dies of it, without a core dump.
# forkserver.py sends it.
DUMP = signal.SIGRTMAX - 1


def take_up(socket_fd, audio_fd, page_fd):
    """Takes what the pipeline shares with this process."""
    global sock, memory_fd, page, words
    for inherited in (socket_fd, audio_fd, page_fd):
        # What the node starts must not keep them open.
        os.set_inheritable(inherited, False)
    sock = socket.socket(fileno=socket_fd)
    memory_fd = audio_fd
    page = memoryview(mmap.mmap(page_fd, PAGE))
    words = page[:REQUEST_AT].cast("I")
    # Stacks go behind the page, where crash.rs finds them.
    os.lseek(page_fd, PAGE, os.SEEK_SET)
    faulthandler.enable(page_fd)
    faulthandler.register(DUMP, page_fd, chain=True)


def watch_parent(parent):
    # A node that never returns does not see the socket close.
    while os.getppid() == parent:
        time.sleep(1)
    # With all that it started: this process leads a group of its own.
    os.killpg(0, signal.SIGKILL)


# Taking a lock is the one full memory barrier that Python has.
fence = threading.Lock()
one_aside = threading.Lock()


def text(kind, body):
    sock.send(kind + body.encode("utf-8", "replace"))


def fit(said, room=TEXT, last=False):
    """The start (or the end) of a text that is at most `room` bytes as JSON."""
    said = said[-room:] if last else said[:room]
    while len(json.dumps(said)) > room:
        length = len(said) * 3 // 4
        said = said[-length:] if last else said[:length]
    return said


def notice(kind, body):
    length = len(body.encode("utf-8", "replace"))
    if length >= PACKET:
        raise ValueError(f"a message of {length} bytes as JSON; there is room for {PACKET - 2} in a "
                         "node of its own process")
    with one_aside:
        try:
            text(kind, body)
        except (BrokenPipeError, ConnectionResetError):
            # A thread of the node outlives the pipeline: nobody listens any more.
            return
        words[ASIDES] = (words[ASIDES] + 1) & 0xFFFFFFFF


def known(ns):
    return None if ns == NO_TIME else ns


class Stream:
    rate = channels = format = caps = None


class Ctx:
    """As in the pipeline's own process."""

    __slots__ = ("_moment", "_flags", "_stream")

    def __init__(self, moment, flags, stream):
        self._moment = moment
        self._flags = flags
        self._stream = stream

    rate = property(lambda self: self._stream.rate)
    channels = property(lambda self: self._stream.channels)
    format = property(lambda self: self._stream.format)
    caps = property(lambda self: self._stream.caps)
    pts = property(lambda self: known(self._moment[0]))
    duration = property(lambda self: known(self._moment[1]))
    stream_time = property(lambda self: known(self._moment[2]))
    running_time = property(lambda self: known(self._moment[3]))
    speech = property(lambda self: None if self._moment[4] < 0 else self._moment[4] > 0)
    utterance = property(lambda self: self._moment[5] or None)
    attempt = property(lambda self: self._moment[6])
    discont = property(lambda self: bool(self._flags & 4))
    gap = property(lambda self: bool(self._flags & 8))

    @property
    def segment(self):
        rate, *times = self._moment[7:]
        return {"rate": rate, **dict(zip(("start", "stop", "time", "base"), map(known, times)))}

    def post(self, name, **fields):
        notice(b"P", f"[{json.dumps(name)}, {posted(name, fields)}]")

    def log(self, level, line):
        if level not in ("error", "warning", "info", "debug", "trace"):
            raise TypeError(f"log level {level!r}; expected error, warning, info, debug or trace")
        notice(b"L", json.dumps([level, fit(clean(str(line)))]))


class Limits:
    """The other end keeps the time."""

    def over(self, elapsed, least):
        return words[CANCEL]


class Shared:
    """The memory, mapped anew where the other end has made it larger."""

    def __init__(self):
        self.map = None
        self.size = 0

    def at_least(self, size):
        if size > self.size:
            if size > os.fstat(memory_fd).st_size:
                os.ftruncate(memory_fd, size)
            self.size = os.fstat(memory_fd).st_size
            self.map = mmap.mmap(memory_fd, self.size)
        return self.map


# texts.py and node.py as a namespace, once that is there, and what of it is used here.
helper = posted = clean = None


def load_helper(source):
    global helper, posted, clean
    if helper is None:
        made = {"__name__": "_rustaudio_node", "__file__": "<rustaudio>/node.py"}
        exec(compile(source, "<rustaudio>/node.py", "exec"), made)
        # This file, forked and started.
        made["_OWN"].update(("<rustaudio>/worker.py", "<string>"))
        posted, clean = made["posted"], made["clean"]
        helper = made


def main(socket_fd, audio_fd, page_fd, parent, watch_ns, source):
    """Works until the other end is closed. `watch_ns`: longest that it watches for a request before
    it sleeps."""
    take_up(socket_fd, audio_fd, page_fd)
    # Ctrl-C is for the pipeline, which then ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch_parent, args=(parent,), daemon=True).start()
    if sys.version_info < (3, 10):
        text(b"E", json.dumps({
            "exception": "ConfigurationError", "types": ["ConfigurationError"],
            "message": f"Python {sys.version.split()[0]} at {sys.prefix} is older than 3.10, the "
                       "oldest that is supported; name another with python-home",
            "traceback": "", "configuration": True}))
        return
    try:
        load_helper(source)
    except ModuleNotFoundError as error:
        text(b"E", json.dumps({
            "exception": "ModuleNotFoundError", "types": ["ModuleNotFoundError", "ImportError"],
            "message": f"{error}, in Python {sys.version} at {sys.prefix}. Install it there or set "
                       "python-home", "traceback": "", "configuration": True}))
        return
    try:
        work(watch_ns)
    except (BrokenPipeError, ConnectionResetError):
        pass


def work(watch_ns):
    np = helper["np"]
    kinds = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 11: "f4", 12: "f8"}
    kinds = {number: np.dtype(code) for number, code in kinds.items()}
    shared = Shared()
    stream = Stream()
    node = None
    # Of the last call: its shape as it came, what was read of it, and the array over the memory.
    shape_bytes, size, flags, there = b"", 0, 0, None

    def replaced(arrays):
        """Puts what the node returned behind the input; the answer that says so."""
        if not isinstance(arrays, list):
            # What a generator yields may change when it goes on.
            arrays = [np.array(array) for array in arrays]
        most = (PACKET - ANSWER.size) // PART.size
        if len(arrays) > most:
            raise helper["OutputError"](f"the node returned {len(arrays)} arrays; there is room for "
                                        f"{most} in a node of its own process")
        at, parts = size, [ANSWER.pack(b"R", len(arrays))]
        memory = shared.at_least(at + sum(array.nbytes for array in arrays))
        for array in arrays:
            np.ndarray(array.shape, array.dtype, memory, at)[...] = array
            parts.append(PART.pack(at, array.nbytes, array.shape[1 if node.output.planar else 0]))
            at += array.nbytes
        return b"".join(parts)

    in_place = ANSWER.pack(b"I", 0)

    def call():
        nonlocal shape_bytes, size, flags, there
        came = bytes(page[REQUEST_AT:REQUEST_AT + SHAPE.size])
        if came != shape_bytes:
            (total, size, frames, channels, frame_stride, channel_stride, sample,
             flags) = SHAPE.unpack(came)
            shape, strides = (frames, channels), (frame_stride, channel_stride)
            if flags & 2:
                shape, strides = shape[::-1], strides[::-1]
            there = np.ndarray(shape, kinds[sample], shared.at_least(total), 0, strides)
            shape_bytes = came
        # A node may keep its array; the next call finds this memory free again.
        audio = there.copy("K")
        if not flags & 1:
            audio.flags.writeable = False
        if node.takes_ctx:
            moment = MOMENT.unpack_from(page, REQUEST_AT + SHAPE.size)
            result = node.call(audio, Ctx(moment, flags, stream))
        else:
            result = node.call(audio)
        if result is None or result is audio:
            if flags & 1:
                there[...] = audio
            return in_place
        arrays = node.outputs(result)
        if arrays is None:
            if flags & 1:
                there[...] = audio
            return in_place
        return replaced(arrays)

    def drain(packet):
        result = node.drain(Ctx(MOMENT.unpack_from(packet, 1), 0, stream))
        return in_place if result is None else replaced(node.outputs(result))

    def cold(kind, body):
        nonlocal node
        if kind == b"N":
            node = helper["Node"](body, Limits())
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

    def failed(error):
        file = node.file if node is not None else None
        said = json.loads(helper["describe"](error, file))
        said["traceback"] = fit(said["traceback"], last=True)
        said["message"] = fit(said["message"])
        body = json.dumps(said)
        if len(body) >= PACKET:
            # Names without end, or a number.
            name = fit(type(error).__name__, 1000)
            body = json.dumps({"exception": name, "types": [name], "message": said["message"],
                               "traceback": said["traceback"]})
        text(b"E", body)

    clock = time.perf_counter_ns
    seen, close, answered_at = 0, False, 0

    def watch():
        """Whether the next request is there; if not, the other side has to send a packet. (If it
        is, taking the word back would have it send one that nobody reads.)"""
        if not watch_ns:
            return False
        if close:
            words[WORKER_WATCHES] = 1
            until = clock() + watch_ns
            while words[REQUESTED] == seen and clock() < until:
                pass
            if words[REQUESTED] != seen:
                return True
        words[WORKER_WATCHES] = 0
        with fence:
            return words[REQUESTED] != seen

    def wake():
        """Wakes the other side. If it has packets to read it does not sleep: no need to wait for
        room, as both sides could wait for each other then."""
        try:
            sock.send(b"D", socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass

    inbox = bytearray(PACKET)
    while True:
        if not watch():
            # A fresh object of that size for each would be mapped and unmapped.
            length = sock.recv_into(inbox)
            if not length:
                return
            packet = bytes(inbox[:length])
            kind = packet[:1]
            if kind != b"W":
                try:
                    if kind == b"X":
                        sock.send(drain(packet))
                    else:
                        text(b"A", cold(kind, packet[1:].decode()))
                except BaseException as error:
                    failed(error)
                continue
            # It may have been sent for a request that this side saw by itself.
            if words[REQUESTED] == seen:
                continue
        close = clock() - answered_at < watch_ns
        seen = words[REQUESTED]
        words[TAKEN] = seen
        try:
            answer = call()
            if len(answer) > PAGE - ANSWER_AT:
                sock.send(answer)
            else:
                page[ANSWER_AT:ANSWER_AT + len(answer)] = answer
                words[ANSWERED] = seen
                with fence:
                    sleeps = not words[PLUGIN_WATCHES]
                if sleeps:
                    wake()
        except BaseException as error:
            # Its frames, which would keep the audio of the failed call, go with it.
            failed(error)
        answered_at = clock()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.argv[:] = [""]
    main(*map(int, arguments[:5]), arguments[5])
