"""What the elements of the GStreamer plugin ``rustaudio`` say about themselves.

`messages` (dataclasses), `document` and `text` need nothing but Python. `live` needs PyGObject,
`exporter` prometheus_client; names of `live` are here too and import it when they are used."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .document import pipeline_document, run_document
from .messages import (
    BreakerChange,
    Event,
    MessageError,
    Metrics,
    NodeFailure,
    NodeReload,
    Segment,
    VadChange,
    VadFrame,
)
from .record import Failure, Run
from .text import read_launch_output

if TYPE_CHECKING:
    from .live import (
        PipelineError,
        all_stats,
        connect,
        events,
        metrics,
        parse,
        play,
        segments,
        stats,
        stop,
    )

__version__ = "0.1.0"
_LIVE = [
    "PipelineError", "all_stats", "connect", "events", "metrics", "parse", "play", "segments",
    "stats", "stop",
]
__all__ = [
    "BreakerChange", "Event", "Failure", "MessageError", "Metrics", "NodeFailure", "NodeReload", "Run", "Segment",
    "VadChange", "VadFrame", "pipeline_document", "read_launch_output", "run_document",
] + _LIVE


def __getattr__(name: str) -> Any:
    if name in _LIVE:
        from . import live

        return getattr(live, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
