"""Turns the recordings that sources.toml names into pools of 16 kHz mono samples.

    python collect.py DATA_DIR [--only NAME ...]

DATA_DIR/git/OWNER+NAME   a clone of each repository (bare or not); `git clone --no-checkout` will do
DATA_DIR/deb/PACKAGE      each Debian package unpacked by `dpkg -x`
DATA_DIR/pool/NAME.npz    written: `samples` int16, `offsets` int64 (recording i is
                          samples[offsets[i]:offsets[i+1]])

Every pool gets a line in DATA_DIR/manifest.json: recordings, minutes, SHA-256 of its samples.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 16_000
HERE = Path(__file__).parent
AUDIO = re.compile(r"\.(wav|mp3|ogg|oga|flac|opus|m4a|au|webm)$", re.IGNORECASE)
#: Recordings shorter or quieter than this are left out.
SHORTEST = RATE // 10
QUIETEST_PEAK = 1e-3
#: A recording is cut after so many seconds, so that no single one carries a pool.
LONGEST_S = 120


def read_sources() -> dict[str, dict]:
    """The table of sources.toml by name."""
    with open(HERE / "sources.toml", "rb") as file:
        return tomllib.load(file)


def decode(data: bytes) -> np.ndarray | None:
    """Samples of an audio file at 16 kHz, channels averaged; None if nothing reads it."""
    try:
        x, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        command = ["ffmpeg", "-v", "error", "-i", "-", "-t", str(LONGEST_S)]
        command += ["-f", "f32le", "-ar", str(RATE), "-ac", "1", "-"]
        run = subprocess.run(command, input=data, capture_output=True, check=False)
        x, rate = np.frombuffer(run.stdout, "<f4")[:, None], RATE
    if len(x) == 0:
        return None
    y = x[: LONGEST_S * rate].mean(1)
    if rate != RATE:
        common = gcd(rate, RATE)
        y = resample_poly(y, RATE // common, rate // common).astype(np.float32)
    return y


def git_files(repository: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Path and content of the wanted audio files of a clone's newest commit, by path."""
    git_dir = repository / ".git" if (repository / ".git").is_dir() else repository
    git = ["git", "-C", str(git_dir)]
    environment = os.environ | {"GIT_NO_LAZY_FETCH": "1"}
    tree = subprocess.run([*git, "ls-tree", "-r", "-l", "-z", "HEAD"], env=environment,
                          capture_output=True, check=True).stdout.decode()
    entries = []
    for entry in tree.split("\0"):
        meta, _, path = entry.partition("\t")
        fields = meta.split()
        # A size of BAD marks a blob that the clone lacks.
        if path and fields[3] != "BAD" and AUDIO.search(path) and wanted.search(path):
            entries.append((path, fields[2]))
    with subprocess.Popen([*git, "cat-file", "--batch"], env=environment, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        for path, blob in entries:
            process.stdin.write(f"{blob}\n".encode())
            process.stdin.flush()
            header = process.stdout.readline().split()
            data = process.stdout.read(int(header[2]))
            process.stdout.read(1)
            yield path, data
        process.stdin.close()


def folder_files(folder: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Path and content of the wanted audio files under a folder, by path."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and AUDIO.search(name) and wanted.search(name):
            yield name, path.read_bytes()


def recordings(source: dict, data_dir: Path) -> Iterator[np.ndarray]:
    """The recordings of a source at 16 kHz, up to its `minutes`."""
    wanted = re.compile(source.get("include", "."))
    unwanted = re.compile(source["exclude"]) if "exclude" in source else None
    if "repository" in source:
        folder = data_dir / "git" / source["repository"].replace("/", "+")
        files = git_files(folder, wanted)
    else:
        files = folder_files(data_dir / "deb" / source["package"], wanted)
    left = source.get("minutes", 1e9) * 60 * RATE
    every = source.get("every", 1)
    count = 0
    seen: set[bytes] = set()
    for name, data in files:
        digest = hashlib.sha1(data).digest()
        if left <= 0:
            break
        if digest in seen or (unwanted and unwanted.search(name)):
            continue
        seen.add(digest)
        count += 1
        if count % every:
            continue
        x = decode(data)
        if x is None or len(x) < SHORTEST or not np.isfinite(x).all():
            continue
        if np.abs(x).max() < QUIETEST_PEAK:
            continue
        left -= len(x)
        yield x


def collect(name: str, source: dict, data_dir: Path) -> dict:
    """Writes one pool and returns its line of the manifest."""
    parts = [np.clip(np.round(x * 32767), -32768, 32767).astype(np.int16)
             for x in recordings(source, data_dir)]
    if not parts:
        raise SystemExit(f"{name}: no recording found; is its repository or package there?")
    offsets = np.cumsum([0] + [len(x) for x in parts])
    samples = np.concatenate(parts)
    (data_dir / "pool").mkdir(exist_ok=True)
    np.savez(data_dir / "pool" / f"{name}.npz", samples=samples, offsets=offsets)
    return {
        "recordings": len(parts),
        "minutes": round(len(samples) / RATE / 60, 1),
        "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--only", nargs="*", help="names of sources; all by default")
    arguments = parser.parse_args()
    path = arguments.data_dir / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {}
    for name, source in read_sources().items():
        if source["kind"] == "labelled" or arguments.only and name not in arguments.only:
            continue
        manifest[name] = collect(name, source, arguments.data_dir)
        print(name, source["kind"], manifest[name]["recordings"], manifest[name]["minutes"], "min",
              flush=True)
        path.write_text(json.dumps(dict(sorted(manifest.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
