"""CPU time of interleaved rounds, and tables of it."""
from __future__ import annotations

import math
import time
from typing import Callable, Dict, Iterable, List, Optional

Functions = Dict[str, Callable[[], object]]
#: Seconds of one call beyond which a peer runs once and not in every round.
SLOW = 0.25


def best(functions: Functions, rounds: int, calls: int = 1) -> Dict[str, float]:
    """The least CPU time of each in seconds, all threads of the process."""
    times: Dict[str, float] = {}
    for _ in range(rounds):
        for name, function in functions.items():
            if times.get(name, 0) > SLOW:
                continue
            start = time.process_time()
            for _ in range(calls):
                function()
            took = (time.process_time() - start) / calls
            times[name] = min(took, times.get(name, took))
    return times


def table(head: List[str], rows: Iterable[List[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def beside(ours: str, times: Dict[str, float], unit: float, names: Iterable[str]) -> List[str]:
    """Cells of a row: times in `unit` seconds, and in brackets how many times as long as `ours`."""
    cells = []
    for name in names:
        took: Optional[float] = times.get(name)
        if took is None:
            cells.append("-")
        elif name == ours:
            cells.append(f"{took / unit:.{digits(took / unit)}f}")
        else:
            cells.append(f"{took / unit:.{digits(took / unit)}f} ({took / times[ours]:.1f})")
    return cells


def digits(value: float) -> int:
    return 2 if value < 1 else 1 if value < 100 else 0


def mean(values: List[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))
