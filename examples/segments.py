#!/usr/bin/python3
"""Prints the speech in any audio file, one line a segment as it ends, and what finding it cost.

    examples/segments.py recording.mp3 [PROPERTY=VALUE …]     (properties of rustvad)"""
from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import gi  # noqa: E402

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402

from gstrustaudio import PipelineError, segments, stats  # noqa: E402


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0 if len(sys.argv) > 1 else 2
    Gst.init(None)
    words = ["filesrc", f"location={sys.argv[1]}", "!", "decodebin", "!", "rustaudioconvert", "!",
             "audio/x-raw,format=F32LE,channels=1", "!", "rustresample", "!", "audio/x-raw,rate=16000", "!",
             "rustvad", "name=vad", *sys.argv[2:], "!", "fakesink"]
    try:
        pipeline = Gst.parse_launchv(words)
    except GLib.Error as e:
        print(f"segments: {e.message}", file=sys.stderr)
        return 2
    vad = pipeline.get_by_name("vad")
    try:
        pipeline.set_state(Gst.State.PLAYING)
        for s in segments(pipeline):
            end = "end" if s.end is None else f"{s.end / 1e9:.3f}"
            level = "-" if s.level is None else f"{s.level:.1f} dBFS"
            print(f"{s.segment}\t{s.start / 1e9:.3f}\t{end}\t{level}", flush=True)
        now = stats(vad)
    except PipelineError as e:
        print(f"{e}\n{e.debug}", file=sys.stderr)
        return 1
    finally:
        pipeline.set_state(Gst.State.NULL)
    print(f"rustvad: {now.num_buffers} buffers in {now.processing_time / 1e6:.1f} ms of CPU time", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
