# SPDX-License-Identifier: MIT
"""Plays a gst-launch line and keeps what it says."""
from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import wait
from typing import Any, Callable, List, Optional, Sequence

from .messages import Event
from .plugin import find_plugin
from .record import Failure, Run
from .waveform import Waveform

#: Flags of gst-launch-1.0 that a pasted line may begin with.
_LAUNCH_FLAGS = {
    "-m", "--messages", "-v", "--verbose", "-q", "--quiet", "-e", "--eos-on-shutdown", "-t", "--tags",
    "-f", "--no-fault", "--no-position",
}


class LineError(Exception):
    """The line does not describe a pipeline."""


def launch_words(words: Sequence[str]) -> List[str]:
    """``words`` without a leading ``gst-launch-1.0`` and its flags."""
    rest = list(words)
    if rest and os.path.basename(rest[0]).startswith("gst-launch"):
        rest.pop(0)
        while rest and rest[0] in _LAUNCH_FLAGS:
            rest.pop(0)
    return rest


def play_line(
    words: Sequence[str],
    waveform: bool = False,
    trace: bool = False,
    on_event: Optional[Callable[[Event], None]] = None,
    grace: float = 5.0,
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """Plays the words that follow ``gst-launch-1.0`` to their end.

    ``waveform`` keeps an envelope of the audio at the first rustvad; ``trace`` measures the other
    elements too, with the plugin's tracer (only where GStreamer is not initialised yet). Ctrl-C
    and SIGTERM end the stream with EOS, so that files are closed; after ``grace`` seconds, or at
    the second one, the pipeline is stopped. One that does not stop, since a call in it does not end,
    is left behind after as many seconds more, or at the third one: see ``Run.stuck``. ``say`` is told what a
    signal does."""
    words = launch_words(words)
    traced = tempfile.NamedTemporaryFile(suffix=".json") if trace else None
    if traced is not None:
        also = os.environ.get("GST_TRACERS")
        mine = f'rustaudiometrics(file="{traced.name}")'
        os.environ["GST_TRACERS"] = f"{also};{mine}" if also else mine
    _require("Gst")
    from gi.repository import GLib, Gst

    Gst.init(None)
    find_plugin(Gst)
    from . import live
    from .control import Control

    run = Run(line=" ".join(_quote(w) for w in words))
    if not words:
        raise LineError("no pipeline: give the words that would follow gst-launch-1.0")
    try:
        pipeline = Gst.parse_launchv(words)
    except GLib.Error as e:
        raise LineError(f"erroneous pipeline: {e.message}{_plugin_hint(Gst)}") from e
    if not isinstance(pipeline, Gst.Pipeline):
        element, pipeline = pipeline, Gst.Pipeline.new(None)
        pipeline.add(element)
    run.pipeline = pipeline.get_name()
    if waveform:
        run.waveform = _tap(pipeline)

    def keep(event: Event) -> None:
        run.add(event)
        if on_event is not None:
            on_event(event)

    interrupts: List[float] = []

    def interrupted(_signal: int, _frame: Any) -> None:
        interrupts.append(time.monotonic())

    # Python gives signals to its main thread alone; another one has none to handle.
    here = threading.current_thread() is threading.main_thread()
    caught = (signal.SIGINT, signal.SIGTERM) if here else ()
    before = {s: signal.signal(s, interrupted) for s in caught}
    control = Control(pipeline)
    started = time.monotonic_ns()
    try:
        try:
            _follow(live, Gst, pipeline, keep, run, interrupts, control, grace, say)
        finally:
            run.total_time = time.monotonic_ns() - started
            run.stuck = not _stop(live, control, keep, interrupts, grace, say)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
    if run.stuck:
        run.errors.append(Failure(run.pipeline, "does not stop: a call in one of its elements does not end", ""))
        if run.outcome == "finished":
            run.outcome = "interrupted"
    run.close()
    if traced is not None and run.stuck:
        print("the tracer rustaudiometrics wrote nothing: the pipeline does not stop", file=sys.stderr)
    elif traced is not None:
        with open(traced.name) as f:
            text = f.read()
        traced.close()
        if text:
            run.traced = json.loads(text)
        else:
            print("the tracer rustaudiometrics wrote nothing: is the plugin found?", file=sys.stderr)
    return run


def _quote(word: str) -> str:
    return word if word == "!" else shlex.quote(word)


def _follow(
    live: Any,
    Gst: Any,
    pipeline: Any,
    keep: Callable[[Event], None],
    run: Run,
    interrupts: List[float],
    control: Any,
    grace: float,
    say: Callable[[str], None],
) -> None:
    """Plays until EOS, an error or the user ends it; says which in ``run``."""
    bus = pipeline.get_bus()
    playing = control.start()
    asked = False
    while True:
        if interrupts and not asked:
            asked = True
            say("ending; again to stop at once")
            control.end()
        if len(interrupts) > 1 or (interrupts and time.monotonic() - interrupts[0] > grace):
            run.outcome = "interrupted"
            return
        started = playing.done()
        # Without PLAYING failing at once an error is on the bus in any case.
        failed = started and not playing.result()
        message = bus.timed_pop(0 if failed else 50_000_000)
        if message is None:
            if failed:
                run.outcome = "failed"
                if not run.errors:
                    run.errors.append(Failure(run.pipeline, "the pipeline does not start"))
                return
            if started and run.errors:
                return
            continue
        kind = message.type
        if kind == Gst.MessageType.ERROR:
            error = live.error_of(message)
            run.errors.append(Failure(error.element, error.text, error.debug, error.path))
            run.outcome = "failed"
            if started and not failed:
                return
        elif kind == Gst.MessageType.EOS:
            run.outcome = "interrupted" if interrupts else "finished"
            return
        elif kind == Gst.MessageType.LATENCY:
            control.latency()
        elif kind == Gst.MessageType.CLOCK_LOST:
            control.change(Gst.State.PAUSED, Gst.State.PLAYING)
        elif kind == Gst.MessageType.BUFFERING and not live_pipeline(Gst, pipeline):
            percent = message.parse_buffering()
            control.change(Gst.State.PLAYING if percent >= 100 else Gst.State.PAUSED)
        else:
            event = live.parse(message)
            if event is not None:
                keep(event)


def _stop(
    live: Any,
    control: Any,
    keep: Callable[[Event], None],
    interrupts: List[float],
    grace: float,
    say: Callable[[str], None],
) -> bool:
    """Stops the pipeline and keeps its last events; whether it did stop before the user's patience was at an end."""
    started, asked = time.monotonic(), len(interrupts)
    stopped = control.stop(live.stop)
    if asked > 1:
        say("stopping; again to leave behind what does not stop")
    while not wait([stopped], 0.05).done:
        if interrupts and (len(interrupts) > 2 or time.monotonic() - max(started, interrupts[0]) > grace):
            return False
    for event in stopped.result():
        keep(event)
    return True


def _plugin_hint(Gst: Any) -> str:
    """What helps where this plugin is not found."""
    if Gst.ElementFactory.find("rustvad") is not None:
        return ""
    return ("; GStreamer finds no plugin rustaudio: name its folder in GST_PLUGIN_PATH, install gstreamer1.0-rustaudio, or "
            "install the wheel of scripts/wheel.sh, which brings it")


def live_pipeline(Gst: Any, pipeline: Any) -> bool:
    """Whether ``pipeline`` is live: buffering must not pause it."""
    query = Gst.Query.new_latency()
    return bool(pipeline.query(query)) and bool(query.parse_latency()[0])


def _require(namespace: str) -> None:
    """That PyGObject and this namespace of GStreamer are there; else an ImportError of ``gi``."""
    import gi

    try:
        gi.require_version(namespace, "1.0")
    except ValueError as e:
        raise ImportError(str(e), name="gi") from e


def _tap(pipeline: Any) -> Optional[Waveform]:
    """Keeps the envelope of what comes to the first rustvad, or else to the first of this plugin's
    elements, against running time."""
    _require("GstAudio")
    from gi.repository import Gst, GstAudio

    chosen = None
    iterator = pipeline.iterate_recurse()
    while True:
        result, element = iterator.next()
        if result != Gst.IteratorResult.OK:
            break
        factory = element.get_factory()
        if factory is None or factory.get_plugin_name() != "rustaudio":
            continue
        if chosen is None or factory.get_name() == "rustvad" or chosen[1] != "rustvad":
            chosen = (element, factory.get_name())
    if chosen is None:
        return None
    waveform = Waveform()
    state: List[Any] = [None, None]  # audio info, segment

    def on_data(_pad: Any, info: Any) -> Any:
        if info.type & Gst.PadProbeType.EVENT_DOWNSTREAM:
            event = info.get_event()
            if event.type == Gst.EventType.CAPS:
                state[0] = GstAudio.AudioInfo.new_from_caps(event.parse_caps())
            elif event.type == Gst.EventType.SEGMENT:
                state[1] = event.parse_segment().copy()
            return Gst.PadProbeReturn.OK
        buffer, (audio, segment) = info.get_buffer(), state
        if audio is None or segment is None or buffer.pts == Gst.CLOCK_TIME_NONE:
            return Gst.PadProbeReturn.OK
        if segment.rate < 0 and segment.stop == Gst.CLOCK_TIME_NONE:
            return Gst.PadProbeReturn.OK  # it has no running time
        at = segment.to_running_time(Gst.Format.TIME, buffer.pts)
        if at == Gst.CLOCK_TIME_NONE:
            return Gst.PadProbeReturn.OK
        ok, mapped = buffer.map(Gst.MapFlags.READ)
        if ok:
            try:
                frames = mapped.size // max(audio.bpf, 1)
                name = str(audio.finfo.name)
                native = name[:3] if name[3:] in ("", "LE" if sys.byteorder == "little" else "BE") else ""
                if frames and not waveform.add_samples(
                    at, frames * 10**9 // max(audio.rate, 1), native, mapped.data
                ):
                    return Gst.PadProbeReturn.REMOVE
            finally:
                buffer.unmap(mapped)
        return Gst.PadProbeReturn.OK

    chosen[0].get_static_pad("sink").add_probe(
        Gst.PadProbeType.BUFFER | Gst.PadProbeType.EVENT_DOWNSTREAM, on_data
    )
    return waveform
