#!/usr/bin/env python3
"""Counts the instructions of a push of 10 ms, which a busy machine cannot change, and compares them.

    tools/count_instructions.py [CASE...] [--update]

Runs each case of `benches/counted.rs` in valgrind's callgrind and prints instructions and first-level data
cache misses per push (32 kB, 8 ways, lines of 64 bytes, all levels simulated), beside those of
`benches/counted.json`. Exits with 1 if a case takes over 3 % more instructions than it says; --update
writes what was counted there. valgrind knows no AVX-512: what is counted are the kernels of AVX2.

Compilers differ by more than that, so figures are compared under the rustc they were taken with; under
another they are printed, and that is said. From Debian: valgrind."""
from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "benches" / "counted.json"
#: Of `counted.rs`.
PUSHES = 100
#: More instructions than this part of those on record are a regression.
TOLERANCE = 0.03


class Count(NamedTuple):
    """Per push."""

    instructions: int
    misses: int


def build() -> str:
    """The path of the program."""
    command = ["cargo", "build", "--release", "--locked", "--bench", "counted", "--message-format=json-render-diagnostics"]
    messages = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [m["executable"] for m in map(json.loads, messages.splitlines())
             if m.get("executable") and m["target"]["name"] == "counted"]
    return found[-1]


def count(program: str, case: str) -> Count:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--collect-atstart=no",
            "--toggle-collect=*counted_region*", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=8388608,16,64",
            "--cache-sim=yes", program, case,
        ]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GST_", "RUST", "PYTHON"))},
            "GST_REGISTRY": f"{folder}/registry", "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    # Events: Ir Dr Dw I1mr D1mr D1mw ...
    totals = re.search(r"Collected : ([\d ]+)", done.stderr)
    events = re.search(r"Events +: ([\w ]+)", done.stderr)
    if done.returncode or not totals or not events:
        sys.exit(f"{case}: exit code {done.returncode}\n{done.stderr}")
    values = dict(zip(events[1].split(), map(int, totals[1].split())))
    if not values["Ir"]:
        sys.exit(f"{case}: nothing was counted; has counted_region another name?")
    return Count(round(values["Ir"] / PUSHES), round((values["D1mr"] + values["D1mw"]) / PUSHES))


def table(counts: Dict[str, Count], known: Dict[str, List[int]]) -> str:
    lines = ["| per push of 10 ms | instructions | on record | | misses of data | on record |", "|---|---|---|---|---|---|"]
    for case, (instructions, misses) in counts.items():
        before = known.get(case)
        beside = f"{before[0]} | {instructions / before[0] - 1:+.1%}" if before else "- | new"
        lines.append(f"| {case} | {instructions} | {beside} | {misses} | {before[1] if before else '-'} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--update", action="store_true", help=f"write {FIGURES.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing: apt install valgrind")
    if "avx2" not in Path("/proc/cpuinfo").read_text():
        print("Not counted: the figures are of AVX2, which this processor does not have.")
        return 0
    program = build()
    cases = subprocess.run([program], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    unknown = set(arguments.cases) - set(cases)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are:\n" + "\n".join(cases))
    cases = arguments.cases or cases
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(cases, pool.map(lambda case: count(program, case), cases)))

    record = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"rustc": "", "counts": {}}
    rustc = subprocess.run(["rustc", "--version"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(table(counts, record["counts"]))
    if arguments.update:
        kept = record["counts"] if arguments.cases else {}
        record = {"rustc": rustc, "counts": {**kept, **counts}}
        lines = [f"  {json.dumps(case)}: {json.dumps(count)}" for case, count in record["counts"].items()]
        FIGURES.write_text('{"rustc": %s, "counts": {\n%s\n}}\n' % (json.dumps(rustc), ",\n".join(lines)))
        return 0
    if rustc != record["rustc"]:
        print(f"\nNot compared: the figures on record are of {record['rustc']}, these of {rustc}.")
        return 0
    known = record["counts"]
    missing = [case for case in cases if case not in known]
    worse = [case for case in cases if case in known and counts[case].instructions > known[case][0] * (1 + TOLERANCE)]
    if missing or worse:
        print(f"\nOver {TOLERANCE:.0%} more than on record, or not on record: {'; '.join(worse + missing)}.\n"
              "If that is meant, tools/count_instructions.py --update, and say why in the commit.")
        return 1
    print(f"\nNone takes over {TOLERANCE:.0%} more instructions than on record.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
