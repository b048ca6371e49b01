"""What the tests share. Run them as scripts/test.sh does: with GST_PLUGIN_PATH at a folder that
holds this build's plugin, under the Python that PyGObject belongs to."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python"
sys.path[:0] = [str(PACKAGE), str(ROOT / "tests" / "common")]

import gi  # noqa: E402

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst, GObject  # noqa: E402

Gst.init(None)
if Gst.ElementFactory.find("rustvad") is None:
    raise SystemExit("rustvad is not found: set GST_PLUGIN_PATH, as scripts/test.sh does")

#: Seconds after which something hangs.
PATIENCE = 60

METRICS: Dict[str, Any] = {
    "element": "vad0", "factory": "rustvad", "timestamp": 0, "stream-time": 7, "running-time": 0,
    "duration": 10**9, "num-buffers": 100, "num-samples": 48000, "num-bytes": 96000,
    "num-dropped": 1, "num-errors": 2, "num-retries": 3, "num-timeouts": 4, "num-skipped": 5,
    "processing-time": 1_234_567, "processing-time-min": 1000, "processing-time-avg": 12345,
    "processing-time-p50": 12000, "processing-time-p95": 20000, "processing-time-p99": 30000,
    "processing-time-max": 40499, "real-time-factor": 0.00125, "latency": 30_000_000, "memory": 45000,
    "process-peak-rss": 70_000_000, "status": "degraded", "last-error": "it broke", "stalled": False,
    "final": True,
}


def environment(**more: str) -> Dict[str, str]:
    env = {**os.environ, "PYTHONPATH": str(PACKAGE), "LC_ALL": "C.UTF-8", **more}
    env.pop("GST_TRACERS", None)
    return env


def cli(*words: str, cwd: Any = None) -> "subprocess.CompletedProcess[str]":
    """Runs ``python3 -m gstrustaudio`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gstrustaudio", *words],
        env=environment(), cwd=cwd or ROOT, capture_output=True, text=True, timeout=PATIENCE,
    )


def structure(name: str, fields: Dict[str, Any]) -> Any:
    """A Gst.Structure with the types that the plugin uses."""
    s = Gst.Structure.new_empty(name)
    for field, value in fields.items():
        if isinstance(value, bool):
            s.set_value(field, value)
        elif isinstance(value, int):
            boxed = GObject.Value(GObject.TYPE_UINT64, value)
            s.set_value(field, boxed)
        else:
            s.set_value(field, value)
    return s


def speech(folder: Path) -> List["tuple[float, float]"]:
    """Writes the demo's recording to ``folder``/speech.wav; where its speech is, in s."""
    subprocess.run(
        [sys.executable, "scripts/make_speech.py", str(folder / "speech.wav"), str(folder / "speech.csv")],
        cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE,
    )
    lines = (folder / "speech.csv").read_text().split()
    return [(float(a), float(b)) for a, b in (line.split(",") for line in lines)]


class InFolder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)

    def node(self, name: str, code: str) -> str:
        """A Python node's file."""
        path = self.folder / name
        path.write_text(code)
        return str(path)
