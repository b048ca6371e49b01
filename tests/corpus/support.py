"""What the tests share. Run them as scripts/test.sh does: with GST_PLUGIN_PATH at a folder that holds this build's
plugin, in a virtualenv with the system's packages and those of requirements.txt."""
from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python"
sys.path[:0] = [str(PACKAGE), str(ROOT / "tests" / "common")]

import pyarrow.parquet as pq  # noqa: E402

#: Seconds after which something hangs.
PATIENCE = 120
#: Two words each, 48 kHz mono S16.
CLIPS = Path("/usr/share/sounds/alsa")
CLIP = CLIPS / "Front_Center.wav"


def environment(**more: str) -> Dict[str, str]:
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "LC_ALL": "C.UTF-8", **more}
    env.pop("GST_TRACERS", None)
    return env


def start(*words: Any, **more: Any) -> "subprocess.Popen[str]":
    """Starts ``gstrustaudio corpus``."""
    return subprocess.Popen(
        [sys.executable, "-m", "gstrustaudio", "corpus", *map(os.fspath, map(_text, words))],
        env=environment(**more.pop("env", {})), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="surrogateescape", **more)


def _text(word: Any) -> Any:
    return word if isinstance(word, (str, bytes, os.PathLike)) else str(word)


def corpus(*words: Any, **more: Any) -> "subprocess.CompletedProcess[str]":
    """Runs ``gstrustaudio corpus`` to its end."""
    with start(*words, **more) as process:
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def rows(out: Path, name: str) -> List[Dict[str, Any]]:
    """The rows of a table."""
    return pq.read_table(out / f"{name}.parquet").to_pylist()


def by_name(out: Path) -> Dict[str, Dict[str, Any]]:
    """Rows of ``files`` by the names of the files."""
    found = rows(out, "files")
    named = {os.path.basename(r["path"]): r for r in found}
    assert len(named) == len(found), "a file is there twice"
    return named


def lines(path: Path) -> List[Dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def launch(*words: str) -> None:
    """Plays a line, which makes a file for a test."""
    subprocess.run(["gst-launch-1.0", "-q", *words], check=True, capture_output=True, timeout=PATIENCE,
                   env=environment())


class InFolder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.sounds, self.out = self.folder / "sounds", self.folder / "out"
        self.sounds.mkdir()

    def node(self, code: str, name: str = "node.py") -> Path:
        """A Python node's file."""
        path = self.folder / name
        path.write_text(code)
        return path

    def clips(self, count: int) -> List[Path]:
        """Copies of a clip."""
        made = [self.sounds / f"clip{i:02}.wav" for i in range(count)]
        for path in made:
            shutil.copy(CLIP, path)
        return made


class Gate:
    """Where a node waits for a test, and the test for the node: pipes with names, so nobody sleeps.

    `NODE` is the code of a node that stops at the gate in the file whose audio has ``frames`` samples, once."""

    NODE = '''
import os
FOLDER = {folder!r}
class Waits:
    def process(self, audio, ctx):
        try:
            os.mkdir(os.path.join(FOLDER, "passed"))
        except FileExistsError:
            return
        {before}
        with open(os.path.join(FOLDER, "arrived"), "w") as arrived:
            print(os.getpid(), file=arrived, flush=True)
            with open(os.path.join(FOLDER, "leave")) as leave:
                leave.read()
'''

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "gate"
        self._folder.mkdir()
        for name in ("arrived", "leave"):
            os.mkfifo(self._folder / name)
        self.passed = self._folder / "passed"

    def code(self, before: str = "pass") -> str:
        return self.NODE.format(folder=str(self._folder), before=before)

    def open(self) -> None:
        """Lets the node that waits go on."""
        with open(self._folder / "leave", "w"):
            pass

    def arrival(self) -> "Arrival":
        """Waits until the node is there."""
        return Arrival(self._folder / "arrived")


class Arrival:
    """A node that waits at a gate."""

    def __init__(self, path: Path) -> None:
        # Whoever should come may have ended: to open the pipe as usual would be to wait for ever.
        pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        assert select.select([pipe], [], [], PATIENCE)[0], "nobody came to the gate"
        os.set_blocking(pipe, True)
        self._pipe = open(pipe)
        self.pid = int(self._pipe.readline())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def gone(self) -> None:
        """Waits until its process has ended."""
        assert self._pipe.read() == ""
        self._pipe.close()
