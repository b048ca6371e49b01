#!/usr/bin/env python3
"""Counts the instructions of a push of 10 ms on 64-bit Arm, in an emulator.

    tools/count_arm.py PROGRAM [PROGRAM...] [--case WORDS] [--level LEVEL]

PROGRAM is `dsp/benches/pushes.rs`, built for Arm:

    cargo bench --no-run --locked -p rustaudio-dsp --bench pushes --target aarch64-unknown-linux-gnu

with CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc. Of several, as of before and after a
change, the counts stand side by side. The emulator takes one instruction at a time and says so of each;
what is counted is what 12 pushes take more than 2. What comes out is the same bits where hashes are the same.
From Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user-static."""
from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import List, Tuple

ROOT = "/usr/aarch64-linux-gnu"
QEMU = ["qemu-aarch64-static", "-L", ROOT, "-E", f"LD_LIBRARY_PATH={ROOT}/lib"]
#: One line for each instruction, none of them cached as a chain.
TRACE = ["-d", "exec,nochain", "-D", "/dev/stderr"]
FEW, MANY = 2, 12


@functools.cache
def single() -> str:
    """The option for one instruction at a time, which QEMU 8.1 has another name for, and 9 that name alone."""
    told = subprocess.run([QEMU[0], "-help"], stdout=subprocess.PIPE, text=True).stdout
    return "-one-insn-per-tb" if "-one-insn-per-tb" in told else "-singlestep"


def run(program: str, case: str, pushes: int) -> int:
    """How many instructions."""
    with subprocess.Popen([*QEMU, single(), *TRACE, program, case, str(pushes)], stderr=subprocess.PIPE, bufsize=0) as process:
        assert process.stderr
        count = sum(block.count(b"\n") for block in iter(lambda: process.stderr.read(1 << 20), b""))
    if process.returncode:
        sys.exit(f"{program} {case}: exit code {process.returncode}")
    return count


def count(program: str, case: str) -> Tuple[int, str]:
    """Instructions of a push, and the hash of what comes out."""
    instructions = round((run(program, case, MANY) - run(program, case, FEW)) / (MANY - FEW))
    hashed = subprocess.run([*QEMU, program, case, str(MANY), "hash"], check=True, stdout=subprocess.PIPE, text=True)
    return instructions, hashed.stdout.strip()


def row(programs: List[str], case: str) -> str:
    counts = [count(program, case) for program in programs]
    first = counts[0][0]
    cells = [str(first), *(f"{n} ({n / first:.2f})" for n, _ in counts[1:])]
    same = "" if len(programs) == 1 else f" {'yes' if len({said for _, said in counts}) == 1 else 'no'} |"
    return f"| {case} | {' | '.join(cells)} |{same}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    parser.add_argument("--case", default="", metavar="WORDS", help="only those with these words in their names")
    parser.add_argument("--level", help="as RUSTAUDIO_SIMD has it")
    arguments = parser.parse_args()
    if arguments.level:
        os.environ["RUSTAUDIO_SIMD"] = arguments.level
    named = subprocess.run([*QEMU, arguments.programs[0]], check=True, stdout=subprocess.PIPE, text=True).stdout
    cases = [case for case in named.splitlines() if arguments.case in case]
    more = len(arguments.programs) > 1
    print("| instructions of a push of 10 ms |" + " |" * len(arguments.programs) + (" same bits |" if more else ""))
    print("|---|" + "---|" * (len(arguments.programs) + more))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(lambda case: row(arguments.programs, case), cases):
            print(line, flush=True)


if __name__ == "__main__":
    main()
