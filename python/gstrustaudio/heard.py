# SPDX-License-Identifier: MIT
"""What a detector heard, drawn: the courses of its probability and of the scores behind it."""
from __future__ import annotations

from html import escape
from typing import List, Tuple

from .record import Run
from .svg import LEFT, WIDTH, TimeAxis, drawing
from .waveform import Envelope

_STRIP, _GAP = 44.0, 14.0
#: What a probability is drawn over; scores are drawn over their own range.
_WHOLE = (0.0, 1.0)


def courses_drawing(run: Run, element: str) -> str:
    """The courses of the element at path ``element``, one below another, over its segments."""
    courses = run.heard[element]
    axis = TimeAxis(run.media_time)
    top = 8.0
    bottom = top + len(courses) * (_STRIP + _GAP)
    body = [
        f'<rect class="spoken" x="{axis.x(s.start):.1f}" y="{top:g}" height="{bottom - top:g}" '
        f'width="{max(axis.x(axis.span if s.end is None else s.end) - axis.x(s.start), 1.0):.1f}"/>'
        for s in run.segments
        if s.path == element
    ]
    body += axis.ticks(top, bottom)
    for i, (name, course) in enumerate(courses.items()):
        body += _strip(axis, name, course, top + i * (_STRIP + _GAP) + _GAP / 2)
    ranges = "; ".join(f"{name} {low:.2f} to {high:.2f}" for name, (low, high) in
                       ((name, _range(course)) for name, course in courses.items()))
    return drawing(body, bottom + 24, f"heard-{_name(run, element)}", f"What {element} heard", ranges)


def _name(run: Run, element: str) -> int:
    """A name for the page; those of elements may hold anything."""
    return list(run.heard).index(element)


def _range(course: Envelope) -> Tuple[float, float]:
    lows, highs = zip(*course.peaks())
    return min(lows), max(highs)


def _strip(axis: TimeAxis, name: str, course: Envelope, top: float) -> List[str]:
    low, high = _WHOLE if name == "probability" else _range(course)
    span = high - low or 1.0

    def y(value: float) -> str:
        return f"{top + _STRIP * (1 - (value - low) / span):.1f}"

    out = [
        f'<text class="tick" x="{LEFT - 8}" y="{at:g}" text-anchor="end">{value:.3g}</text>'
        for at, value in ((top + 9, high), (top + _STRIP, low))
    ]
    for stretch in _unbroken(course):
        upper = [f"{axis.x((i + 0.5) * course.width):.1f},{y(most)}" for i, _, most in stretch]
        lower = [f"{axis.x((i + 0.5) * course.width):.1f},{y(least)}" for i, least, _ in stretch]
        out.append(f'<polygon class="course" points="{" ".join(upper + lower[::-1])}"/>')
    out.append(f'<text class="course-name" x="{LEFT + WIDTH - 4}" y="{top + 11:g}" text-anchor="end">{escape(name)}</text>')
    return out


def _unbroken(course: Envelope) -> List[List[Tuple[int, float, float]]]:
    """Stretches of ``course`` (number, lowest, highest) that follow each other without one left out."""
    parts: List[List[Tuple[int, float, float]]] = [[]]
    for i, (least, most) in enumerate(course.peaks()):
        if least <= most:
            parts[-1].append((i, least, most))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]
