# SPDX-License-Identifier: MIT
"""Plays a gst-launch line and keeps what it says."""
from __future__ import annotations

import json
import os
import queue
import shlex
import signal
import sys
import tempfile
import threading
import time
from functools import partial
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

    run = Run(line=" ".join(_quote(w) for w in words))
    if not words:
        raise LineError("no pipeline: give the words that would follow gst-launch-1.0")
    try:
        pipeline = Gst.parse_launchv(words)
    except GLib.Error as e:
        raise LineError(f"erroneous pipeline: {e.message}") from e
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
    control = _Control(Gst, pipeline)
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


class _Control:
    """Changes states in a thread of its own, one after the other: a change waits for calls of Python nodes, while the
    main thread has signals to hear."""

    def __init__(self, Gst: Any, pipeline: Any) -> None:
        self._gst, self.pipeline = Gst, pipeline
        self._jobs: "queue.SimpleQueue[Callable[[], Any]]" = queue.SimpleQueue()
        #: PLAYING was asked for, and how that went is known.
        self.started = threading.Event()
        #: The pipeline does not start: why is on the bus.
        self.failed = False
        #: Sources that have not taken EOS yet.
        self._endings: List[threading.Thread] = []
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def start(self) -> None:
        """To PLAYING."""

        def play() -> None:
            self.failed = self.pipeline.set_state(self._gst.State.PLAYING) == self._gst.StateChangeReturn.FAILURE
            self.started.set()

        self._jobs.put(play)

    def change(self, *states: Any) -> None:
        """To each of ``states``."""
        for state in states:
            self._jobs.put(partial(self.pipeline.set_state, state))

    def latency(self) -> None:
        """What a LATENCY message asks for."""
        self._jobs.put(self.pipeline.recalculate_latency)

    def end(self) -> None:
        """Sends EOS to the sources, once they play. Each takes it between two buffers, and never where what follows it
        holds one up."""

        def send() -> None:
            for source in self._elements(self.pipeline.iterate_sources):
                thread = threading.Thread(target=source.send_event, args=(self._gst.Event.new_eos(),), daemon=True)
                self._endings.append(thread)
                thread.start()

        self._jobs.put(send)

    def stop(self, stop: Callable[[], None]) -> threading.Event:
        """Calls ``stop`` once nothing stands in the way; what is set in the end."""
        done = threading.Event()

        def free_and_stop() -> None:
            # A source that waits to take EOS cannot be paused, and nothing is stopped before all is paused: what
            # follows is stopped by itself, and gives the source free.
            if any(thread.is_alive() for thread in self._endings):
                sources = self._elements(self.pipeline.iterate_sources)
                for element in self._elements(self.pipeline.iterate_sorted):
                    if element not in sources:
                        element.set_state(self._gst.State.READY)
            stop()
            done.set()

        self._jobs.put(free_and_stop)
        return done

    def _elements(self, iterate: Callable[[], Any]) -> List[Any]:
        while True:
            found: List[Any] = []
            if iterate().foreach(found.append) != self._gst.IteratorResult.RESYNC:
                return found


def _follow(
    live: Any,
    Gst: Any,
    pipeline: Any,
    keep: Callable[[Event], None],
    run: Run,
    interrupts: List[float],
    control: _Control,
    grace: float,
    say: Callable[[str], None],
) -> None:
    """Plays until EOS, an error or the user ends it; says which in ``run``."""
    bus = pipeline.get_bus()
    control.start()
    asked = False
    while True:
        if interrupts and not asked:
            asked = True
            say("ending; again to stop at once")
            control.end()
        if len(interrupts) > 1 or (interrupts and time.monotonic() - interrupts[0] > grace):
            run.outcome = "interrupted"
            return
        started = control.started.is_set()
        # Without PLAYING failing at once an error is on the bus in any case.
        failed = started and control.failed
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
            run.errors.append(Failure(error.element, error.text, error.debug))
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
    control: _Control,
    keep: Callable[[Event], None],
    interrupts: List[float],
    grace: float,
    say: Callable[[str], None],
) -> bool:
    """Stops the pipeline and keeps its last events; whether it did stop before the user's patience was at an end."""
    last: List[Event] = []
    faults: List[BaseException] = []

    def stop() -> None:
        try:
            last.extend(live.stop(control.pipeline))
        except BaseException as e:
            faults.append(e)

    started, asked = time.monotonic(), len(interrupts)
    done = control.stop(stop)
    if asked > 1:
        say("stopping; again to leave behind what does not stop")
    while not done.wait(0.05):
        if interrupts and (len(interrupts) > 2 or time.monotonic() - max(started, interrupts[0]) > grace):
            return False
    for event in last:
        keep(event)
    for fault in faults:
        raise fault
    return True


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
