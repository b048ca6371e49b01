"""Audio of segments into files of their own."""
from __future__ import annotations

from typing import Any, BinaryIO, List

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstAudio", "1.0")
from gi.repository import GLib, Gst, GstAudio  # noqa: E402

from .options import encoded_rate  # noqa: E402

#: Bytes that are read and pushed at once.
_PIECE = 1 << 20
_ENCODERS = {"wav": ["wavenc"], "flac": ["flacenc"], "opus": ["opusenc", "oggmux"]}


class EncodeError(Exception):
    """A segment could not be written."""


def encoder_chain(name: str, rate: int) -> List[str]:
    """Elements from raw audio of ``rate`` to bytes of a file, as gst-launch writes them."""
    chain = ["rustaudioconvert"]
    if encoded_rate(name, rate) != rate:
        chain += ["rustresample", f"audio/x-raw,rate={encoded_rate(name, rate)}"]
    return chain + _ENCODERS[name]


class Encoder:
    """Writes pieces of raw audio as files of one kind; its pipeline is made once for each rate."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rate = 0
        self._pipeline: Any = None

    def close(self) -> None:
        """Frees the pipeline."""
        if self._pipeline is not None:
            self._pipeline.set_state(Gst.State.NULL)

    def write(self, audio: BinaryIO, caps: Any, start: int, end: int, path: str) -> None:
        """Writes ``start`` to ``end`` (ns) of ``audio``, raw samples of ``caps`` from time 0 on, to ``path``.
        Raises `EncodeError`, or OSError where the disk is full."""
        info = GstAudio.AudioInfo.new_from_caps(caps)
        self._ready(info.rate)
        source, sink = self._pipeline.get_by_name("source"), self._pipeline.get_by_name("sink")
        source.set_property("caps", caps)
        sink.set_property("location", path)
        at, last = (round(t * info.rate / 1e9) for t in (start, end))
        audio.seek(at * info.bpf)
        left, pushed = (last - at) * info.bpf, 0
        self._pipeline.set_state(Gst.State.PLAYING)
        try:
            while left > 0:
                data = audio.read(min(left, _PIECE // info.bpf * info.bpf))
                if not data:
                    break
                left -= len(data)
                buffer = Gst.Buffer.new_wrapped(data)
                buffer.pts = pushed * Gst.SECOND // info.rate
                pushed += len(data) // info.bpf
                source.emit("push-buffer", buffer)
            source.emit("end-of-stream")
            self._finish(path)
        finally:
            # In READY the sink would still have its file open.
            self._pipeline.set_state(Gst.State.NULL)

    def _ready(self, rate: int) -> None:
        if self._pipeline is not None and rate == self._rate:
            return
        self.close()
        line = ["appsrc name=source format=time block=true max-bytes=4194304",
                *encoder_chain(self._name, rate), "filesink name=sink sync=false async=false"]
        try:
            self._pipeline = Gst.parse_launch(" ! ".join(line))
        except GLib.Error as e:
            raise EncodeError(f"cannot write {self._name}: {e.message}") from None
        self._rate = rate

    def _finish(self, path: str) -> None:
        kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
        message = self._pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, kinds)
        if message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            if error.matches(Gst.ResourceError.quark(), Gst.ResourceError.NO_SPACE_LEFT):
                raise OSError(28, "No space left on device", path)
            raise EncodeError(f"{path}: {error.message} ({debug})")
