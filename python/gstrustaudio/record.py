# SPDX-License-Identifier: MIT
"""What is kept of a run, for its document and its report."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .messages import BreakerChange, Event, Metrics, NodeFailure, Placed, Segment, SegmentJoiner, VadChange, VadFrame
from .waveform import Envelope, Waveform


@dataclass(frozen=True)
class Failure(Placed):
    """An error message of the pipeline."""

    #: Name of the element.
    element: str
    text: str
    debug: str = ""
    #: Where it lies in its pipeline, as in `Metrics.path`.
    path: str = ""


#: Segments, failures and breaker changes kept of each: a run may go on for weeks. The first ones
#: tell most, and all are counted.
MAX_KEPT = 10_000
#: Windows kept of each element; beyond it, of two neighbours the slower one.
MAX_WINDOWS = 2000


@dataclass
class Run:
    """A run as its messages tell it."""

    #: The line that was played, where it is known.
    line: str = ""
    pipeline: str = "pipeline0"
    #: Wall time in ns.
    total_time: Optional[int] = None
    #: ``finished``, ``failed``, ``interrupted``; empty where nobody said.
    outcome: str = ""
    #: Metrics by path of the element, without the final ones; thinned out where there are many.
    windows: Dict[str, List[Metrics]] = field(default_factory=dict)
    #: The last message of each element by its path, in the order they first spoke.
    latest: Dict[str, Metrics] = field(default_factory=dict)
    segments: List[Segment] = field(default_factory=list)
    num_segments: int = 0
    failures: List[NodeFailure] = field(default_factory=list)
    num_failures: int = 0
    breakers: List[BreakerChange] = field(default_factory=list)
    errors: List[Failure] = field(default_factory=list)
    #: The pipeline did not stop, and its threads are still there.
    stuck: bool = False
    waveform: Optional[Waveform] = None
    #: Courses of each detector that posted its frames, by path and name: ``probability``, and its
    #: scores.
    heard: Dict[str, Dict[str, Envelope]] = field(default_factory=dict)
    #: The tracer's document, where the run was traced.
    traced: Optional[Dict[str, Any]] = None
    #: Bounds of what is kept: a server with many runs at once wants less of each.
    max_windows: int = MAX_WINDOWS
    max_kept: int = MAX_KEPT
    _joiner: SegmentJoiner = field(default_factory=SegmentJoiner)

    def add(self, event: Event) -> None:
        """Keeps ``event``."""
        if isinstance(event, Metrics):
            self.latest[event.path] = event
            if not event.final:
                windows = self.windows.setdefault(event.path, [])
                windows.append(event)
                if self.max_windows == 0:
                    windows.clear()
                elif len(windows) > self.max_windows:
                    pairs = (windows[i : i + 2] for i in range(0, len(windows), 2))
                    windows[:] = [max(p, key=lambda m: m.processing_time_p99) for p in pairs]
        elif isinstance(event, VadChange):
            segment = self._joiner.add(event)
            if segment is not None:
                self._keep(segment)
        elif isinstance(event, VadFrame):
            if self.max_windows and event.running_time is not None:
                # Frames may begin a little before a stretch does.
                self._hear(event, event.running_time + event.duration // 2)
        elif isinstance(event, NodeFailure):
            self.num_failures += 1 + (event.num_omitted or 0)
            if len(self.failures) < self.max_kept:
                self.failures.append(event)
        elif isinstance(event, BreakerChange):
            if len(self.breakers) < self.max_kept:
                self.breakers.append(event)

    def _hear(self, frame: VadFrame, time: int) -> None:
        courses = self.heard.setdefault(frame.path, {})
        for name, value in {"probability": frame.probability, **frame.scores}.items():
            if math.isfinite(value):
                courses.setdefault(name, Envelope()).add(time, value, value)

    @property
    def media_time(self) -> int:
        """Where the last thing ends that the run says of its audio, in running time."""
        ends = [0]
        known = [m for windows in self.windows.values() for m in windows] + list(self.latest.values())
        ends += [m.running_time + m.duration for m in known if m.running_time is not None]
        ends += [s.end if s.end is not None else s.start for s in self.segments]
        courses = [c for courses in self.heard.values() for c in courses.values()]
        for envelope in [*courses, *([self.waveform] if self.waveform else [])]:
            if len(envelope):
                # The last stretch may be longer than what is in it.
                ends.append(envelope.duration - envelope.width + 1)
        return max(ends)

    def _keep(self, segment: Segment) -> None:
        self.num_segments += 1
        if len(self.segments) < self.max_kept:
            self.segments.append(segment)

    def close(self) -> None:
        """The run is over: speech that goes on then has no end."""
        for segment in self._joiner.rest():
            self._keep(segment)
