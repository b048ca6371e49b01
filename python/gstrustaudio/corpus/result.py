# SPDX-License-Identifier: MIT
"""What comes of one file."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

#: How a file ends.
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
#: It has not ended.
PENDING = "pending"


@dataclass
class Segment:
    """A stretch of speech. Times are ns of samples, from the first one that is decoded."""

    #: From 1.
    index: int
    start: int
    end: int
    #: Of the whole segment, dBFS.
    level: float
    #: At its start, dBFS.
    noise_floor: float
    #: Mean over its frames.
    probability: float
    #: What the node posted for it: objects with ``name`` and the message's fields.
    node: List[Dict[str, Any]] = field(default_factory=list)
    #: The file with its audio, relative to the output; empty if none was asked for.
    audio: str = ""


@dataclass
class Result:
    """How a file ended, and what was found. What depends on the run alone is in ``run``."""

    status: str
    #: Kind of failure or of skipping, in a word; empty for what is done.
    kind: str = ""
    #: Why, in a sentence.
    reason: str = ""
    #: Traceback of Python, or what GStreamer adds for developers.
    traceback: str = ""
    #: Of the audio, ns.
    duration: int = 0
    #: Of the first sample in the file's own time, ns: where a video's sound begins.
    start_time: int = 0
    codec: str = ""
    source_rate: int = 0
    source_channels: int = 0
    #: Frames at that rate.
    source_frames: int = 0
    warnings: List[str] = field(default_factory=list)
    segments: List[Segment] = field(default_factory=list)
    #: The whole audio, relative to the output; empty if it was not asked for.
    audio: str = ""
    #: Rate of the audio that was written; of a node's output, if it changes it.
    audio_rate: int = 0
    #: A failure that another try, later, may not have.
    passing: bool = False
    #: ``seconds``, ``cpu`` (seconds) and ``elements`` (final metrics, by element).
    run: Dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One JSON object; names that are no Unicode survive."""
        return json.dumps({**vars(self), "segments": [vars(s) for s in self.segments]}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Result":
        """What `to_json` gave."""
        fields = json.loads(text)
        fields["segments"] = [Segment(**s) for s in fields["segments"]]
        return cls(**fields)

    @property
    def speech(self) -> int:
        """ns of speech."""
        return sum(s.end - s.start for s in self.segments)


def failed(kind: str, reason: str, traceback: str = "") -> Result:
    """A file that failed."""
    return Result(FAILED, kind, reason, traceback)


def skipped(kind: str, reason: str, traceback: str = "") -> Result:
    """A file that has nothing for us."""
    return Result(SKIPPED, kind, reason, traceback)


def node_text(segment: Segment) -> Optional[str]:
    """The words that the node posted as ``text``, if it posted any."""
    texts = [str(m["text"]).strip() for m in segment.node if m.get("text") is not None]
    return " ".join(t for t in texts if t) if texts else None
