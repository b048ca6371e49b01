# SPDX-License-Identifier: MIT
"""One file through one pipeline: decode, convert, resample, detect, and what else was asked for.

The second half of the pipeline, from ``rustaudioconvert`` to the sink, is made once and goes to READY
between files, so that filter tables and Python nodes stay loaded; what reads and decodes is new for each
file (`source`), whatever state the last one left it in."""
from __future__ import annotations

import errno
import os
import re
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

from ..messages import Metrics, structure_fields, structure_of  # noqa: E402
from ..plugin import find_plugin  # noqa: E402
from .encode import EncodeError, Written, encoder_chain  # noqa: E402
from .names import is_unicode  # noqa: E402
from .options import Options, node_parts  # noqa: E402
from .result import DONE, Result, Segment, failed, skipped  # noqa: E402
from .source import TAKEN, Source, demuxer_of, prefer_faster  # noqa: E402

_MS = 1_000_000
#: How often a running file says where it is, in ns.
_TICK = 1_000 * _MS
#: How often is looked whether decoding has stalled before it began, and how often a file may start.
_LOOK, _STARTS = 100 * _MS, 5
#: Numbers that GStreamer gives to elements it makes itself differ from run to run.
_NUMBERED = re.compile(r"(:[a-z_-]*[a-z_-])\d+(?=[/.:\s]|$)")
#: The rest, some forty of a short file, is thrown away before Python sees it.
_HEARD = Gst.MessageType.EOS | Gst.MessageType.ERROR | Gst.MessageType.WARNING | Gst.MessageType.ELEMENT
_UTTERANCE = "corpus-utterance"
#: What a sink says when it cannot write.
_WRITING = (Gst.ResourceError.OPEN_WRITE, Gst.ResourceError.WRITE, Gst.ResourceError.SEEK, Gst.ResourceError.CLOSE)
CANNOT_DECODE = "its audio cannot be decoded"
#: Duration that a file announces and does not have, before it counts as cut short.
_SHORT = 500 * _MS


class NotWritten(Exception):
    """Audio cannot be written where it is to be, for want of space or for another reason: no fault of the file."""

    def __init__(self, text: str, full: bool) -> None:
        super().__init__(f"{'no space is left where results are written' if full else 'audio cannot be written'}: {text}")


class SetupError(Exception):
    """No file can be worked on: an element is missing, or the node does not load."""

    def __init__(self, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.traceback = traceback


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _quoted(text: str) -> str:
    """``text`` as a value in a launch line."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _vad(o: Options) -> str:
    times = {"look-ahead": o.look_ahead, "min-speech": o.min_speech, "min-silence": o.min_silence,
             "speech-pad": o.speech_pad, "max-speech": o.max_speech}
    numbers = {"threshold": o.threshold, "release-threshold": o.release_threshold,
               "energy-threshold": o.energy_threshold}
    given = [f"{k}={_ns(v)}" for k, v in times.items() if v is not None]
    given += [f"{k}={v}" for k, v in numbers.items() if v is not None]
    return f"rustvad name=vad metrics-interval=0 detector={o.detector} {' '.join(given)}"


def _node(o: Options) -> str:
    module, name = node_parts(o.node)
    parts = [f"pypipelinenode name=node metrics-interval=0 chunk=utterance module={_quoted(module)}",
             f"{'class' if name[0].isupper() else 'function'}={name}"]
    if o.node_kwargs:
        parts.append(f"kwargs={_quoted(o.node_kwargs)}")
    if o.node_path:
        parts.append(f"python-path={_quoted(o.node_path)}")
    if o.node_timeout is not None:
        parts.append(f"isolation=process timeout={_ns(o.node_timeout)}")
    if o.node_retries is not None:
        parts.append(f"max-retries={o.node_retries}")
    parts.append("on-failure=error" if o.node_failure == "fail" else "on-failure=pass")
    return " ".join(parts)


def _unplaced(channels: int) -> str:
    """Has microphones that no position is known of mixed: into one channel all, into two each other one. More are
    taken as they are."""
    order = {1: "mono", 2: "alternate"}.get(channels)
    return f"input-channels-reorder={order} input-channels-reorder-mode=unpositioned" if order else ""


def tail_line(o: Options) -> str:
    """The half of the pipeline that stays, as gst-launch writes it, without its sink's location."""
    frame = o.channels * int("".join(c for c in o.format if c.isdigit())) // 8
    chain = [
        f"capsfilter name=taken caps={_quoted(TAKEN)}",
        f"rustaudioconvert name=convert metrics-interval=0 {_unplaced(o.channels)}",
        f"audio/x-raw,format={o.format},channels={o.channels},layout=interleaved",
        "rustresample name=resample metrics-interval=0",
        f"audio/x-raw,rate={o.rate}",
    ]
    # From here on times count samples, as whoever decodes the file does: those of the container may begin late, leap
    # and overlap.
    chain += ["identity single-segment=true", f"identity datarate={o.rate * frame}", _vad(o)]
    if o.node:
        chain.append(_node(o))
    if o.audio == "whole":
        chain += encoder_chain(o.audio_format, o.rate)
    chain.append("fakesink name=sink sync=false async=false" if o.audio == "none"
                 else "filesink name=sink sync=false async=false")
    return " ! ".join(chain)


class FilePipeline:
    """Works on one file after the other. ``out`` is where audio goes, ``scratch`` a folder that is this process's
    own."""

    def __init__(self, options: Options, out: str, scratch: str) -> None:
        Gst.init(None)
        find_plugin(Gst)
        prefer_faster()
        self._options, self._scratch = options, scratch
        os.makedirs(scratch, exist_ok=True)
        try:
            self._written = Written(options, out, scratch)
        except EncodeError as e:
            raise SetupError(str(e)) from None
        self._pipeline: Any = None
        self._make()

    def _make(self) -> None:
        try:
            self._pipeline = Gst.parse_launch(tail_line(self._options))
        except GLib.Error as e:
            raise SetupError(f"{e.message} (is GST_PLUGIN_PATH set, and are GStreamer's base and good plugins "
                             "installed?)") from None
        if Gst.ElementFactory.find("decodebin") is None:
            raise SetupError("no element decodebin: install GStreamer's base plugins")
        # Nothing here is played at its time.
        self._pipeline.use_clock(None)
        self._into = self._pipeline.get_by_name("taken").get_static_pad("sink")
        # Demuxers fill holes with them, at the container's times.
        self._into.add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, _without_gaps)
        self._sink = self._pipeline.get_by_name("sink")
        self._vad = self._pipeline.get_by_name("vad")
        self._bus = self._pipeline.get_bus()
        self._last = [self._sink, *_before(self._sink, ("vad", "node"))]
        node = self._pipeline.get_by_name("node")
        if node is not None:
            node.get_static_pad("sink").add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, self._mark, node)
        if self._options.audio != "none":
            self._sink.set_property("location", self._written.path)
        if self._pipeline.set_state(Gst.State.READY) == Gst.StateChangeReturn.FAILURE:
            error = self._bus.pop_filtered(Gst.MessageType.ERROR)
            told = None if error is None else _Complaint(error)
            self._pipeline.set_state(Gst.State.NULL)
            raise SetupError("the pipeline does not start" if told is None else told.text,
                             "" if told is None else told.debug)

    def _mark(self, _pad: Any, info: Any, node: Any) -> Any:
        """Says on the bus which utterance the node is about to get: what it posts next belongs to that."""
        event = info.get_event()
        structure = structure_of(event)
        if structure is not None and structure.get_name() == "rustvad":
            mark = Gst.Structure.new_empty(_UTTERANCE)
            mark.set_value("segment", int(structure.get_value("segment")))
            node.post_message(Gst.Message.new_element(node, mark))
        return Gst.PadProbeReturn.OK

    def close(self) -> None:
        """Stops everything; nodes get their ``stop``."""
        self._pipeline.set_state(Gst.State.NULL)
        self._written.close()

    def run(self, path: str, key: str, progress: Callable[[int], None] = lambda _: None) -> Result:
        """Works on the file at ``path``, which is called ``key``. ``progress`` hears each second how far
        it is, in ns. Raises `NotWritten`; all that is the file's fault is in the result."""
        started, cpu = time.monotonic(), time.process_time()
        result = failed("decode", CANNOT_DECODE)
        demuxer = demuxer_of(path)
        for _ in range(_STARTS):
            one = _Play(self._pipeline, self._into, self._last, progress)
            try:
                result = one.play(self._named(path), demuxer)
                if result.status == DONE:
                    result = self._keep(result, key, progress)
                    break
                if one.begun or not demuxer:
                    break
                # What is wrong with it decodebin tells best, if anything is.
                demuxer = ""
            except _Stalled:
                demuxer = ""
            finally:
                one.clean_up()
                if one.broken:
                    # What an element holds after an error is anybody's guess.
                    self._pipeline.set_state(Gst.State.NULL)
                    self._make()
        result.run.update(seconds=round(time.monotonic() - started, 6), cpu=round(time.process_time() - cpu, 6))
        return result

    def _keep(self, result: Result, key: str, progress: Callable[[int], None]) -> Result:
        try:
            self._written.keep(result, key, self._sink, progress)
            return result
        except EncodeError as e:
            return failed("audio", str(e))
        except OSError as e:
            raise NotWritten(str(e), e.errno == errno.ENOSPC) from e

    def _named(self, path: str) -> str:
        """A name of ``path`` that is UTF-8, as GStreamer's properties are."""
        if is_unicode(path):
            return path
        link = os.path.join(self._scratch, "input")
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(os.path.abspath(path), link)
        return link


class _Stalled(Exception):
    """Nothing was decoded, and nobody is at it."""


class _Play:
    """One file on its way through the pipeline."""

    def __init__(self, pipeline: Any, into: Any, last: List[Any], progress: Callable[[int], None]) -> None:
        """``into``: the pad that takes what is decoded. ``last``: the sink, and before it what makes a file, all of which start anew with each one."""
        self._pipeline, self._bus, self._last, self._progress = pipeline, pipeline.get_bus(), last, progress
        self._sink = last[0]
        self._into = into
        self._source: Optional[Source] = None
        self._result = Result(DONE)
        self._open: Dict[int, Dict[str, Any]] = {}
        self._posts: Dict[int, List[Dict[str, Any]]] = {}
        self._utterance = 0
        self._missing: List[str] = []
        self._media = 0
        #: Audio has come.
        self.begun = False
        #: The pipeline has to be made anew.
        self.broken = False

    def play(self, path: str, demuxer: str) -> Result:
        """Plays the file at ``path``, by the element ``demuxer`` or, where that is empty, by decodebin."""
        self._source = source = Source(self._pipeline, self._into, path, demuxer)
        # Whoever waits for a pipeline that did not start finds its error on the bus.
        self._pipeline.set_state(Gst.State.PLAYING)
        position, idle = 0, 0
        while True:
            message = self._bus.timed_pop_filtered(_TICK if self._into.is_linked() else _LOOK, _HEARD)
            if message is not None:
                if message.type in (Gst.MessageType.ERROR, Gst.MessageType.EOS):
                    self.begun = source.has_begun()
                    return self._failed(message) if message.type == Gst.MessageType.ERROR else self._finished(source)
                self._hear(message)
                continue
            ok, at = self._sink.query_position(Gst.Format.TIME)
            if ok and at > position:
                position = at
                self._progress(at)
            idle = 0 if self._into.is_linked() or source.working() else idle + 1
            if idle == 2:
                raise _Stalled

    def clean_up(self) -> None:
        """Takes the file's own elements out and makes the rest ready for another one."""
        self._pipeline.set_state(Gst.State.READY)
        # In READY a filesink still has its file open, and wavenc thinks that it has begun.
        for element in self._last:
            element.set_state(Gst.State.NULL)
        if self._source is not None:
            self._source.remove()
        # What was said on the way down is of no use, and a flag would keep the next file from speaking.
        self._bus.set_flushing(True)
        self._bus.set_flushing(False)

    def _hear(self, message: Any) -> None:
        if message.type == Gst.MessageType.ELEMENT:
            structure = message.get_structure()
            name = structure.get_name()
            if name == "rustvad":
                self._change(structure)
            elif name == "rustaudio-metrics":
                self._cost(Metrics.from_structure(structure))
            elif name == _UTTERANCE:
                self._utterance = structure.get_value("segment")
            elif name == "missing-plugin":
                self._missing.append(str(structure.get_value("name")))
            elif name == "pypipelinenode-failure":
                fields = structure_fields(structure)
                if fields["action"] not in ("retry", "report"):
                    self._warn(f"node: {fields['exception']}: {fields['message']}")
            elif message.src is not None and message.src.get_name() == "node" and "pypipelinenode" not in name:
                self._posts.setdefault(self._utterance, []).append(
                    {"name": name, **structure_fields(structure)})
        elif message.type == Gst.MessageType.WARNING:
            error, _ = message.parse_warning()
            if message.src is None or message.src.get_name() != "node":
                self._warn(error.message)

    def _cost(self, m: Metrics) -> None:
        """Keeps what the page and the document tell of an element."""
        if m.element == "convert":
            self._result.source_frames = m.num_samples
            self._result.start_time = m.stream_time or 0
        self._media = max(self._media, (m.stream_time or 0) + m.duration) if m.element == "vad" else self._media
        self._result.run.setdefault("elements", {})[m.element] = {
            "factory": m.factory, "buffers": m.num_buffers, "time": m.processing_time,
            "p50": m.processing_time_p50, "p95": m.processing_time_p95, "p99": m.processing_time_p99,
            "max": m.processing_time_max, "memory": m.memory, "errors": m.num_errors, "retries": m.num_retries,
            "skipped": m.num_skipped, "timeouts": m.num_timeouts, "dropped": m.num_dropped,
            "last_error": m.last_error,
        }

    def _warn(self, text: str) -> None:
        if text not in self._result.warnings and len(self._result.warnings) < 20:
            self._result.warnings.append(text)

    def _change(self, change: Any) -> None:
        number = change.get_value("segment")
        if change.get_value("speech"):
            self._open[number] = {"start": change.get_value("stream-time"), "floor": change.get_value("noise-floor")}
            return
        begun = self._open.pop(number, None)
        if begun is None:
            return
        self._result.segments.append(Segment(
            index=len(self._result.segments) + 1, start=begun["start"], end=change.get_value("stream-time"),
            level=change.get_value("segment-level"), noise_floor=begun["floor"],
            probability=change.get_value("segment-probability"),
        ))
        self._posts.setdefault(number, self._result.segments[-1].node)
        self._result.segments[-1].node = self._posts[number]

    def _finished(self, source: Source) -> Result:
        result = self._result
        if "vad" not in result.run.get("elements", {}) or not self._into.is_linked():
            return failed("decode", CANNOT_DECODE)
        result.duration = self._media
        result.codec = self._codec()
        if result.duration == 0:
            return failed("empty", "there is not one sample in it")
        caps = self._into.get_current_caps()
        made = structure_of(caps, 0)
        result.source_rate, result.source_channels = made.get_int("rate")[1], made.get_int("channels")[1]
        source.without_padding(result)
        at, announced = source.own_times()
        end = max(at, result.start_time + result.duration)
        if end > result.start_time + result.duration + _SHORT:
            self._warn(f"gaps: its own time goes to {end / 1e9:.2f} s, its samples last {result.duration / 1e9:.2f} s, "
                       "and times count samples")
        if announced > end + max(_SHORT, announced // 20):
            self._warn(f"cut short: {end / 1e9:.2f} s of the {announced / 1e9:.2f} s that it announces")
        return result

    def _codec(self) -> str:
        """What the stream says of itself, before an encoder says otherwise."""
        for i in range(8):
            event = self._into.get_sticky_event(Gst.EventType.TAG, i)
            if event is None:
                break
            ok, codec = event.parse_tag().get_string("audio-codec")
            if ok:
                return str(codec)
        return ""

    def _failed(self, message: Any) -> Result:
        """How it failed, and what it cost all the same."""
        result = self._why(message)
        if "elements" in self._result.run:
            result.run["elements"] = self._result.run["elements"]
        return result

    def _why(self, message: Any) -> Result:
        """Why it failed. One fault makes several elements complain, in an order that is chance: all are heard,
        and the one that knows most is believed."""
        refused = self._source.refused() if self._source is not None else ""
        errors = [message, *self._more_errors()]
        self._pipeline.set_state(Gst.State.READY)
        # A sink that is stopped while a file ends says that it cannot write; what it says of itself comes before what
        # others say for it.
        errors += [e for e in self._more_errors() if e.src != self._sink]
        worst = min((_Complaint(e) for e in errors), key=lambda c: c.rank())
        self.broken = any(_Complaint(e).source in _OURS for e in errors)
        full = worst.is_a(Gst.ResourceError, Gst.ResourceError.NO_SPACE_LEFT)
        if full or (worst.source == "sink" and worst.is_a(Gst.ResourceError, *_WRITING)):
            raise NotWritten(worst.text, full)
        if worst.source == "node":
            return failed("node", worst.text.split("\n")[0], worst.debug)
        missing = [m for m in self._missing if not _is_other(m)]
        if missing:
            result = failed("missing-plugin", f"GStreamer has no {' and no '.join(dict.fromkeys(missing))}")
        elif self._missing or "no suitable plugins" in worst.debug:
            result = skipped("no-audio", "there is no audio in it")
        elif refused and "not-" in worst.debug:
            result = failed("unsupported", refused)
        else:
            result = worst.result()
        # Which of several complaints comes through is chance, so they are no part of the result.
        result.run["debug"] = worst.debug
        return result

    def _more_errors(self) -> Iterator[Any]:
        """Errors that wait on the bus; what waits of elements is heard."""
        while True:
            more = self._bus.pop()
            if more is None:
                return
            if more.type == Gst.MessageType.ERROR:
                yield more
            elif more.type == Gst.MessageType.ELEMENT:
                self._hear(more)


#: Elements that stay from file to file and are made anew after an error of their own. A node is not: to load
#: it again may take long, and it is ready for another stream.
_OURS = ("convert", "resample", "vad")


class _Complaint:
    """An error message of an element, without what differs from run to run."""

    def __init__(self, message: Any) -> None:
        self._error, debug = message.parse_error()
        self.source = str(message.src.get_name()) if message.src is not None else ""
        self.text = str(self._error.message)
        self.debug = _NUMBERED.sub(r"\1", debug or "")

    def is_a(self, domain: Any, *codes: Any) -> bool:
        """Whether it is one of ``codes`` of ``domain``."""
        return any(self._error.matches(domain.quark(), code) for code in codes)

    def rank(self) -> "tuple[int, str, str]":
        """Lowest for what says most."""
        if self.is_a(Gst.ResourceError, Gst.ResourceError.NO_SPACE_LEFT):
            order = 0
        elif self.source == "node":
            order = 1
        elif self._error.domain == "gst-resource-error-quark":
            order = 2
        elif "Internal data stream error" in self.text or "streaming stopped" in self.debug:
            order = 5
        elif self.source.startswith("decodebin"):
            order = 4
        else:
            order = 3
        return order, self.text, self.debug

    def result(self) -> Result:
        """The failure of a file whose decoding it ended."""
        if "empty stream" in self.debug:
            return failed("empty", "the file is empty")
        if self.is_a(Gst.StreamError, Gst.StreamError.TYPE_NOT_FOUND):
            return failed("not-media", "it is nothing that GStreamer knows")
        if self.is_a(Gst.ResourceError, Gst.ResourceError.NOT_FOUND):
            return failed("missing", "there is no such file")
        if self._error.domain == "gst-resource-error-quark":
            result = failed("unreadable", self.text)
            # It was opened: where it lies it may be had again later, as after a server of files went away and came back.
            result.passing = self.is_a(Gst.ResourceError, Gst.ResourceError.READ)
            return result
        return failed("decode", CANNOT_DECODE)


def _without_gaps(_pad: Any, info: Any) -> Any:
    """Lets no GAP event through, which those who count samples would take as silence, or as an end."""
    is_gap = info.get_event().type == Gst.EventType.GAP
    return Gst.PadProbeReturn.DROP if is_gap else Gst.PadProbeReturn.OK


def _before(sink: Any, ends: Sequence[str]) -> List[Any]:
    """Elements upstream of ``sink``, nearest first, up to one of the names ``ends``."""
    found: List[Any] = []
    element = sink
    while True:
        peer = element.get_static_pad("sink") or next(iter(element.sinkpads), None)
        peer = peer.get_peer() if peer is not None else None
        if peer is None or peer.get_parent_element().get_name() in ends:
            return found
        element = peer.get_parent_element()
        found.append(element)


def _is_other(missing: str) -> bool:
    """Whether it is video or text that cannot be decoded."""
    return any(word in missing for word in ("Video", "video", "Subtitle", "subtitle", "Image", "image"))

