"""The functions on arrays beside what Python has today, in one process: time, and quality by one meter.

    pip install -r tools/bench_numpy/requirements.txt "$(scripts/wheel.sh)"
    python tools/bench_numpy [PART…] [--quick] [--page docs/numpy.md]

Prints tables in Markdown; --page puts them into the page, between the comments that name the parts.
Parts: quality whole chunks conversions frames calls threads fft; all by default. Peers that are not
installed are left out, and named. Times are of the CPU, all threads of the process, the least of
rounds that are interleaved, unless a table says otherwise."""
from __future__ import annotations

import argparse
import re
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import calls
import conversions
import fft
import peers
import resampling

PARTS = {
    "quality": resampling.quality, "whole": resampling.whole, "chunks": resampling.chunks,
    "conversions": conversions.arrays, "frames": conversions.frames, "calls": calls.calls, "threads": calls.threads,
    "fft": fft.fft,
}


def put(page: Path, name: str, text: str) -> None:
    """Puts `text` between the comments of part `name`."""
    pattern = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    done, count = pattern.subn(lambda m: f"{m[1]}{text}\n{m[2]}", page.read_text(encoding="utf-8"))
    if count != 1:
        sys.exit(f"{page}: expected one <!-- {name}: … --> with its end, found {count}")
    page.write_text(done, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it runs")
    parser.add_argument("--page", type=Path, help="the page to put the tables into")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    warnings.simplefilter("ignore")
    print(peers.versions(), flush=True)
    for name, part in PARTS.items():
        if arguments.parts and name not in arguments.parts:
            continue
        start = time.time()
        text = part(2 if arguments.quick else 5)
        print(f"\n## {name}\n\n{text}", flush=True)
        print(f"({name}: {time.time() - start:.0f} s)", file=sys.stderr, flush=True)
        if arguments.page:
            put(arguments.page, name, text)
    if arguments.page:
        put(arguments.page, "versions", peers.versions())


if __name__ == "__main__":
    main()
