# SPDX-License-Identifier: MIT
"""What is known of one element, from what it told and from asking it, for `gstrustaudio.exporter`."""
from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Dict, Optional, Tuple

from .messages import BreakerChange, Event, Metrics, NodeFailure, VadChange

_WINDOW = ("timestamp", "stream_time", "running_time", "duration", "processing_time_min", "processing_time_avg",
           "processing_time_p50", "processing_time_p95", "processing_time_p99", "processing_time_max",
           "real_time_factor")


def label(text: str) -> str:
    """``text`` as it can be encoded: half a surrogate, as in names of files, would leave nothing to be scraped."""
    return text.encode("utf-8", "backslashreplace").decode()


class Known:
    """What is kept of one element."""

    def __init__(self) -> None:
        self.latest: Optional[Metrics] = None
        #: With the times of the last window that held buffers.
        self.window: Optional[Metrics] = None
        #: Whether there is speech, and the noise floor.
        self.speech: Optional[Tuple[bool, float]] = None
        self.level: Optional[float] = None
        self.segments = 0
        self.spoken = 0
        self.failures: Dict[Tuple[str, str, str], int] = defaultdict(int)
        #: Failures that messages said to have left out, and those that none told of so far.
        self.omitted = 0
        self.untold = 0
        self.breakers: Dict[str, int] = defaultdict(int)
        #: Events so far: what was asked before one came is older than that.
        self.events = 0

    def add(self, event: Event) -> None:
        self.events += 1
        if isinstance(event, Metrics):
            self._take(event)
            if not event.stalled and not event.final:
                self.window = event
            if event.final and self.speech is not None:
                # A segment that a flush ended has no end that is told.
                self.speech = (False, self.speech[1])
        elif isinstance(event, VadChange):
            self.speech = (event.speech, event.noise_floor)
            if event.speech:
                self.segments += 1
            else:
                self.spoken += event.duration
            if event.segment_level is not None:
                self.level = event.segment_level
        elif isinstance(event, NodeFailure):
            kind = (label(event.exception), "true" if event.retryable else "false", label(event.action))
            self.failures[kind] += 1
            self.omitted += event.num_omitted or 0
            self.untold = 0
        elif isinstance(event, BreakerChange):
            self.breakers[label(event.state)] += 1

    def ask(self, now: Metrics, speech: Optional[Tuple[bool, float]]) -> None:
        """Takes up what the element says of itself."""
        self._take(now)
        told = self.window
        empty = now.duration == 0 and now.processing_time_max == 0
        follows = told is not None and told.timestamp is not None and now.timestamp == told.timestamp + told.duration
        if now.final or now.stalled or now.num_buffers == 0:
            pass
        elif told is not None and (empty or follows):
            self.latest = replace(now, **{field: getattr(told, field) for field in _WINDOW})
        elif not empty:
            self.window = now
        if speech is not None:
            floor_is_known = now.num_buffers > 0 and not now.final
            self.speech = speech if floor_is_known or self.speech is None else (speech[0], self.speech[1])

    def _take(self, metrics: Metrics) -> None:
        if self.latest is not None and metrics.num_buffers < self.latest.num_buffers:
            # It was started anew, and will tell of what is left out from then on.
            self.omitted += self.untold
            self.untold = 0
            self.window = None
        self.latest = metrics
        if metrics.num_omitted is not None:
            self.untold = metrics.num_omitted
