# SPDX-License-Identifier: MIT
"""Messages of a running pipeline, through PyGObject.

    for event in play(Gst.parse_launch("… ! rustvad ! fakesink")):
        if isinstance(event, VadChange): …

`play` starts, follows and stops a pipeline. `events`, `segments` and `metrics` follow one that the
application runs itself; they read its bus, so nobody else may. Where there is a GLib main loop, or
a media server that reads the bus, `connect` calls back instead."""
from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Callable, Iterator, List, Optional

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402

from .messages import (  # noqa: E402
    Event,
    Metrics,
    Segment,
    SegmentJoiner,
    VadChange,
    event_from_fields,
    structure_fields,
    MESSAGES,
)

#: Python looks for Ctrl-C this often while it waits for the bus.
_POLL = 50_000_000


class PipelineError(Exception):
    """An element stopped the pipeline with an error."""

    def __init__(self, element: str, text: str, debug: str, path: str = "") -> None:
        super().__init__(f"{path or element}: {text}")
        #: Name of the element.
        self.element = element
        #: Where it lies in its pipeline, as in `Metrics.path`.
        self.path = path or element
        self.text = text
        #: What the element adds for developers; the traceback of a Python node is here.
        self.debug = debug


def path_of(element: Any) -> str:
    """Where ``element`` lies: the names of the bins that it is in, outermost first, and its own, joined by ``/``. The
    pipeline's is left out."""
    names = [element.get_name()]
    above = element.get_parent()
    while above is not None:
        parent = above.get_parent()
        # What is outermost and no pipeline is a bin that was taken out of one: its elements keep their paths.
        if parent is not None or not isinstance(above, Gst.Pipeline):
            names.append(above.get_name())
        above = parent
    return "/".join(reversed(names))


def prefix_of(bin: Any) -> str:
    """What paths of elements below ``bin`` begin with; nothing where it is a pipeline of its own."""
    whole = bin.get_parent() is None and isinstance(bin, Gst.Pipeline)
    return "" if whole else f"{path_of(bin)}/"


def parse(message: Any) -> Optional[Event]:
    """The event in a ``Gst.Message``; ``None`` where it is none of ours.

    Raises `MessageError` for one that has the name of ours and other fields."""
    if message.type != Gst.MessageType.ELEMENT:
        return None
    structure = message.get_structure()
    if structure is None or structure.get_name() not in MESSAGES:
        return None
    source = message.src.get_name() if message.src is not None else ""
    return event_from_fields(structure.get_name(), structure_fields(structure), source)


def stats(element: Any) -> Metrics:
    """What ``element`` says of itself now."""
    return Metrics.from_structure(element.get_property("stats"), element.get_name())


def own_elements(bin: Any) -> List[Any]:
    """This plugin's elements in ``bin``, upstream first as far as they were added so."""
    found: List[Any] = []
    iterator = bin.iterate_recurse()
    while True:
        result, element = iterator.next()
        if result == Gst.IteratorResult.RESYNC:
            iterator.resync()
            found.clear()
        elif result != Gst.IteratorResult.OK:
            return found[::-1]
        else:
            factory = element.get_factory()
            plugin = factory.get_plugin_name() if factory is not None else None
            if plugin == "rustaudio" and element.find_property("stats") is not None:
                found.append(element)


def all_stats(pipeline: Any) -> List[Metrics]:
    """`stats` of `own_elements`; with `gstrustaudio.document.pipeline_document` the document of a
    running pipeline."""
    return [stats(element) for element in own_elements(pipeline)]


def error_of(message: Any) -> PipelineError:
    """The error in a message of type ERROR."""
    error, debug = message.parse_error()
    name, path = ("", "") if message.src is None else (message.src.get_name(), path_of(message.src))
    return PipelineError(name, error.message, debug or "", path)


def messages(pipeline: Any, timeout: Optional[float] = None) -> Iterator[Any]:
    """Every message of ``pipeline``'s bus, up to and with EOS.

    Raises `PipelineError` at an error, and `TimeoutError` where nothing at all comes for
    ``timeout`` seconds. Latency and clock changes are seen to on the way, as gst-launch does."""
    bus = pipeline.get_bus()
    heard = time.monotonic()
    while True:
        message = bus.timed_pop(_POLL)
        if message is None:
            if timeout is not None and time.monotonic() - heard > timeout:
                raise TimeoutError(f"{pipeline.get_name()}: no message for {timeout} s")
            continue
        heard = time.monotonic()
        kind = message.type
        if kind == Gst.MessageType.ERROR:
            raise error_of(message)
        if kind == Gst.MessageType.LATENCY:
            pipeline.recalculate_latency()
        elif kind == Gst.MessageType.CLOCK_LOST:
            pipeline.set_state(Gst.State.PAUSED)
            pipeline.set_state(Gst.State.PLAYING)
        yield message
        if kind == Gst.MessageType.EOS:
            return


def events(pipeline: Any, timeout: Optional[float] = None) -> Iterator[Event]:
    """Events of ``pipeline`` until EOS; errors as in `messages`.

    What elements say when they are stopped before EOS comes from `stop`."""
    for message in messages(pipeline, timeout):
        event = parse(message)
        if event is not None:
            yield event


def metrics(pipeline: Any, timeout: Optional[float] = None) -> Iterator[Metrics]:
    """Metrics messages of ``pipeline`` until EOS; errors as in `messages`."""
    for event in events(pipeline, timeout):
        if isinstance(event, Metrics):
            yield event


def segments(pipeline: Any, timeout: Optional[float] = None) -> Iterator[Segment]:
    """Segments of speech in ``pipeline`` as they end, until EOS; errors as in `messages`."""
    joiner = SegmentJoiner()
    for event in events(pipeline, timeout):
        if isinstance(event, VadChange):
            segment = joiner.add(event)
            if segment is not None:
                yield segment
    yield from joiner.rest()


def stop(pipeline: Any) -> List[Event]:
    """Stops ``pipeline``; what its elements say on the way down, final metrics among it."""
    bus = pipeline.get_bus()
    # NULL flushes the bus: the last messages are to be had in READY.
    pipeline.set_state(Gst.State.READY)
    last: List[Event] = []
    try:
        while True:
            message = bus.pop()
            if message is None:
                return last
            event = parse(message)
            if event is not None:
                last.append(event)
    finally:
        pipeline.set_state(Gst.State.NULL)


def play(pipeline: Any, timeout: Optional[float] = None) -> Iterator[Event]:
    """Starts ``pipeline``, gives its events until EOS, stops it and gives the last ones. It is
    stopped too when the iteration is left early. Errors as in `messages`."""
    try:
        if pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
            if message is not None:
                raise error_of(message)
            raise PipelineError(pipeline.get_name(), "does not start", "")
        yield from events(pipeline, timeout)
        yield from stop(pipeline)
    finally:
        pipeline.set_state(Gst.State.NULL)


def connect(
    bus: Any, callback: Callable[[Event], None], sync: bool = False, below: Any = None
) -> Callable[[], None]:
    """Calls ``callback`` with each event on ``bus``; what is returned ends that. Where ``below`` is a bin, those
    of elements in it alone, with paths that begin there.

    Without ``sync`` the calls come from the GLib main loop. With it they come at once from the
    thread that posts, also where somebody else reads the bus (a media server): the callback must be
    quick, and no message is lost when the pipeline is stopped. But messages stay on a bus that nobody reads, where
    at most one window of each element lies: `stats` tells what an element does now."""
    prefix = "" if below is None else prefix_of(below)

    def on_message(_bus: Any, message: Any) -> None:
        event = parse(message)
        if event is not None and event.path.startswith(prefix):
            callback(replace(event, path=event.path[len(prefix):]) if prefix else event)

    if sync:
        bus.enable_sync_message_emission()
        handler = bus.connect("sync-message::element", on_message)
    else:
        bus.add_signal_watch()
        handler = bus.connect("message::element", on_message)

    def disconnect() -> None:
        bus.disconnect(handler)
        if sync:
            bus.disable_sync_message_emission()
        else:
            bus.remove_signal_watch()

    return disconnect
