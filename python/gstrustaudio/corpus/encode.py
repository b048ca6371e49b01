# SPDX-License-Identifier: MIT
"""Audio that was asked for: of a file whole, or of its segments in files of their own."""
from __future__ import annotations

import os
import shutil
from typing import Any, BinaryIO, Callable, List, Optional

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstAudio", "1.0")
from gi.repository import GLib, Gst, GstAudio  # noqa: E402

from ..messages import structure_of  # noqa: E402
from .names import file_id, shard  # noqa: E402
from .options import AUDIO_FORMATS, Options, encoded_rate  # noqa: E402
from .result import Result  # noqa: E402
from .storage import place  # noqa: E402

#: Bytes that are read and pushed at once.
_PIECE = 1 << 20
#: FLAC of 32 bits, which flacenc makes from GStreamer 1.28 on, libsndfile 1.2 cannot read.
_FLAC = "audio/x-raw,format={S8,S16LE,S16BE,S24LE,S24BE,S24_32LE,S24_32BE}"
_ENCODERS = {"wav": ["wavenc"], "flac": [_FLAC, "flacenc"], "opus": ["opusenc", "oggmux"]}


#: Seconds by which audio may be longer or shorter than what was listened to.
_TOLERANCE = 0.01


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
        Raises `EncodeError`, or OSError where it cannot be written."""
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
            if not pushed:
                raise EncodeError(f"{path}: no audio from {start / 1e9:.3f} to {end / 1e9:.3f} s")
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
            if error.domain == "gst-resource-error-quark":
                raise OSError(f"{path}: {error.message}")
            raise EncodeError(f"{path}: {error.message} ({debug})")


class Written:
    """What a pipeline writes of one file, and where it ends: below ``out``. ``scratch`` is a folder of its own.
    Raises `EncodeError` where GStreamer lacks the encoder."""

    def __init__(self, options: Options, out: str, scratch: str) -> None:
        self._options, self._out, self._scratch = options, out, scratch
        self._encoder: Optional[Encoder] = None
        #: Where the pipeline writes: a file of `AUDIO_FORMATS` for ``whole``, raw samples for ``segments``.
        self.path = os.path.join(scratch, "audio")
        # Caps among them are no elements.
        names = [e for e in _ENCODERS[options.audio_format] if "/" not in e]
        missing = [e for e in names if Gst.ElementFactory.find(e) is None]
        if missing and options.audio != "none":
            raise EncodeError(f"GStreamer has no {' and no '.join(missing)}, which --audio-format {options.audio_format} "
                              "needs: install its base and good plugins, or give another format")

    def close(self) -> None:
        """Frees the encoder."""
        if self._encoder is not None:
            self._encoder.close()

    def keep(self, result: Result, key: str, sink: Any, progress: Callable[[int], None]) -> None:
        """Moves it to its place, whole or cut into segments, and notes in ``result`` where that is."""
        if self._options.audio == "none":
            return
        identifier = file_id(key)
        folder = os.path.join("audio", shard(identifier))
        os.makedirs(os.path.join(self._out, folder), exist_ok=True)
        if self._options.audio == "whole":
            result.audio = os.path.join(folder, identifier + AUDIO_FORMATS[self._options.audio_format])
            result.audio_rate = self._options.rate
            place(self.path, os.path.join(self._out, result.audio))
        else:
            self._cut(result, os.path.join(folder, identifier), sink.get_static_pad("sink").get_current_caps(), progress)

    def _cut(self, result: Result, final: str, caps: Any, progress: Callable[[int], None]) -> None:
        """A file for each segment, in a folder that appears with all of them."""
        made = os.path.join(self._scratch, os.path.basename(final))
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(os.path.join(self._out, final), ignore_errors=True)
        if not result.segments:
            return
        os.mkdir(made)
        if self._encoder is None:
            self._encoder = Encoder(self._options.audio_format)
        result.audio_rate = structure_of(caps, 0).get_int("rate")[1]
        lasts = os.path.getsize(self.path) / GstAudio.AudioInfo.new_from_caps(caps).bpf / result.audio_rate
        if abs(lasts - result.duration / 1e9) > _TOLERANCE:
            raise EncodeError(f"its segments cannot be cut: {lasts:.3f} s of audio came out for {result.duration / 1e9:.3f} s "
                              "that were listened to; a node that changes lengths needs --audio none")
        with open(self.path, "rb") as audio:
            for segment in result.segments:
                name = f"{segment.index:05}{AUDIO_FORMATS[self._options.audio_format]}"
                self._encoder.write(audio, caps, segment.start, segment.end, os.path.join(made, name))
                segment.audio = os.path.join(final, name)
                progress(segment.end)
        place(made, os.path.join(self._out, final))
