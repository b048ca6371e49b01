#!/usr/bin/env python3
"""What the plugin file costs before anything plays, beside plugins of GStreamer itself: its size, the time
of `gst-inspect-1.0` with a fresh registry, that of dlopen alone and of the whole load with its
registration, and the memory of its own that the process has afterwards.

    tools/load_cost.py [PLUGIN_FILE] [RUNS]     default: target/release/libgstrustaudio.so, 21

Each figure is the median of processes of their own. GStreamer's libraries are loaded beforehand: stock
plugins share them, too."""
import ctypes
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ["libgstreamer-1.0.so.0", "libgstbase-1.0.so.0", "libgstaudio-1.0.so.0", "libgio-2.0.so.0"]
STOCK = ["libgstaudioconvert.so", "libgstaudioresample.so", "libgstplayback.so"]


def private_kb() -> int:
    """Memory that only this process has."""
    text = Path("/proc/self/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_(?:Clean|Dirty): +(\d+)", text, re.M))


def one_load(path: str) -> None:
    """In a process of its own: prints what loading `path` took."""
    gst = [ctypes.CDLL(name, ctypes.RTLD_GLOBAL) for name in LIBRARIES][0]
    gst.gst_init(None, None)
    gst.gst_plugin_load_file.restype = ctypes.c_void_p
    before, start = private_kb(), time.perf_counter_ns()
    ctypes.CDLL(path, os.RTLD_NOW | os.RTLD_LOCAL)
    opened = time.perf_counter_ns()
    plugin = gst.gst_plugin_load_file(path.encode(), None)
    done = time.perf_counter_ns()
    assert plugin, path
    print(json.dumps([(opened - start) / 1e6, (done - start) / 1e6, private_kb() - before]))


def measure(path: Path, runs: int) -> str:
    inspected, loads = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            plugins = Path(folder) / "plugins"
            plugins.mkdir()
            (plugins / path.name).symlink_to(path)
            env = {**os.environ, "GST_PLUGIN_PATH_1_0": str(plugins), "GST_PLUGIN_SYSTEM_PATH_1_0": "",
                   "GST_REGISTRY_1_0": f"{folder}/registry", "GST_REGISTRY_FORK": "no"}
            start = time.perf_counter_ns()
            subprocess.run(["gst-inspect-1.0"], env=env, check=True, stdout=subprocess.DEVNULL)
            inspected.append((time.perf_counter_ns() - start) / 1e6)
            loads.append(json.loads(subprocess.run([sys.executable, __file__, "--one", str(path)], env=env, check=True,
                                                   stdout=subprocess.PIPE).stdout))
    opened, loaded, memory = (statistics.median(column) for column in zip(*loads))
    return (f"| `{path.name}` | {path.stat().st_size / 1e6:.2f} | {statistics.median(inspected):.1f} "
            f"| {opened:.2f} | {loaded:.2f} | {memory:.0f} |")


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        one_load(sys.argv[2])
        return
    plugin = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "target/release/libgstrustaudio.so"
    if not plugin.exists():
        sys.exit(f"{plugin} is not there: cargo build --release makes it; or name a file")
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 21
    folder = Path(subprocess.run(["pkg-config", "--variable=pluginsdir", "gstreamer-1.0"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout.strip())
    print("| file | MB | gst-inspect-1.0, ms | dlopen, ms | and registration, ms | memory, kB |")
    print("|---|---|---|---|---|---|")
    for path in [plugin.resolve(), *(folder / name for name in STOCK)]:
        print(measure(path, runs))


main()
