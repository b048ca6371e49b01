# SPDX-License-Identifier: MIT
"""What a corpus run is asked to do with each file."""
from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

#: Containers of audio that is written: file extension by name.
AUDIO_FORMATS = {"wav": ".wav", "flac": ".flac", "opus": ".opus"}
DETECTORS = ("silero", "neural", "spectral", "energy")
SAMPLE_FORMATS = ("S16LE", "S32LE", "F32LE", "F64LE")
#: What the element takes: look-ahead in s (``spectral`` has no 0.06), bounds of levels in dBFS and of rules in s.
LOOK_AHEADS = (0.0, 0.03, 0.06, 0.1)
LEVELS, LONGEST_RULE, _DAY = (-120, 0), 60, 86400
#: Rates that Opus has; others are resampled to the next higher one.
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)


def encoded_rate(audio_format: str, rate: int) -> int:
    """The rate of a file in ``audio_format`` that is made of audio of ``rate``."""
    if audio_format != "opus" or rate in OPUS_RATES:
        return rate
    return next((r for r in OPUS_RATES if r > rate), OPUS_RATES[-1])


class OptionError(ValueError):
    """Settings that cannot be met; the text says what to give instead."""


@dataclass(frozen=True)
class Options:
    """Settings that decide what comes out of a file. Times are seconds; ``None`` is the element's default."""

    rate: int = 16000
    channels: int = 1
    #: Samples as caps name them.
    format: str = "S16LE"
    detector: str = "neural"
    threshold: Optional[float] = None
    release_threshold: Optional[float] = None
    #: dBFS, for ``detector=energy``.
    energy_threshold: Optional[float] = None
    look_ahead: Optional[float] = None
    min_speech: Optional[float] = None
    min_silence: Optional[float] = None
    speech_pad: Optional[float] = None
    max_speech: Optional[float] = None
    #: ``module:Class``, ``path.py:Class`` or ``module:function``; empty for none.
    node: str = ""
    #: Keyword arguments of the node, as a JSON object.
    node_kwargs: str = ""
    #: Folders put in front of ``sys.path``, separated by ``:``.
    node_path: str = ""
    #: Of the file that the node is in, a checksum, so that results of two versions are told apart; empty where it was
    #: not found.
    node_source: str = ""
    #: Longest call; the node then runs in a process of its own, which is killed when it takes longer.
    node_timeout: Optional[float] = None
    node_retries: Optional[int] = None
    #: ``fail``: a file whose node fails for good has failed; ``pass``: it is done, and the failure noted.
    node_failure: str = "fail"
    #: ``none``, ``whole`` or ``segments``.
    audio: str = "none"
    audio_format: str = "wav"
    #: A file that makes no progress for so long is given up. Not part of the fingerprint.
    timeout: float = 300.0

    def check(self) -> None:
        """Raises `OptionError` for what GStreamer would only complain of file by file."""
        if not 8000 <= self.rate <= 384000:
            raise OptionError(f"--rate {self.rate}: give 8000 to 384000 Hz")
        if not 1 <= self.channels <= 64:
            raise OptionError(f"--channels {self.channels}: give 1 to 64")
        for name in ("threshold", "release_threshold"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise OptionError(f"--{name.replace('_', '-')} {value:g}: a probability lies between 0 and 1")
        level = self.energy_threshold
        if level is not None and not LEVELS[0] <= level <= LEVELS[1]:
            raise OptionError(f"--energy-threshold {level:g}: give dBFS, {LEVELS[0]} to {LEVELS[1]}")
        known = [s for s in LOOK_AHEADS if (self.detector, s) != ("spectral", 0.06)]
        if self.look_ahead is not None and self.look_ahead not in known:
            raise OptionError(f"--look-ahead {self.look_ahead:g}: --detector {self.detector} takes seconds, "
                              f"{', '.join(f'{s:g}' for s in known[:-1])} or {known[-1]:g}")
        for name, most in [("min_speech", LONGEST_RULE), ("min_silence", LONGEST_RULE), ("speech_pad", LONGEST_RULE),
                           ("max_speech", _DAY), ("node_timeout", _DAY)]:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise OptionError(f"--{name.replace('_', '-')} {value:g}: give seconds, 0 to {most}")
        if self.node_retries is not None and not 0 <= self.node_retries < 2**32:
            raise OptionError(f"--node-retries {self.node_retries}: give 0 or more")
        if not 0 < self.timeout <= _DAY:
            raise OptionError(f"--timeout {self.timeout:g}: give seconds, more than 0 and {_DAY} at most")
        if self.node:
            node_parts(self.node)
        if self.node_kwargs:
            try:
                kwargs = json.loads(self.node_kwargs)
            except ValueError as e:
                raise OptionError(f"--node-kwargs: not JSON: {e}") from None
            if not isinstance(kwargs, dict):
                raise OptionError('--node-kwargs: give a JSON object, as in \'{"db": 6}\'')

    def to_fields(self) -> Dict[str, Any]:
        """All settings, as JSON holds them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Options":
        """What `to_fields` gave; settings of another version are left out."""
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in fields.items() if k in known})

    def deciding(self) -> Dict[str, Any]:
        """The settings on which results depend."""
        fields = self.to_fields()
        del fields["timeout"]
        if not self.node_source:
            del fields["node_source"]
        return fields

    def fingerprint(self) -> str:
        """Equal for settings that give equal results."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()[:16]


def node_source(node: str, node_path: str) -> str:
    """A checksum of the file that ``node`` is in, found without importing anything; empty where there is none here."""
    module, _ = node_parts(node)
    path: Optional[str] = module
    if not module.endswith(".py"):
        # Workers have the working folder in their path, however this process was started: the empty name.
        places: Sequence[str] = [*(p for p in node_path.split(os.pathsep) if p), "", *sys.path]
        path = None
        # By its own name each, which needs none of the packages around it loaded.
        for part in module.split("."):
            spec = PathFinder.find_spec(part, places) if places and part else None
            path, places = (None, ()) if spec is None else (spec.origin, list(spec.submodule_search_locations or ()))
    try:
        with open(path or "", "rb") as f:
            return hashlib.sha256(f.read()).hexdigest()[:16]
    except OSError:
        return ""


def node_parts(node: str) -> Tuple[str, str]:
    """Module (or path of a .py file) and name of ``node``."""
    module, colon, name = node.rpartition(":")
    if not colon or not module or not name.isidentifier():
        raise OptionError(f"--node {node}: give module:Class, path.py:Class or module:function")
    return module, name
