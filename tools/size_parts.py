#!/usr/bin/env python3
"""What the bytes of the plugin file are, stripped: a table of its parts by the sizes of symbols and sections.

    tools/size_parts.py [PLUGIN_FILE] [--symbols PART]     default: target/dist/libgstrustaudio.so, as scripts/package.sh
                                                           leaves it, with its symbols

Code counts for the crate in whose name it was compiled, so that what others' types make of the standard library is the
library's. The transforms of rustfft have one name for each kind of processor: theirs is the kind whose files most of
their lines are of. --symbols lists the symbols of each part whose name begins with PART, largest first. Of binutils: nm,
readelf, c++filt, addr2line."""
from __future__ import annotations

import argparse
import re
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = sorted(ROOT.glob("dsp/src/vad/*/weights.bin"))
UNWINDING = {".eh_frame", ".eh_frame_hdr", ".gcc_except_table"}
RELOCATED = {".rela.dyn", ".rela.plt", ".data.rel.ro", ".got", ".got.plt"}
LIBRARY = {"core", "alloc", "std", "compiler_builtins", "hashbrown", "gimli", "addr2line", "object", "rustc_demangle", "memchr",
           "panic_unwind", "unwind", "libm"}
BINDINGS = re.compile("gst|glib|gio|gobject|option_operations|kstring|atomic_refcell")
# Of the standard library, what reads the file's own symbols and lines for a backtrace.
BACKTRACES = re.compile("backtrace|gimli|addr2line|symbolize|rustc_demangle|object::|elf")
# Bytes from one look at the lines of a symbol to the next.
STEP = 64


class Symbol(NamedTuple):
    start: int
    size: int
    name: str


def run(*command: str, given: str = "") -> str:
    return subprocess.run(command, input=given, check=True, stdout=subprocess.PIPE, text=True).stdout


def sections(file: Path) -> dict[str, tuple[int, int]]:
    """Address and size of each that is loaded from the file."""
    found = {}
    for line in run("readelf", "-SW", str(file)).splitlines():
        row = re.match(r" *\[ *\d+\] (\S+) +(\S+) +(\w+) \w+ (\w+) \w+ +(\w*) ", line)
        if row and "A" in row[5] and row[2] != "NOBITS":
            found[row[1]] = int(row[3], 16), int(row[4], 16)
    return found


def symbols(file: Path) -> list[Symbol]:
    """Those with a size, each address once."""
    rows = [line.split(maxsplit=3) for line in run("nm", "-S", "--defined-only", "-C", str(file)).splitlines()]
    found = {int(row[0], 16): Symbol(int(row[0], 16), int(row[1], 16), row[3]) for row in rows if len(row) == 4 and len(row[1]) == 16}
    return sorted(found.values())


def crate(name: str) -> str:
    """The first word of a path, of the type in `<Type as Trait>`, or of the trait where the type has no name."""
    inner = re.match(r"[<&*(\[ ]*(?:dyn |mut |const )*(\w+)::", name)
    if inner:
        return inner[1]
    trait = re.match(r"<.* as (\w+)::", name)
    return trait[1] if trait else ""


def kinds_of_transforms(file: Path, ours: list[Symbol]) -> dict[Symbol, str]:
    """Plain, SSE or AVX."""
    places = [(symbol, at) for symbol in ours for at in range(symbol.start, symbol.start + symbol.size, STEP)]
    files = run("addr2line", "-e", str(file), given="".join(f"{at:x}\n" for _, at in places)).splitlines()
    seen: dict[Symbol, Counter[str]] = {symbol: Counter() for symbol in ours}
    for (symbol, _), place in zip(places, files):
        kind = re.search("rustfft[^ ]*/(sse|avx|algorithm|plan|math|common|array_utils|twiddles)", place)
        if kind:
            seen[symbol][kind[1].upper() if kind[1] in ("sse", "avx") else "plain"] += 1
        elif re.search("/core_arch/", place):
            seen[symbol]["AVX" if re.search("/(avx|fma)", place) else "SSE"] += 1
    # What all three have in common, such as the checks of lengths, tells nothing beside their own files.
    return {symbol: max(("AVX", "SSE", "plain"), key=lambda kind: counts[kind]) for symbol, counts in seen.items()}


def part(name: str) -> str:
    of = crate(name)
    if of == "rustaudio_dsp":
        return "kernels of conversion, resampling and networks" if "rustaudio_dsp::simd::" in name else "the rest of the signal processing"
    if of in ("gstrustaudio", "rustaudio_resilience"):
        return "elements, tracer, metrics, the side of Python"
    if of in ("rustfft", "realfft", "rubato", "num_complex", "num_integer", "transpose", "strength_reduce", "primal_check",
              "audioadapter", "audioadapter_buffers"):
        return "rustfft" if of == "rustfft" else "rubato, realfft, what they call"
    if BINDINGS.match(of):
        return "bindings of GStreamer and GLib"
    if of in ("serde_json", "serde", "serde_core", "zmij", "itoa", "ryu", "indexmap", "tracing", "tracing_core", "tracing_subscriber",
              "tracing_serde", "tracing_log", "sharded_slab", "thread_local", "smallvec", "once_cell", "lazy_static"):
        return "serde and tracing"
    if of == "miniz_oxide":
        return "what unpacks the bridge"
    if of in LIBRARY or not of or of.startswith("_"):
        return "Rust's own library: what reads names for backtraces" if BACKTRACES.search(name) else "Rust's own library: the rest"
    return "other crates"


def count(file: Path) -> dict[str, list[Symbol]]:
    """The symbols of each part; what has none is one of the part's name."""
    loaded = sections(file)
    start, size = loaded[".text"]
    code = [symbol for symbol in symbols(file) if start <= symbol.start < start + size]
    kinds = kinds_of_transforms(file, [symbol for symbol in code if crate(symbol.name) == "rustfft"])
    parts: dict[str, list[Symbol]] = {}
    for symbol in code:
        name = f"transforms of rustfft: {kinds[symbol]}" if symbol in kinds else part(symbol.name)
        parts.setdefault(name, []).append(symbol)
    bridges = [path.stat().st_size for path in file.parent.glob("build/gst-plugin-rustaudio-*/out/bridge.deflate")]
    weights, bridge = sum(path.stat().st_size for path in WEIGHTS), max(bridges, default=0)
    whole = {
        "weights of the networks": weights,
        "the bridge to Python, compressed": bridge,
        "other constants": loaded[".rodata"][1] - weights - bridge,
        "tables for unwinding": sum(loaded[name][1] for name in UNWINDING & loaded.keys()),
        "relocations, and what they fill in": sum(loaded[name][1] for name in RELOCATED & loaded.keys()),
    }
    counted = sum(symbol.size for found in parts.values() for symbol in found) + sum(whole.values())
    whole["the rest: padding, names, data"] = sum(size for _, size in loaded.values()) - counted
    parts |= {name: [Symbol(0, size, name)] for name, size in whole.items()}
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=ROOT / "target/dist/libgstrustaudio.so")
    parser.add_argument("--symbols", metavar="PART")
    asked = parser.parse_args()
    # As other tools do where nobody reads to the end.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parts = count(asked.file)
    if asked.symbols is not None:
        for name, found in parts.items():
            for symbol in sorted(found, key=lambda symbol: -symbol.size) if name.startswith(asked.symbols) else []:
                print(f"{symbol.size:8} {name[:24]:24} {symbol.name}")
        return
    sizes = {name: sum(symbol.size for symbol in found) for name, found in parts.items()}
    print("| part | MB |\n|---|---|")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"| {name} | {size / 1e6:.2f} |")
    print(f"| all | {sum(sizes.values()) / 1e6:.2f} |")


if __name__ == "__main__":
    main()
