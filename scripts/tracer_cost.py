#!/usr/bin/python3
"""What tracing costs per buffer, on a chain of seven elements: the plugin's tracer beside GStreamer's
`latency(flags=element)`, without a log and with one that is thrown away.

    cargo build --release && scripts/tracer_cost.py [ROUNDS]

CPU time of the process (user and system), medians over rounds that alternate, start-up taken off."""
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parent.parent / "target"))
TRACERS = {
    "none": {},
    "rustaudiometrics": {"GST_TRACERS": 'rustaudiometrics(file="/dev/null")'},
    "latency, not logged": {"GST_TRACERS": "latency(flags=element)"},
    "latency": {
        "GST_TRACERS": "latency(flags=element)",
        "GST_DEBUG": "GST_TRACER:7",
        "GST_DEBUG_COLOR_MODE": "off",
        "GST_DEBUG_FILE": "/dev/null",
    },
}
#: Buffers of a long and a short run; their difference is free of what starting costs.
LONG, SHORT = 200_000, 1_000


def cpu_time(env: dict, buffers: int) -> float:
    """Seconds of CPU time that the chain takes for so many buffers."""
    line = f"fakesrc num-buffers={buffers} sizetype=fixed sizemax=1920"
    line += " ! identity silent=true" * 5 + " ! fakesink silent=true sync=false"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["gst-launch-1.0", "-q", *line.split()], env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    library = TARGET / "release" / "libgstrustaudio.so"
    if not library.exists():
        sys.exit(f"{library} is missing: cargo build --release")
    costs = {name: [] for name in TRACERS}
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(library, folder)
        base = {k: v for k, v in os.environ.items() if not k.startswith("GST_")}
        base.update(GST_PLUGIN_PATH=folder, GST_REGISTRY=f"{folder}/registry.bin")
        subprocess.run(["gst-inspect-1.0", "rustvad"], env=base, check=True, stdout=subprocess.DEVNULL)
        for _ in range(rounds):
            for name, variables in TRACERS.items():
                env = {**base, **variables}
                used = cpu_time(env, LONG) - cpu_time(env, SHORT)
                costs[name].append(used / (LONG - SHORT) * 1e6)
    medians = {name: statistics.median(c) for name, c in costs.items()}
    own = medians["rustaudiometrics"] - medians["none"]
    print("| tracer | us per buffer and chain | over no tracer | times ours |\n|---|---|---|---|")
    for name, value in medians.items():
        over = value - medians["none"]
        print(f"| {name} | {value:.2f} | {over:.2f} | {over / own:.1f} |")


if __name__ == "__main__":
    main()
