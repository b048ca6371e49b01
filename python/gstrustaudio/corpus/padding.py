# SPDX-License-Identifier: MIT
"""What an encoder of mp3 puts before and behind the audio, by the tag that LAME and ffmpeg leave in the first frame.

ffmpeg and libsndfile leave that out. GStreamer does from 1.22 on where the tag is LAME's own; else it comes out as audio,
25 ms mostly."""
from __future__ import annotations

import os
from typing import Any, List, Optional

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstAudio", "1.0")
from gi.repository import Gst, GstAudio  # noqa: E402

from .result import Result  # noqa: E402

#: Samples that every decoder of layer 3 is late.
_DECODER = 529
_KEPT = Gst.BufferCopyFlags.FLAGS | Gst.BufferCopyFlags.META | Gst.BufferCopyFlags.MEMORY
#: Bytes that are looked through for a first frame.
_HEAD = 4096
#: Encoders whose tags have the figures.
_ENCODERS = (b"LAME", b"Lavf", b"Lavc")


class Padding:
    """Of a file of frames of ``frame`` samples: ``before`` the audio so many are to be left out; without them and
    those behind it ``length`` are left, 0 where that is not known; ``own`` where LAME has told so itself. For one playing
    of the file."""

    def __init__(self, frame: int, before: int, length: int, own: bool) -> None:
        self.frame, self.before, self.length = frame, before, length
        # What was left out in whole frames is not seen by what comes.
        self._unseen = own and before % frame == 0 and Gst.version() >= (1, 22)
        self._left, self._cut = before, 0
        self._pad: Any = None
        self._probe = 0

    def watch(self, pad: Any) -> None:
        """Drops at ``pad`` what comes before the audio."""
        self._pad, self._probe = pad, pad.add_probe(Gst.PadProbeType.BUFFER, self._drop)

    def close(self) -> None:
        """Leaves the pad alone."""
        if self._probe:
            self._pad.remove_probe(self._probe)
            self._probe = 0

    def _drop(self, pad: Any, probed: Any) -> Any:
        buffer, caps = probed.get_buffer(), pad.get_current_caps()
        info = GstAudio.AudioInfo.new_from_caps(caps) if caps is not None else None
        plain = info is not None and info.layout == GstAudio.AudioLayout.INTERLEAVED
        frames = buffer.get_size() // info.bpf if plain else 0
        # Whoever has left out a part of a frame already does not give a whole one.
        if not frames or (self._left == self.before and (self._unseen or frames % self.frame)):
            self.close()
            return Gst.PadProbeReturn.OK
        if frames <= self._left:
            self._left -= frames
            self._cut += frames
            return Gst.PadProbeReturn.DROP
        rest = buffer.copy_region(_KEPT, self._left * info.bpf, (frames - self._left) * info.bpf)
        if buffer.pts != Gst.CLOCK_TIME_NONE:
            rest.pts = buffer.pts + self._left * Gst.SECOND // info.rate
        rest.duration = (frames - self._left) * Gst.SECOND // info.rate
        self._cut += self._left
        self.close()
        pad.chain(rest)
        return Gst.PadProbeReturn.DROP

    def leave_out(self, result: Result) -> None:
        """Has ``result`` tell of the audio without it."""
        result.start_time = max(0, result.start_time - self._cut * 10**9 // max(result.source_rate, 1))
        # A tag that was copied with a part of its file tells of another length.
        if self.length and 0 < result.source_frames - self.length <= 2 * self.frame:
            result.source_frames = self.length
            end = self.length * 10**9 // result.source_rate
            for s in result.segments:
                s.end = min(s.end, end)
            # What lies wholly behind the audio.
            result.segments = [s for s in result.segments if s.start < s.end]


def padding_of(path: str) -> Optional[Padding]:
    """Of the file at ``path``; None where it is no mp3, or does not say."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as f:
            head = f.read(10)
            if head[:3] == b"ID3" and len(head) == 10:
                f.seek(10 + sum((b & 0x7F) << s for b, s in zip(head[6:10], (21, 14, 7, 0))) + (10 if head[5] & 0x10 else 0))
            elif head[:1] == b"\xff":
                f.seek(0)
            else:
                return None
            head = f.read(_HEAD)
    except OSError:
        return None
    at = head.find(b"\xff")
    return None if at < 0 else _of_frame(head[at:])


def _of_frame(head: bytes) -> Optional[Padding]:
    """Of a file whose first frame ``head`` begins with."""
    # MPEG 1, 2 or 2.5, layer 3; a CRC may follow.
    if len(head) < 4 or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:
        return None
    first, mono = head[1] & 0x18 == 0x18, head[3] >> 6 == 3
    tag = 4 + ((17 if mono else 32) if first else (9 if mono else 17))
    if head[tag : tag + 4] not in (b"Xing", b"Info"):
        return None
    flags = head[tag + 7 : tag + 8]
    sizes: List[int] = [size for bit, size in enumerate((4, 4, 100, 4)) if flags and flags[0] >> bit & 1]
    lame = tag + 8 + sum(sizes)
    told = head[lame + 21 : lame + 24]
    if head[lame : lame + 4] not in _ENCODERS or len(told) < 3:
        return None
    delay, behind = int.from_bytes(told, "big") >> 12, int.from_bytes(told, "big") & 0xFFF
    frame = 1152 if first else 576
    frames = int.from_bytes(head[tag + 8 : tag + 12], "big") if flags[0] & 1 else 0
    return Padding(frame, delay + _DECODER, max(0, frames * frame - delay - behind), head[lame : lame + 4] == b"LAME")
