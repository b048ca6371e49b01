"""Measures detectors on labelled clips, in noise, through faults, and on sounds without speech.

    python evaluate.py DATA_DIR CLIPS_DIR [--model NAME ...] [--peers [NAME ...]] [--crate VAD_PIPE]

CLIPS_DIR holds 16 kHz mono WAV files and beside each an .scv file: name, then start, end, 0 or 1.
Sounds without speech are the pools of DATA_DIR that sources.toml holds out of training, and tones and
noises from fixed seeds (noises.py). Prints one column per detector.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

import noises
from detectors import (Course, Detector, Hearing, Signals, crate_detector, earshot_detector,
                       firered_detector, silero_detector, ten_detector, webrtc_detector)
from meetings import read_meetings
from mix import Pool, Pools, through_codec
from segments import compare, stretches
from silero import HOP, RATE, Silero
from whisper import whispered

Array = np.ndarray
#: Detectors of the crate, look-aheads in frames, and one that is lacking.
CRATE = ("silero", "neural", "spectral")
LOOK_AHEADS = (0, 3, 6, 10)
LACKS = {("spectral", 6)}
#: Other detectors, each as far ahead as it is truest.
PEERS: dict[str, Callable[[Hearing], Detector]] = {
    "silero": lambda hearing: silero_detector(hearing, 3, False),
    "ten": lambda _: ten_detector(4),
    "firered": lambda _: firered_detector(3),
    "earshot": lambda _: earshot_detector(4),
    "webrtc": lambda _: webrtc_detector(),
}


def read_clips(folder: Path) -> tuple[Signals, list[Array]]:
    """Signals, and labels per frame: 1, 0, or -1 where nobody said."""
    signals, labels = [], []
    for path in sorted(folder.glob("*.wav")):
        x, rate = soundfile.read(path)
        assert rate == RATE and x.ndim == 1, f"{path}: not 16 kHz mono"
        fields = path.with_suffix(".scv").read_text().splitlines()[0].split(",")[1:]
        centre = (np.arange(len(x) // HOP) + 0.5) * HOP / RATE
        label = np.full(len(centre), -1)
        for start, end, speech in zip(fields[::3], fields[1::3], fields[2::3]):
            label[(centre >= float(start)) & (centre < float(end))] = int(speech)
        signals.append(x)
        labels.append(label)
    return signals, labels


def curve(p: Array, truth: Array) -> tuple[Array, Array]:
    """Share of false alarms and recall at every threshold, ties taken together."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.nonzero(np.diff(p[order]))[0], len(p) - 1)
    hits = np.cumsum(truth[order])[last]
    return (last + 1 - hits) / (~truth).sum(), hits / truth.sum()


def scores(courses: Course, labels: list[Array]) -> dict[str, float]:
    """Area under the ROC curve, recall at 5 and 10 % false alarms, and both shares at one half."""
    p, y = np.concatenate(courses), np.concatenate(labels)
    p, truth = p[y >= 0], y[y >= 0] == 1
    false, recall = curve(p, truth)
    at = lambda share: float(recall[false <= share].max(initial=0))
    return {"auc": float(np.trapezoid(np.append(0, recall), np.append(0, false))), "recall 5 %": at(0.05),
            "recall 10 %": at(0.10), "recall at .5": float((p[truth] >= 0.5).mean()),
            "false at .5": float((p[~truth] >= 0.5).mean())}


def active(x: Array, label: Array) -> float:
    """Root mean square of the speech."""
    spoken = np.repeat(label == 1, HOP)
    return float(np.sqrt(np.mean(x[: len(spoken)][spoken] ** 2)))


def sixteen_bits(x: Array) -> Array:
    return np.clip(np.round(x * 32767), -32768, 32767) / 32768


def in_noise(kind: str, level_db: float, signals: Signals, labels: list[Array]) -> Signals:
    loud = [active(x, y) for x, y in zip(signals, labels)]
    out = []
    for i, x in enumerate(signals):
        talkers = [signals[j] / loud[j] for j in range(len(signals)) if j != i]
        z = noises.made(kind, noises.generator(kind, i), len(x), talkers)
        y = x + z * loud[i] * 10 ** (-level_db / 20)
        out.append(sixteen_bits(y * min(1, 0.99 / np.abs(y).max())))
    return out


def faults(signals: Signals, labels: list[Array]) -> Iterator[tuple[str, Signals]]:
    """The clips through what goes wrong."""
    yield "quiet, -40 dB", [sixteen_bits(x * 0.01) for x in signals]
    yield "hum 10 dB over speech", in_noise("hum", -10, signals, labels)
    yield "clipped, +20 dB", [sixteen_bits(10 * x) for x in signals]
    yield "offset .1", [sixteen_bits(x * 0.8 + 0.1) for x in signals]
    for codec in ("opus", "gsm", "alaw", "mp3"):
        name = {"opus": "Opus 6 kbit/s", "mp3": "MP3 16 kbit/s", "gsm": "GSM", "alaw": "G.711 A"}[codec]
        yield name, [through_codec(x, codec) for x in signals]
    yield "AMR 4.75 kbit/s", [through_amr(x) for x in signals]
    soft = [whispered(x, noises.generator("whisper", i)) for i, x in enumerate(signals)]
    yield "whispered", [sixteen_bits(x * min(1, 0.99 / np.abs(x).max())) for x in soft]
    yield "whispered, -20 dB", [sixteen_bits(0.1 * x) for x in soft]


def through_amr(x: Array) -> Array:
    """x coded and decoded by sox, which has the codec where Debian's ffmpeg lacks it."""
    raw = ["-t", "raw", "-e", "signed", "-b", "16", "-c", "1", "-r", str(RATE), "-"]
    sox = lambda *args, data: subprocess.run(["sox", *args], input=data, capture_output=True, check=True).stdout
    data = np.clip(np.round(x * 32767), -32768, 32767).astype("<i2").tobytes()
    coded = sox("-D", *raw, "-t", "amr-nb", "-r", "8000", "-C", "0", "-", data=data)
    y = np.frombuffer(sox("-D", "-t", "amr-nb", "-", *raw, data=coded), "<i2").astype(np.float64) / 32767
    return np.pad(y, (0, max(0, len(x) - len(y))))[: len(x)]


def pieces(pool: Pool, most_s: int = 60) -> Signals:
    parts = zip(pool.offsets, pool.offsets[1:])
    return [pool.samples[a:b][: most_s * RATE].astype(np.float64) / 32768 for a, b in parts]


def sounds(data_dir: Path) -> Iterator[tuple[str, Signals]]:
    """Sounds without speech, none of them in training."""
    kinds = Pools(data_dir, held_out=True).by_kind
    yield "music on hold", pieces(kinds["music"]["test_music_on_hold"], 120)
    keys = pieces(kinds["noise"]["test_keyboard"])
    yield "keyboard", [noises.typing(noises.generator("typing", i), 60 * RATE, keys) for i in range(2)]
    for name in ("birds", "boat", "city", "coffee-shop", "fireplace", "rain", "storm", "stream",
                 "summer-night", "train", "waves", "wind"):
        index = surroundings(data_dir).get(name)
        if index is not None:
            yield name, [pieces(kinds["noise"]["test_surroundings"])[index]]
    yield "city (berlin_noise)", pieces(kinds["noise"]["test_city"])
    yield "ring tones", pieces(kinds["music"]["test_ring_tones"])
    yield "band stems", pieces(kinds["music"]["test_stems"])
    yield "DTMF", [noises.dtmf(noises.generator("dtmf"), 60 * RATE)]
    yield "sirens", [noises.siren(noises.generator("siren"), 60 * RATE)]
    for kind in ("white", "pink", "hum", "fan", "music"):
        z = noises.made(kind, noises.generator("alone", kind), 60 * RATE, [])
        yield f"{kind} alone", [sixteen_bits(z * 10 ** (-35 / 20))]


def surroundings(data_dir: Path) -> dict[str, int]:
    """Index of each recording of test_surroundings by its file's name."""
    from collect import AUDIO, git_files, read_sources

    source = read_sources()["test_surroundings"]
    folder = data_dir / "git" / source["repository"].replace("/", "+")
    if not folder.exists():
        return {}
    unwanted = re.compile(source["exclude"])
    names = [n for n, _ in git_files(folder, re.compile(source["include"])) if not unwanted.search(n)]
    return {AUDIO.sub("", Path(name).name): i for i, name in enumerate(names)}


def steps() -> Signals:
    """Eight seconds of noise at -65 dBFS, then 20 dB more of it for five."""
    out = []
    for kind in ("white", "pink", "fan"):
        z = noises.made(kind, noises.generator("step", kind), 13 * RATE, []) * 10 ** (-65 / 20)
        z[8 * RATE :] *= 10
        out.append(sixteen_bits(z))
    return out


def cold_starts(signals: Signals, labels: list[Array]) -> tuple[Signals, list[Array]]:
    """The clips from the middle of each stretch of speech of a second or more on, for four seconds."""
    parts, truth = [], []
    for x, y in zip(signals, labels):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (y == 1).astype(int), [0]])))
        for start, end in zip(edges[::2], edges[1::2]):
            if end - start >= 100:
                middle = (start + end) // 2
                parts.append(x[middle * HOP : middle * HOP + 4 * RATE])
                truth.append(y[middle : middle + len(parts[-1]) // HOP])
    return parts, truth


Row = tuple[str, Callable[[Detector], str]]


def on_labels(signals: Signals, labels: list[Array]) -> Callable[[Detector], str]:
    """Area, and recall and false alarms at one half."""

    def figures(detector: Detector) -> str:
        s = scores(detector.run(signals), labels)
        return f"{s['auc']:.3f} ({s['recall at .5']:.2f}, {s['false at .5']:.2f})"

    return figures


def share(signals: Signals, part: slice = slice(None), segments: bool = True) -> Callable[[Detector], str]:
    """Per cent of frames at or above one half, and segments a minute."""

    def figures(detector: Detector) -> str:
        p = np.concatenate([course[part] for course in detector.run(signals)])
        text = f"{100 * (p >= 0.5).mean():.1f}"
        if segments:
            minutes = sum(len(x) for x in signals) / RATE / 60
            text += f", {sum(map(len, detector.segments(signals))) / minutes:.1f}"
        return text

    return figures


def on_segments(signals: Signals, labels: list[Array]) -> Callable[[Detector], str]:
    """False ones a minute, fragments too many, stretches lost, median errors of starts and ends in ms."""

    def figures(detector: Detector) -> str:
        c = compare(detector.segments(signals), labels)
        median = lambda errors: f"{np.median(errors):+.0f}" if errors else "-"
        return f"{c.false_per_minute:.2f}, {c.fragments}, {c.lost}, {median(c.starts)}, {median(c.ends)}"

    return figures


def drift(signals: Signals, labels: list[Array], minutes: int = 60) -> Callable[[Detector], str]:
    """Area on all clips joined, the first time they are heard and the last, over and over in one stream."""
    once = np.concatenate([x[: len(x) // HOP * HOP] for x in signals])
    times, label = -(-minutes * 60 * RATE // len(once)), np.concatenate(labels)

    def figures(detector: Detector) -> str:
        p = detector.hear([np.tile(once, times)])[0][0]
        parts = [p[: len(label)], p[(times - 1) * len(label) :][: len(label)]]
        first, last = (scores([part], [label[: len(part)]])["auc"] for part in parts)
        return f"{first:.3f}, {last:.3f}"

    return figures


def recall(signals: Signals, labels: list[Array], part: slice) -> Callable[[Detector], str]:
    def figures(detector: Detector) -> str:
        pairs = zip(detector.run(signals), labels)
        p = np.concatenate([course[part][y[part] == 1] for course, y in pairs])
        return f"{(p >= 0.5).mean():.2f}"

    return figures


def rows(data_dir: Path, clips: Path, quick: bool) -> Iterator[Row]:
    """All rows of the table: what it is, and how to find the figure of a detector."""
    signals, labels = read_clips(clips)
    yield "clean: AUC (recall, false alarms at .5)", on_labels(signals, labels)
    for percent in (5, 10):
        def at(detector: Detector, key: str = f"recall {percent} %") -> str:
            return f"{scores(detector.run(signals), labels)[key]:.3f}"
        yield f"clean: recall at {percent} % false alarms", at
    for kind in noises.KINDS:
        for level in noises.LEVELS_DB if not quick else (5,):
            yield f"{kind} {level} dB", on_labels(in_noise(kind, level, signals, labels), labels)
    stream = [np.concatenate([x[: len(x) // HOP * HOP] for x in signals])]
    yield "one stream", on_labels(stream, [np.concatenate(labels)])
    yield "60 minutes: area at the start, at the end", drift(signals, labels)
    known = sum(len(stretches(y)) for y in labels)
    each = "false a minute, fragments, lost, starts, ends (ms)"
    yield f"segments, clean ({known}): {each}", on_segments(signals, labels)
    for kind, level in (("white", 5), ("fan", 5), ("music", 10)):
        noisy = in_noise(kind, level, signals, labels)
        yield f"segments, {kind} {level} dB: {each}", on_segments(noisy, labels)
    meetings = read_meetings(data_dir)
    if meetings is not None:
        yield "meetings", on_labels(*meetings)
        known = sum(len(stretches(y)) for y in meetings[1])
        yield f"segments, meetings ({known}): {each}", on_segments(*meetings)
    for name, changed in faults(signals, labels):
        yield name, on_labels(changed, labels)
    for name, some in sounds(data_dir):
        yield f"{name}: % at or above .5, segments a minute", share(some)
    yield "noise floor +20 dB: % of the next 2 s", share(steps(), slice(800, 1000), segments=False)
    cold, truth = cold_starts(signals, labels)
    for name, part in (("50-100 ms", slice(5, 10)), ("1-4 s", slice(100, 400))):
        yield f"cold start: recall at .5 in {name}", recall(cold, truth, part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--model", nargs="*", default=[], help="names under DATA_DIR/model")
    parser.add_argument("--look-ahead", nargs="*", type=int, default=[3], help="in frames of 10 ms")
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), help="also these, or all of them")
    parser.add_argument("--crate", type=Path, help="the example vad_pipe: also our own detectors by it")
    parser.add_argument("--quick", action="store_true", help="noise at 5 dB only")
    parser.add_argument("--rows", type=re.compile, default="", help="only rows that match this regular expression")
    arguments = parser.parse_args()
    hearing, detectors = Hearing(Silero()), []
    for ahead in arguments.look_ahead:
        assert ahead in LOOK_AHEADS
        for name in arguments.model:
            from trained import load, network_detector

            net = load(arguments.data_dir / "model" / f"{name}.pt")
            detectors += [silero_detector(hearing, ahead, True), network_detector(hearing, net, ahead, name)]
        if arguments.crate:
            kinds = [kind for kind in CRATE if (kind, ahead) not in LACKS]
            detectors += [crate_detector(arguments.crate, kind, ahead) for kind in kinds]
    if arguments.peers is not None:
        detectors += [PEERS[name](hearing) for name in arguments.peers or PEERS]
    print("| | " + " | ".join(f"{d.name} {d.look_ahead_ms} ms" for d in detectors) + " |")
    print("|---|" + "---|" * len(detectors))
    noisy: list[list[float]] = []
    for name, figures in rows(arguments.data_dir, arguments.clips, arguments.quick):
        if not re.search(arguments.rows, name):
            continue
        found = [figures(d) for d in detectors]
        print(f"| {name} | " + " | ".join(found) + " |", flush=True)
        if name.split()[0] in noises.KINDS and name.endswith(" dB"):
            noisy.append([float(f.split()[0]) for f in found])
    if noisy:
        print("| mean AUC in noise | " + " | ".join(f"{m:.3f}" for m in np.mean(noisy, 0)) + " |")


if __name__ == "__main__":
    main()
