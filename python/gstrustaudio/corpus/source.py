# SPDX-License-Identifier: MIT
"""What reads one file and decodes its first audio stream.

Files of the containers that corpora are mostly of go straight from demuxer to decoder. decodebin takes all else: it
finds out what a file is and tells what is wrong with it, but has a thread for each stream of a container, which
hand over packet by packet; for Opus and AAC that costs more than detection does."""
from __future__ import annotations

import os
from typing import Any, List

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

from ..messages import structure_of  # noqa: E402
from .padding import padding_of  # noqa: E402
from .result import Result  # noqa: E402

_BLOCK = 65536
#: What is taken of what is decoded: elements further on mix 64 channels, and a second at a rate near 1 Hz, which no
#: recording has, would be made 16,000 times as long.
_RATES, _CHANNELS = (1000, 1_000_000), 64
TAKEN = f"audio/x-raw,rate=[{_RATES[0]},{_RATES[1]}],channels=[1,{_CHANNELS}]"
#: Sizes of .wav files from which on they say that it was not known, as what is written to a pipe has.
_ENDLESS = 0x7FFF0000
#: Chunks of .wav files that are looked through for the samples.
_CHUNKS = 4096
#: Format tags of .wav files that hold plain samples: integers, floats, and what says so further on.
_PLAIN = (b"\x01\x00", b"\x03\x00", b"\xfe\xff")


def demuxer_of(path: str) -> str:
    """The element that the file at ``path`` may go through without decodebin, by its first bytes; else empty."""
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as f:
            head = f.read(_BLOCK)
            if head[:4] == b"OggS":
                return "oggdemux" if _one_chain(f, head) else ""
    except OSError:
        return ""
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt " and head[20:22] in _PLAIN:
        return "wavparse"
    if head[4:8] == b"ftyp":
        return "qtdemux"
    return "matroskademux" if head[:4] == b"\x1a\x45\xdf\xa3" else ""


def _wave_share(path: str) -> float:
    """Of a .wav file, whatever is in it: what part of the bytes of samples that it announces are there, 1 where it does
    not say. Of other files 0."""
    if not os.path.isfile(path):
        return 0.0
    try:
        with open(path, "rb") as f:
            head = f.read(12)
            if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
                return 0.0
            for _ in range(_CHUNKS):
                name, size = _chunk(f)
                if name in (b"data", b"", bytes(4)):
                    break
                f.seek(size + size % 2, os.SEEK_CUR)
            if name != b"data":
                return 1.0
            begin = f.tell()
            there = f.seek(0, os.SEEK_END) - begin
    except OSError:
        return 0.0
    return max(there, 1) / size if 0 <= there < size < _ENDLESS else 1.0


def _chunk(f: Any) -> "tuple[bytes, int]":
    """Name and size of the chunk that begins here; empty where none does."""
    head = f.read(8)
    return (head[:4], int.from_bytes(head[4:], "little")) if len(head) == 8 else (b"", 0)


def _one_chain(f: Any, head: bytes) -> bool:
    """Whether an Ogg file is one stream after its headers, and not several files in a row, as broadcasts are recorded:
    its last page then bears a number that one of its first pages has."""
    end = f.seek(0, os.SEEK_END)
    f.seek(max(0, end - _BLOCK))
    tail = f.read()
    last = tail.rfind(b"OggS")
    number = tail[last + 14 : last + 18]
    at, begun = 0, []
    # Pages that begin a stream come before all others.
    while head[at : at + 4] == b"OggS" and head[at + 5 : at + 6] in (b"\x02", b"\x06"):
        begun.append(head[at + 14 : at + 18])
        lengths = head[at + 27 : at + 27 + head[at + 26]]
        at += 27 + len(lengths) + sum(lengths)
    return last >= 0 and len(number) == 4 and number in begun


def prefer_faster() -> None:
    """Has mp3 decoded by mpg123 where libav is installed, too, whose decoder has the same rank and takes more than twice
    as long; unless GST_PLUGIN_FEATURE_RANK says what is wanted."""
    name = "mpg123audiodec"
    feature = Gst.Registry.get().lookup_feature(name)
    if feature is not None and name not in os.environ.get("GST_PLUGIN_FEATURE_RANK", ""):
        feature.set_rank(max(feature.get_rank(), Gst.Rank.PRIMARY + 1))


def _why_not(caps: Any) -> str:
    """Why raw audio of ``caps`` is not taken."""
    made = structure_of(caps, 0)
    rate, channels = made.get_int("rate")[1] % (1 << 32), made.get_int("channels")[1]
    if channels > _CHANNELS:
        return f"it has {channels} channels; up to {_CHANNELS} are taken"
    if not _RATES[0] <= rate <= _RATES[1]:
        return f"it has a rate of {rate} Hz; {_RATES[0]} to {_RATES[1]} Hz are taken"
    return f"its {channels} channels cannot be mixed: {caps.to_string()}"


def decoder() -> Any:
    """A decodebin that gives raw audio, and does not decode what else there is."""
    made = Gst.ElementFactory.make("decodebin")
    made.set_property("caps", Gst.Caps.from_string("audio/x-raw"))
    made.set_property("expose-all-streams", False)
    return made


class Source:
    """Reads ``path`` into the pad ``into``, through the element ``demuxer``, or decodebin where that is empty."""

    def __init__(self, pipeline: Any, into: Any, path: str, demuxer: str) -> None:
        self._pipeline, self._into = pipeline, into
        self._fd = -1
        self._share = _wave_share(path)
        self._padding = None if demuxer else padding_of(path)
        self._refused = ""
        reader = self._reader(path)
        reader.set_property("blocksize", _BLOCK)
        second = Gst.ElementFactory.make(demuxer) if demuxer else None
        #: Whether decodebin is not asked what the file is.
        self.direct = second is not None
        self._top = second or decoder()
        self._elements = [reader, self._top]
        for element in self._elements:
            pipeline.add(element)
        reader.link(self._top)
        always = self._top.get_static_pad("src")
        if always is not None:
            self._link(always)
        elif self.direct:
            self._top.connect("pad-added", self._stream)
        else:
            self._top.connect("pad-added", self._decoded)

    def _reader(self, path: str) -> Any:
        """What reads the file. wavparse looks for chunks behind the samples where it may read anywhere, and in
        GStreamer 1.22 says that there are none at all where it finds less than a chunk: the byte, for instance, that
        an odd number of them is followed by. What gives it bytes in their order keeps it from that."""
        if self._share:
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                # filesrc tells what is wrong with it.
                self._fd = -1
        reader = Gst.ElementFactory.make("filesrc" if self._fd < 0 else "fdsrc")
        if self._fd < 0:
            reader.set_property("location", path)
        else:
            reader.set_property("fd", self._fd)
        return reader

    def _stream(self, _: Any, pad: Any) -> None:
        """A stream of a container: the first one of audio is decoded, others go nowhere."""
        caps = pad.get_current_caps() or pad.query_caps(None)
        kind = structure_of(caps, 0).get_name() if caps.get_size() else ""
        if not kind.startswith("audio/") or len(self._elements) > 2 or self._into.is_linked():
            return
        if kind == "audio/x-raw":
            self._link(pad)
            return
        inner = decoder()
        inner.connect("pad-added", self._decoded)
        self._add(inner)
        pad.link(inner.get_static_pad("sink"))

    def _decoded(self, _: Any, pad: Any) -> None:
        """Raw audio: the first of it goes in; others end in a sink of their own, as decodebin gives them all."""
        if not self._into.is_linked():
            self._link(pad)
            return
        rest = Gst.ElementFactory.make("fakesink")
        rest.set_property("async", False)
        rest.set_property("sync", False)
        self._add(rest)
        pad.link(rest.get_static_pad("sink"))

    def _link(self, pad: Any) -> None:
        caps = pad.get_current_caps()
        try:
            self._placed(pad, caps).link(self._into)
        except Gst.LinkError:
            self._refused = _why_not(caps) if caps is not None else ""
            return
        if self._padding is not None:
            self._padding.watch(self._into)

    def _placed(self, pad: Any, caps: Any) -> Any:
        """``pad``, or one that says of its channels that no position is known: wavparse does not where it is so, and
        without nobody takes more than two."""
        made = structure_of(caps, 0) if caps is not None else None
        if made is None or made.get_int("channels")[1] <= 2 or made.has_field("channel-mask"):
            return pad
        setter = Gst.ElementFactory.make("capssetter")
        if setter is None:
            return pad
        setter.set_property("caps", Gst.Caps.from_string("audio/x-raw,channel-mask=(bitmask)0x0"))
        self._add(setter)
        pad.link(setter.get_static_pad("sink"))
        return setter.get_static_pad("src")

    def refused(self) -> str:
        """Why raw audio that was offered is not taken, if it is known; while the pipeline still has its pads' caps."""
        pad = self._into.get_peer()
        caps = pad.get_current_caps() if pad is not None and not self.has_begun() else None
        return self._refused or (_why_not(caps) if caps is not None else "")

    def _add(self, element: Any) -> None:
        self._elements.append(element)
        self._pipeline.add(element)
        element.sync_state_with_parent()

    def has_begun(self) -> bool:
        """Whether audio has come: from then on it cannot be begun anew."""
        first = self._into.get_parent_element().get_static_pad("src").get_peer()
        return first.get_current_caps() is not None

    def working(self) -> bool:
        """Whether a thread is at work before the audio. decodebin holds back the errors of an element while it
        tries it, and loses that of a demuxer which fails at once: nothing comes then, no error either."""
        return any(p.get_task_state() == Gst.TaskState.STARTED for e in [*self._elements, *self._inside()] for p in e.pads)

    def own_times(self) -> "tuple[int, int]":
        """Where the file is by its own time, and how long it says it is, ns; 0 where it does not say, or may mean
        another stream."""
        pad = self._into.get_peer()
        demuxers = [e for e in [self._top, *self._inside()] if "Demux" in (e.get_metadata("klass") or "")]
        if pad is None or any(len(e.srcpads) > 1 for e in demuxers):
            return 0, 0
        (there, at), (ok, duration) = pad.query_position(Gst.Format.TIME), pad.query_duration(Gst.Format.TIME)
        # wavparse tells of what is there.
        return at if there else 0, int(duration / (self._share or 1)) if ok else 0

    def without_padding(self, result: Result) -> None:
        """Takes what the encoder has put around the audio, and readers leave out, out of the times of ``result``."""
        if self._padding is not None:
            self._padding.leave_out(result)

    def _inside(self) -> List[Any]:
        bins = [e for e in self._elements if isinstance(e, Gst.Bin)]
        return [b.children[i] for b in bins for i in range(len(b.children))]

    def remove(self) -> None:
        """Takes its elements out of the pipeline."""
        if self._padding is not None:
            self._padding.close()
        for element in self._elements:
            element.set_state(Gst.State.NULL)
            self._pipeline.remove(element)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
