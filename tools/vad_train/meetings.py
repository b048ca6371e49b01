"""Meetings with far microphones: excerpts of the AMI corpus that the tests of pyannote.audio ship."""

from __future__ import annotations

import io
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import soundfile

from collect import read_sources
from silero import HOP, RATE


def read_meetings(data_dir: Path) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Signals, and 1 or 0 per frame, 1 where anybody speaks; None if their repository is not there."""
    source = read_sources()["test_meetings"]
    folder = data_dir / "git" / source["repository"].replace("/", "+")
    git_dir = folder / ".git" if (folder / ".git").is_dir() else folder
    if not git_dir.exists():
        return None

    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(git_dir), *arguments], capture_output=True, check=True).stdout

    blobs = {}
    for entry in git("ls-tree", "-z", source["commit"], source["folder"]).decode().split("\0"):
        meta, _, path = entry.partition("\t")
        if path:
            blobs[Path(path).name] = meta.split()[2]
    turns: dict[str, list[tuple[float, float]]] = {}
    for name in sorted(n for n in blobs if n.endswith(".rttm")):
        for line in git("cat-file", "blob", blobs[name]).decode().splitlines():
            fields = line.split()
            start, length = float(fields[3]), float(fields[4])
            turns.setdefault(fields[1], []).append((start, start + length))
    signals, labels = [], []
    for name in sorted(n for n in blobs if n.endswith(".wav") and n != "empty.wav"):
        x, rate = soundfile.read(io.BytesIO(git("cat-file", "blob", blobs[name])))
        assert rate == RATE and x.ndim == 1, f"{name}: not 16 kHz mono"
        x = x[: source["seconds"] * RATE]
        centre = (np.arange(len(x) // HOP) + 0.5) * HOP / RATE
        label = np.zeros(len(centre), int)
        # One file has an accent that its labels lack.
        plain = unicodedata.normalize("NFKD", Path(name).stem).encode("ascii", "ignore").decode()
        for start, end in turns.get(plain, []):
            label[(centre >= start) & (centre < end)] = 1
        signals.append(x)
        labels.append(label)
    return signals, labels
