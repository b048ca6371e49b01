# SPDX-License-Identifier: MIT
"""Audio in Rust: on numpy arrays, and what the elements of the GStreamer plugin ``rustaudio`` say.

Functions on arrays (`resample`, `speech_timestamps`, …), `retry` and `CircuitBreaker` are in the compiled
module of the wheel or stand on it; they need numpy, neither GStreamer nor PyGObject. `messages`
(dataclasses), `document` and `text` need nothing but Python. `live` needs PyGObject, `exporter`
prometheus_client. Names of the compiled module, of what stands on it and of `live` are here too, and
import it when they are used."""
from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
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
from .plugin import plugin_path
from .record import Failure, Run
from .text import read_launch_output

if TYPE_CHECKING:
    from ._native import HQ, LQ, MQ, QQ, VHQ, ResampleStream, convert, resample
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
    from .resilience import CircuitBreaker, CircuitOpenError, RetryInfo, RetryPolicy, retry
    from .speech import SpeechChunk, SpeechDetector, SpeechEdge, probabilities, speech_timestamps

__version__ = "0.1.0"
_LIVE = {
    "PipelineError", "all_stats", "connect", "events", "metrics", "parse", "play", "segments", "stats", "stop",
}
_NATIVE = {"HQ", "LQ", "MQ", "QQ", "VHQ", "ResampleStream", "convert", "resample"}
# By their modules, which stand on the compiled one.
_ON_NATIVE = {
    "CircuitBreaker": "resilience", "CircuitOpenError": "resilience", "RetryInfo": "resilience",
    "RetryPolicy": "resilience", "retry": "resilience",
    "SpeechChunk": "speech", "SpeechDetector": "speech", "SpeechEdge": "speech", "probabilities": "speech",
    "speech_timestamps": "speech",
}
# In full, as type checkers evaluate nothing.
__all__ = [
    "BreakerChange", "CircuitBreaker", "CircuitOpenError", "Event", "Failure", "HQ", "LQ", "MQ", "MessageError",
    "Metrics", "NodeFailure", "NodeReload", "PipelineError", "QQ", "ResampleStream", "RetryInfo", "RetryPolicy", "Run",
    "Segment", "SpeechChunk", "SpeechDetector", "SpeechEdge", "VHQ", "VadChange", "VadFrame", "all_stats", "connect",
    "convert", "events", "metrics", "parse", "pipeline_document", "play", "plugin_path", "probabilities", "read_launch_output",
    "resample", "retry", "run_document", "segments", "speech_timestamps", "stats", "stop",
]

if find_spec("gi") is None:
    # `import *` gets what can be used.
    for _name in _LIVE:
        __all__.remove(_name)


def __getattr__(name: str) -> Any:
    if name in _LIVE:
        from . import live

        value = getattr(live, name)
    elif name in _NATIVE:
        value = getattr(_compiled(), name)
    elif name in _ON_NATIVE:
        _compiled()
        value = getattr(import_module(f".{_ON_NATIVE[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The next use finds it without coming here.
    globals()[name] = value
    return value


def _compiled() -> Any:
    try:
        return import_module("._native", __name__)
    except ModuleNotFoundError as e:
        if e.name != f"{__name__}._native":
            raise
        raise ModuleNotFoundError(
            f"{__name__} is imported from its sources, which lack the compiled module: build the wheel with "
            "scripts/wheel.sh and install it with pip",
            name=e.name,
        ) from None
