# SPDX-License-Identifier: MIT
"""Manifests that training tools read: NeMo's, Lhotse's and Kaldi's, an utterance for each segment."""
from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import Any, Dict, Iterator, List, NamedTuple, TextIO

from .names import file_id, is_url
from .options import Options, encoded_rate
from .result import DONE, Result, Segment, node_text
from .storage import join

#: What wavparse calls 16-bit samples.
_PLAIN = "Uncompressed 16-bit PCM audio"
_KALDI = ("wav.scp", "segments", "utt2spk", "text")


class Recording(NamedTuple):
    """A file of audio that utterances lie in."""

    id: str
    path: str
    rate: int
    channels: int
    frames: int
    #: One channel of 16-bit samples in a .wav file.
    plain: bool


class Utterance(NamedTuple):
    """A segment, as manifests have it; ``start`` is within its recording."""

    id: str
    recording: Recording
    start: float
    segment: Segment

    @property
    def duration(self) -> float:
        return (self.segment.end - self.segment.start) / 1e9


class Manifests:
    """Writes all of them below ``folder`` as results are added. Audio that was written is below ``out``."""

    def __init__(self, folder: str, out: str, options: Options) -> None:
        self._out, self._options, self._folder = out, options, folder
        os.makedirs(os.path.join(folder, "kaldi"), exist_ok=True)
        self._nemo = self._open("nemo.jsonl")
        self._recordings = self._open("lhotse_recordings.jsonl")
        self._supervisions = self._open("lhotse_supervisions.jsonl")
        self._kaldi = {name: self._open(os.path.join("kaldi", name)) for name in _KALDI}

    def _open(self, name: str) -> TextIO:
        return open(os.path.join(self._folder, name), "w", encoding="utf-8", errors="surrogateescape", newline="\n")

    def add(self, key: str, result: Result) -> None:
        """Adds the segments of a file that is done."""
        if result.status != DONE or not result.segments:
            return
        told = set()
        for u in self._utterances(key, result):
            if u.recording.id not in told:
                told.add(u.recording.id)
                _line(self._recordings, _lhotse_recording(u.recording))
                self._kaldi["wav.scp"].write(f"{u.recording.id} {_kaldi_source(u.recording)}\n")
            _line(self._nemo, _nemo(u))
            _line(self._supervisions, _lhotse_supervision(u))
            self._kaldi["segments"].write(f"{u.id} {u.recording.id} {u.start:.3f} {u.start + u.duration:.3f}\n")
            self._kaldi["utt2spk"].write(f"{u.id} {file_id(key)}\n")
            text = node_text(u.segment)
            if text is not None:
                self._kaldi["text"].write(f"{u.id} {' '.join(text.split())}\n")

    def _utterances(self, key: str, result: Result) -> Iterator[Utterance]:
        identifier = file_id(key)
        rate = encoded_rate(self._options.audio_format, result.audio_rate)
        written = self._options.channels == 1 and self._options.format == "S16LE" and self._options.audio_format == "wav"
        whole = None
        if result.audio:
            whole = Recording(identifier, self._written(result.audio), rate, self._options.channels,
                              round(result.duration * rate / 1e9), written)
        elif self._options.audio == "none":
            whole = Recording(identifier, key, result.source_rate, result.source_channels, result.source_frames,
                              result.source_channels == 1 and result.codec == _PLAIN and key.lower().endswith(".wav"))
        for s in result.segments:
            name = f"{identifier}-{s.index:05}"
            if whole is not None:
                yield Utterance(name, whole, s.start / 1e9, s)
            else:
                one = Recording(name, self._written(s.audio), rate, self._options.channels,
                                round((s.end - s.start) * rate / 1e9), written)
                yield Utterance(name, one, 0.0, s)

    def _written(self, name: str) -> str:
        return join(self._out, name)

    def close(self) -> None:
        """Completes the files; Kaldi wants its own sorted by bytes."""
        for f in (self._nemo, self._recordings, self._supervisions, *self._kaldi.values()):
            f.close()
        for name in _KALDI:
            path = os.path.join(self._folder, "kaldi", name)
            subprocess.run(["sort", "-o", path, path], check=True, env={**os.environ, "LC_ALL": "C"})
        if os.path.getsize(path) == 0:
            # No node gave text.
            os.unlink(path)


def _line(f: TextIO, fields: Dict[str, Any]) -> None:
    f.write(json.dumps(fields) + "\n")


def _nemo(u: Utterance) -> Dict[str, Any]:
    fields: Dict[str, Any] = {"audio_filepath": u.recording.path, "duration": round(u.duration, 6)}
    if u.start or u.recording.id != u.id:
        fields["offset"] = round(u.start, 6)
    elif u.recording.channels == 1:
        # Spares a look into each file; with an offset NeMo would take the duration for that of the whole file.
        fields["sampling_rate"] = u.recording.rate
    fields["text"] = node_text(u.segment) or ""
    return fields


def _lhotse_recording(r: Recording) -> Dict[str, Any]:
    channels: List[int] = list(range(r.channels))
    return {"id": r.id, "sources": [{"type": "url" if is_url(r.path) else "file", "channels": channels, "source": r.path}],
            "sampling_rate": r.rate, "num_samples": r.frames, "duration": r.frames / r.rate,
            "channel_ids": channels}


def _lhotse_supervision(u: Utterance) -> Dict[str, Any]:
    fields: Dict[str, Any] = {"id": u.id, "recording_id": u.recording.id, "start": round(u.start, 6),
                              "duration": round(u.duration, 6), "channel": list(range(u.recording.channels))}
    if u.recording.channels == 1:
        fields["channel"] = 0
    text = node_text(u.segment)
    if text is not None:
        fields["text"] = text
    fields["custom"] = {"level": u.segment.level, "noise_floor": u.segment.noise_floor,
                        "probability": u.segment.probability}
    return fields


def _kaldi_source(r: Recording) -> str:
    """A file that Kaldi reads by itself, or a command: it takes one channel of 16-bit .wav files, and lines are lines."""
    if r.plain and not is_url(r.path) and not any(c.isspace() for c in r.path):
        return r.path
    name = shlex.quote(r.path)
    if "\n" in name:
        # A shell puts line breaks where printf is told to, as POSIX has it.
        name = '"$(printf ' + shlex.quote(r.path.replace("\\", "\\\\").replace("%", "%%").replace("\n", "\\n")) + ')"'
    return f"ffmpeg -nostdin -v error -i {name} -ac 1 -f wav - |"
