#!/usr/bin/python3
"""Shows what the demo's bus messages say: the speech segments beside where speech is known to be,
and the metrics of each element. The package gstrustaudio reads them and writes the page.

demo_report.py DIR    (reads DIR/messages.txt, speech.csv and speech.wav; writes DIR/metrics.json and
DIR/report.html)"""
import json
import sys
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from gstrustaudio import read_launch_output, run_document  # noqa: E402
from gstrustaudio.report import html_report  # noqa: E402
from gstrustaudio.table import summary, table  # noqa: E402
from gstrustaudio.waveform import read_wave  # noqa: E402

ORDER = ["rustaudioconvert", "rustresample", "rustvad", "pypipelinenode"]


def main(out):
    with open(f"{out}/messages.txt", errors="replace") as f:
        run = read_launch_output(f)
    with open(f"{out}/speech.csv") as f:
        known = [tuple(map(float, line.split(","))) for line in f]
    run.waveform = read_wave(f"{out}/speech.wav")

    print("\n== Speech segments (rustvad messages) beside the recording's own, s")
    rows = [
        [str(s.segment), f"{s.start / 1e9:.3f}", f"{(s.end or 0) / 1e9:.3f}", f"{a:.3f}", f"{b:.3f}",
         "-" if s.level is None else f"{s.level:.1f}"]
        for s, (a, b) in zip(run.segments, known)
    ]
    print("\n".join(table(["segment", "start", "end", "known start", "known end", "dBFS"], rows)))
    print("\n== Metrics (final rustaudio-metrics message of each element)")
    segments, run.segments = run.segments, []
    print(summary(run))
    run.segments = segments

    with open(f"{out}/metrics.json", "w") as f:
        json.dump(run_document(run), f, indent=2)
    with open(f"{out}/report.html", "w", encoding="utf-8") as f:
        f.write(html_report(run))
    final = {m.factory: m for m in run.latest.values() if m.final}
    missing = [name for name in ORDER if name not in final]
    if missing:
        sys.exit(f"no final metrics of {', '.join(missing)}")
    with wave.open(f"{out}/speech.wav") as w:
        frames = w.getnframes()
    if final["rustaudioconvert"].num_samples != frames:
        sys.exit(f"{frames} frames are in the recording, {final['rustaudioconvert'].num_samples} came")
    if len(segments) != len(known):
        sys.exit(f"{len(known)} utterances are in the recording, {len(segments)} were found")


if __name__ == "__main__":
    main(sys.argv[1])
