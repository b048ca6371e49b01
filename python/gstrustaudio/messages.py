# SPDX-License-Identifier: MIT
"""The plugin's bus messages as frozen dataclasses.

Names are those of the messages with ``-`` as ``_``; times are integers in ns, ``None`` where the
element does not know one (``GST_CLOCK_TIME_NONE``); sizes are bytes, levels dBFS. This module needs
nothing but Python: fields come from a ``Gst.Structure`` (`from_structure`), from the JSON of an
element's ``stats-json`` (`from_json`) or from saved text (`gstrustaudio.text`).
"""
from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, Mapping, Optional, Tuple, Type, TypeVar, Union

#: A time in ns, or ``None`` where it is not known.
Time = Optional[int]

_CLOCK_TIME_NONE = 2**64 - 1
_M = TypeVar("_M", bound="_Message")


class MessageError(ValueError):
    """A message that bears the name of one of ours, but not its fields."""


def _wrong(name: str, field: str, wanted: str, value: object) -> MessageError:
    return MessageError(f"{name}: field `{field}` should be {wanted}, is {value!r}")


def _read(name: str, field: str, kind: str, value: object) -> object:
    """``value`` as the annotation ``kind`` asks, or an error that says what came."""
    if kind in ("int", "Time"):
        if value is None and kind == "Time":
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise _wrong(name, field, "an unsigned integer", value)
        return None if kind == "Time" and value == _CLOCK_TIME_NONE else value
    if kind == "float":
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value):  # type: ignore[arg-type]
            raise _wrong(name, field, "a finite number", value)
        return float(value)  # type: ignore[arg-type]
    if kind == "bool":
        if not isinstance(value, bool):
            raise _wrong(name, field, "true or false", value)
        return value
    if not isinstance(value, str):
        raise _wrong(name, field, "text", value)
    return value


_Layout = List[Tuple[str, str, str, bool]]
_layouts: Dict[Type[Any], _Layout] = {}


def _layout(cls: Type[Any]) -> _Layout:
    """Attribute, name on the bus, type and whether it may be missing, of each field of ``cls``."""
    layout = _layouts.get(cls)
    if layout is not None:
        return layout
    layout = []
    for f in dataclasses.fields(cls):
        kind = str(f.type)
        optional = kind.startswith("Optional[")
        if f.name != "extra":
            kind = kind[len("Optional[") : -1] if optional else kind
            layout.append((f.name, f.name.replace("_", "-"), kind, optional))
    _layouts[cls] = layout
    return layout


def structure_of(owner: Any, *index: int) -> Any:
    """The ``Gst.Structure`` of an event, or of caps at an index, which ``owner`` keeps alive; None if an event has none.
    gst-python 1.26 hands out something else, which gives the structure to a ``with`` alone."""
    found = owner.get_structure(*index)
    return found.__enter__() if hasattr(found, "__enter__") else found


def structure_fields(structure: Any) -> Dict[str, Any]:
    """Fields of a ``Gst.Structure``, by name."""
    names = [structure.nth_field_name(i) for i in range(structure.n_fields())]
    return {name: structure.get_value(name) for name in names}


class Placed:
    """What tells of an element: by its name, and by its path where that differs."""

    element: str
    path: str

    def __post_init__(self) -> None:
        if not self.path:
            object.__setattr__(self, "path", self.element)


@dataclass(frozen=True)
class _Message(Placed):
    MESSAGE: ClassVar[str]

    #: Name of the element that posted the message.
    element: str
    #: Where it lies in its pipeline: the names of the bins that it is in and its own, joined by ``/``. Names need be
    #: unique within a bin alone: this is what tells elements apart.
    path: str = dataclasses.field(default="", kw_only=True)

    @classmethod
    def from_fields(cls: Type[_M], fields: Mapping[str, Any], element: str = "") -> _M:
        """Reads ``fields`` by their names on the bus; ``element`` is who posted them, where they
        do not say it themselves. Fields that are not known go to ``extra``."""
        rest = dict(fields)
        values: Dict[str, Any] = {}
        for attribute, name, kind, optional in _layout(cls):
            if name in rest:
                value = rest.pop(name)
                if value is not None or not optional:
                    values[attribute] = _read(cls.MESSAGE, name, kind, value)
            elif attribute == "element":
                values[attribute] = element
            elif attribute != "path" and not optional:
                raise MessageError(f"{cls.MESSAGE}: field `{name}` is missing")
        values["extra"] = rest
        return cls(**values)

    @classmethod
    def from_structure(cls: Type[_M], structure: Any, element: str = "") -> _M:
        """Reads a ``Gst.Structure``: a message's, or an element's ``stats``."""
        return cls.from_fields(structure_fields(structure), element)

    @classmethod
    def from_json(cls: Type[_M], text: str) -> _M:
        """Reads what `to_json` or an element's ``stats-json`` gave."""
        try:
            fields = json.loads(text)
        except ValueError as e:
            raise MessageError(f"{cls.MESSAGE}: not JSON: {e}") from e
        if not isinstance(fields, dict):
            raise MessageError(f"{cls.MESSAGE}: not a JSON object: {text[:60]!r}")
        return cls.from_fields(fields)

    def to_fields(self) -> Dict[str, Any]:
        """The fields by their names on the bus; those that this kind of element lacks are left
        out, times that are not known are ``None``."""
        fields: Dict[str, Any] = {}
        for attribute, name, _, optional in _layout(type(self)):
            value = getattr(self, attribute)
            if value is not None or not optional:
                fields[name] = value
        fields.update(getattr(self, "extra"))
        return fields

    def to_json(self) -> str:
        """One JSON object, with the names and values of ``stats-json``."""
        return json.dumps(self.to_fields(), ensure_ascii=False)


@dataclass(frozen=True)
class Metrics(_Message):
    """``rustaudio-metrics``: totals since READY, and times of the window that ``timestamp`` and
    ``duration`` bound. ``processing_time*`` is the element's own work, downstream excluded."""

    MESSAGE: ClassVar[str] = "rustaudio-metrics"

    factory: str
    timestamp: Time
    stream_time: Time
    running_time: Time
    duration: int
    num_buffers: int
    #: Frames, whatever the number of channels.
    num_samples: int
    num_bytes: int
    num_dropped: int
    num_errors: int
    num_retries: int
    num_timeouts: int
    num_skipped: int
    processing_time: int
    processing_time_min: int
    processing_time_avg: int
    processing_time_p50: int
    processing_time_p95: int
    processing_time_p99: int
    processing_time_max: int
    #: Own work over the window's media time: 0.01 is 1 % of one core in real time.
    real_time_factor: float
    latency: int
    #: Bytes that the element holds.
    memory: int
    process_peak_rss: int
    #: ``ok``, ``degraded``, ``skipping`` or ``failed``.
    status: str
    last_error: str
    #: No buffer came for a whole ``metrics-interval``.
    stalled: bool
    #: The last message of a run; its window is all of it.
    final: bool
    #: pypipelinenode: calls of ``process``, each attempt counted, and what one took, of all since
    #: READY; waits for the GIL and between attempts are not in it.
    num_calls: Optional[int] = None
    call_time_p50: Optional[int] = None
    call_time_p95: Optional[int] = None
    call_time_p99: Optional[int] = None
    call_time_max: Optional[int] = None
    #: pypipelinenode: waited for the GIL in all.
    gil_wait: Optional[int] = None
    gil_wait_p99: Optional[int] = None
    #: pypipelinenode: ``closed``, ``open`` or ``half-open``.
    breaker_state: Optional[str] = None
    consecutive_failures: Optional[int] = None
    #: pypipelinenode: failures that were not posted, since a hundred messages lay unread, and that no message
    #: told of yet.
    num_omitted: Optional[int] = None
    #: Fields of a newer plugin.
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class VadChange(_Message):
    """``rustvad``: speech starts or ends. The times are those of the change itself."""

    MESSAGE: ClassVar[str] = "rustvad"

    speech: bool
    probability: float
    #: Of the 10 ms frame at the change.
    level: float
    noise_floor: float
    timestamp: Time
    stream_time: Time
    running_time: Time
    #: Length of the segment that ended; 0 at a start.
    duration: int
    #: Counts from 1.
    segment: int
    #: The segment ended because no more data came.
    timed_out: Optional[bool] = None
    #: Level of the whole segment that ended; ``None`` at a start.
    segment_level: Optional[float] = None
    #: Mean probability of its frames; ``None`` at a start.
    segment_probability: Optional[float] = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class VadFrame(_Message):
    """``rustvad-frame``: one 10 ms frame."""

    MESSAGE: ClassVar[str] = "rustvad-frame"

    timestamp: Time
    stream_time: Time
    running_time: Time
    duration: int
    probability: float
    speech: bool
    level: float
    noise_floor: float
    #: Fields of the detector, ``score-…``, and of a newer plugin.
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    @property
    def scores(self) -> Dict[str, float]:
        """What the probability was made of, by the detector's names (without ``score-``), ``logit`` first."""
        prefix = "score-"
        return {k[len(prefix):]: float(v) for k, v in self.extra.items()
                if k.startswith(prefix) and isinstance(v, (int, float))}


@dataclass(frozen=True)
class NodeFailure(_Message):
    """``pypipelinenode-failure``: one call of a Python node failed."""

    MESSAGE: ClassVar[str] = "pypipelinenode-failure"

    attempt: int
    max_attempts: int
    #: Whether the error is of a kind that may pass.
    retryable: bool
    #: Class of the exception.
    exception: str
    message: str
    traceback: str
    #: Where in the node's code; empty and 0 where it is not known.
    file: str
    line: int
    #: What becomes of the call: ``retry``, or that of the property ``on-failure``.
    action: str
    timestamp: Time
    stream_time: Time
    running_time: Time
    duration: Time
    #: Failures before this one that were not posted, since a hundred messages lay unread.
    num_omitted: Optional[int] = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class BreakerChange(_Message):
    """``pypipelinenode-breaker``: the circuit breaker changed its state."""

    MESSAGE: ClassVar[str] = "pypipelinenode-breaker"

    #: ``closed``, ``open`` or ``half-open``.
    state: str
    previous: str
    consecutive_failures: int
    timestamp: Time
    stream_time: Time
    running_time: Time
    duration: Time
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class NodeReload(_Message):
    """``pypipelinenode-reload``: the file of a node changed and was loaded again."""

    MESSAGE: ClassVar[str] = "pypipelinenode-reload"

    file: str
    #: False: the new code is broken, the old node goes on.
    success: bool
    #: What is wrong with it.
    message: str
    traceback: str
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


Event = Union[Metrics, VadChange, VadFrame, NodeFailure, BreakerChange, NodeReload]

#: Class of each message, by its name on the bus.
MESSAGES: Dict[str, Type[Any]] = {
    "rustaudio-metrics": Metrics,
    "rustvad": VadChange,
    "rustvad-frame": VadFrame,
    "pypipelinenode-failure": NodeFailure,
    "pypipelinenode-breaker": BreakerChange,
    "pypipelinenode-reload": NodeReload,
}


@dataclass(frozen=True)
class Segment(Placed):
    """One stretch of speech, in running time (ns)."""

    #: Name of the rustvad.
    element: str
    #: Counts from 1.
    segment: int
    start: int
    #: ``None`` where the run ended before the speech did.
    end: Time
    #: Of the whole segment, dBFS; ``None`` where it has no end.
    level: Optional[float]
    #: dBFS at the start.
    noise_floor: float
    #: Of the change to speech.
    probability: float
    #: Where the rustvad lies, as in its messages.
    path: str = ""

    @property
    def duration(self) -> Time:
        return None if self.end is None else self.end - self.start


class SegmentJoiner:
    """Makes a `Segment` of each start and end."""

    def __init__(self) -> None:
        self._open: Dict[str, VadChange] = {}

    def add(self, change: VadChange) -> Optional[Segment]:
        """The segment that ``change`` completes."""
        if change.speech:
            self._open[change.path] = change
            return None
        start = self._open.pop(change.path, None)
        if start is None:
            return None
        return self._join(start, change.running_time, change.segment_level)

    def rest(self) -> List[Segment]:
        """Segments that never ended."""
        rest = [self._join(start, None, None) for start in self._open.values()]
        self._open.clear()
        return rest

    @staticmethod
    def _join(start: VadChange, end: Time, level: Optional[float]) -> Segment:
        return Segment(
            element=start.element,
            segment=start.segment,
            start=start.running_time or 0,
            end=end,
            level=level,
            noise_floor=start.noise_floor,
            probability=start.probability,
            path=start.path,
        )


def event_from_fields(name: str, fields: Mapping[str, Any], element: str) -> Optional[Event]:
    """The message called ``name``; ``None`` where it is none of ours."""
    cls = MESSAGES.get(name)
    return None if cls is None else cls.from_fields(fields, element)
