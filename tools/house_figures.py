#!/usr/bin/env python3
"""Counts what a reader of the Rust code meets: files, functions, comments, macros, circles.

    tools/house_figures.py [FOLDER...]      prints Markdown; by default the crates of this project

Lines are those of all but tests; a function counts from its signature to its closing brace, as rustfmt
places it; a circle is a set of files that import each other, by their `use` and by paths from `crate`,
`super` and `self` in code; `mod.rs` and `lib.rs` are files like others."""
from __future__ import annotations

import re
import statistics
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set, Tuple

ROOT = Path(__file__).resolve().parent.parent
CRATES = ["src", "dsp/src", "resilience/src", "bridge/src", "python/src"]
FUNCTION = re.compile(r"^( *)(?:pub(?:\([^)]*\))? )?(?:(?:const|async|unsafe|extern \"C\") )*fn (\w+)")
#: Where a file's tests begin that are not in files of their own.
TESTS = re.compile(r"^(?:#\[cfg\((?:all\()?test\b.*\]|mod tests \{)$")


def lines_of(path: Path) -> List[str]:
    """Those before the tests."""
    lines = path.read_text(encoding="utf-8").splitlines()
    end = next((i for i, line in enumerate(lines) if TESTS.match(line) and not following_mod(lines, i)), len(lines))
    return lines[:end]


def following_mod(lines: List[str], at: int) -> bool:
    """Whether a `cfg(test)` at this line belongs to one item among others, as in `mod tests;`."""
    return at + 1 < len(lines) and lines[at].startswith("#") and not lines[at + 1].endswith("{")


def sources(folder: Path) -> List[Path]:
    return sorted(p for p in folder.rglob("*.rs") if "tests" not in p.parts and p.name != "tests.rs")


def functions(lines: List[str]) -> Iterator[Tuple[str, int]]:
    for i, line in enumerate(lines):
        found = FUNCTION.match(line)
        if not found:
            continue
        indent = found[1]
        for j in range(i, len(lines)):
            if lines[j] in (indent + "}", indent + "},") or lines[j].startswith(line[: len(indent)]) and j == i and line.endswith("}"):
                yield found[2], j - i + 1
                break
            if lines[j].endswith(";") and len(lines[j]) - len(lines[j].lstrip()) == len(indent):
                break


def module_file(base: Path, parts: List[str]) -> Optional[Path]:
    """The file of the longest prefix of `parts` below the folder `base`."""
    found = None
    for n in range(1, len(parts) + 1):
        stem = base.joinpath(*parts[:n])
        for path in (stem.with_suffix(".rs"), stem / "mod.rs"):
            if path.exists():
                found = path
    return found


def imports(path: Path, crate: Path) -> Set[Path]:
    """Files of the crate that `path` names."""
    text = "\n".join(line for line in lines_of(path) if not line.lstrip().startswith("//"))
    found: Set[Path] = set()
    here = path.parent if path.name in ("mod.rs", "lib.rs", "main.rs") else path.parent / path.stem
    for start, tail in re.findall(r"\b(crate|super|self)((?:::(?:\w+|\{[^;{}]*\}))+)", text):
        base = {"crate": crate, "self": here, "super": here.parent}[start]
        head = tail[2:]
        while start == "super" and head.startswith("super::"):
            base, head = base.parent, head[7:]
        group = re.match(r"([\w:]*?)(?:::)?\{(.*)\}", head, re.DOTALL)
        # a::{b, c::d} is a::b and a::c::d.
        names = [head] if not group else [f"{group[1]}::{n.strip()}" if group[1] else n.strip() for n in group[2].split(",") if n.strip()]
        for name in names:
            target = module_file(base, [part for part in name.split("::") if part])
            if target and target != path:
                found.add(target)
    return found


def circles(graph: Dict[Path, Set[Path]]) -> List[List[Path]]:
    """Sets of files each of which reaches all others."""
    def reached(start: Path) -> Set[Path]:
        seen, todo = set(), [start]
        while todo:
            for following in graph.get(todo.pop(), ()):
                if following not in seen:
                    seen.add(following)
                    todo.append(following)
        return seen

    reach = {path: reached(path) for path in graph}
    found, done = [], set()
    for path in graph:
        if path in reach[path] and path not in done:
            circle = [other for other in graph if other in reach[path] and path in reach[other]]
            done.update(circle)
            found.append(circle)
    return found


def row(folder: Path) -> str:
    files = {path: lines_of(path) for path in sources(folder)}
    lengths = sorted(map(len, files.values()))
    lines = [line.strip() for text in files.values() for line in text]
    docs = sum(line.startswith(("///", "//!")) for line in lines)
    comments = sum(line.startswith("//") for line in lines) - docs
    code = sum(bool(line) for line in lines) - docs - comments
    found = [(length, name) for text in files.values() for name, length in functions(text)]
    longest = max(found, default=(0, "-"))
    over = sum(length > 80 for length, _ in found)
    rings = circles({path: imports(path, folder) for path in files})
    macros = sum(line.startswith("macro_rules!") for line in lines)
    cells = [
        str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder), len(files), f"{sum(lengths) / 1000:.1f}k",
        f"{statistics.median(lengths):.0f} / {lengths[len(lengths) * 9 // 10]} / {lengths[-1]}",
        f"{docs / code:.2f}", f"{comments / code:.3f}", f"{statistics.median([n for n, _ in found] or [0]):.0f}",
        f"{over} of {len(found)}", f"{longest[0]} ({longest[1]})", macros,
        f"{len(rings)} ({', '.join(p.stem for ring in rings for p in ring)})" if rings else "0",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    folders = [Path(name).resolve() for name in sys.argv[1:]] or [ROOT / name for name in CRATES]
    print("| | files | lines | median / p90 / max file | doc per code line | inline // per code | fn median | fn > 80 | longest fn | macros | circles |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for folder in folders:
        if not sources(folder):
            sys.exit(f"{folder}: no Rust source")
        print(row(folder))


if __name__ == "__main__":
    main()
