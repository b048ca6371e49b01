# SPDX-License-Identifier: MIT
"""The pipeline document: what each element of a run cost, as one JSON object.

The tracer ``rustaudiometrics`` writes the same one for every element of a pipeline."""
from __future__ import annotations

from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple, Union

from .messages import Metrics
from .record import Failure, Run


def _ms(ns: int) -> float:
    """``ns`` in ms, to the microsecond."""
    return round(ns / 1e3) / 1e3


def _node(m: Metrics, failed: bool) -> Dict[str, Any]:
    node: Dict[str, Any] = {
        "id": m.path,
        "type": m.factory,
        "execution_time_ms": _ms(m.processing_time),
        "memory_mb": m.memory / 1e6,
        "status": "failed" if failed else m.status,
        "buffers": m.num_buffers,
        "p50_ms": _ms(m.processing_time_p50),
        "p95_ms": _ms(m.processing_time_p95),
        "p99_ms": _ms(m.processing_time_p99),
        "max_ms": _ms(m.processing_time_max),
        "retries": m.num_retries,
        "failures": m.num_errors,
        "skipped": m.num_skipped,
        "timeouts": m.num_timeouts,
        "dropped": m.num_dropped,
        "real_time_factor": m.real_time_factor,
        "latency_ms": _ms(m.latency),
        "last_error": m.last_error,
    }
    if m.breaker_state is not None:
        node["breaker_state"] = m.breaker_state
    if m.gil_wait is not None:
        node["gil_wait_ms"] = _ms(m.gil_wait)
    if m.num_calls is not None:
        node["calls"] = m.num_calls
        node["call_p50_ms"] = _ms(m.call_time_p50 or 0)
        node["call_p95_ms"] = _ms(m.call_time_p95 or 0)
        node["call_p99_ms"] = _ms(m.call_time_p99 or 0)
        node["call_max_ms"] = _ms(m.call_time_max or 0)
    return node


def pipeline_document(
    metrics: Iterable[Union[Metrics, Mapping[str, Any]]],
    total_time: Optional[int],
    pipeline: str = "pipeline0",
    errors: Iterable[Failure] = (),
    traced: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """``{"pipeline_execution": {"pipeline", "total_time_ms", "process_peak_rss_mb", "nodes":
    [{"id", "type", "execution_time_ms", "memory_mb", "status", …}]}}``.

    ``metrics``: the messages of a run (the last one of each element counts), the ``stats`` of its
    elements, or the ``metrics()`` of functions that `retry` or a `CircuitBreaker` guards; ``total_time``: wall time in ns; ``errors``: pipeline errors, whose elements get the
    status ``failed``; ``traced``: the tracer's document of the same run, whose nodes stand in for
    elements that have no metrics of their own. Times are ms with microsecond precision, sizes MB
    (10^6 bytes); what is not known is ``None``."""
    failed = {e.path: e.text for e in errors}
    latest: Dict[str, Metrics] = {}
    for said in metrics:
        m = said if isinstance(said, Metrics) else Metrics.from_fields(said)
        latest[m.path] = m
    own = {name: _node(m, name in failed) for name, m in latest.items()}
    nodes = []
    for node in ((traced or {}).get("pipeline_execution") or {}).get("nodes", []):
        mine = own.pop(node["id"], None)
        if mine is None and node["id"] in failed:
            node = {**node, "status": "failed"}
        nodes.append(mine or node)
    nodes.extend(own.values())
    known = {n["id"] for n in nodes}
    nodes.extend(
        {"id": name, "type": None, "execution_time_ms": None, "memory_mb": None,
         "status": "failed", "last_error": text}
        for name, text in failed.items()
        if name not in known
    )
    peak = max((m.process_peak_rss for m in latest.values()), default=None)
    return {
        "pipeline_execution": {
            "pipeline": pipeline,
            "total_time_ms": None if total_time is None else _ms(total_time),
            "process_peak_rss_mb": None if peak is None else peak / 1e6,
            "nodes": nodes,
        }
    }


def run_document(run: Run) -> Dict[str, Any]:
    """The document of ``run``, with its speech segments, pipeline errors and outcome beside the
    nodes."""
    document = pipeline_document(
        run.latest.values(), run.total_time, run.pipeline, run.errors, run.traced
    )
    document["pipeline_execution"].update(
        outcome=run.outcome,
        errors=[{"id": e.path, "message": e.text, "debug": e.debug} for e in run.errors],
        segments=[
            {
                "id": s.path,
                "segment": s.segment,
                "start_ms": _ms(s.start),
                "end_ms": None if s.end is None else _ms(s.end),
                "level_dbfs": s.level,
            }
            for s in run.segments
        ],
    )
    return document


def calls(run: Run) -> List[Tuple[str, List[Optional[float]]]]:
    """Path of the element, number of calls, and p50, p95, p99 and longest time of a call in ns, of each Python
    node of ``run``."""
    return [
        (name, [m.num_calls, m.call_time_p50, m.call_time_p95, m.call_time_p99, m.call_time_max])
        for name, m in run.latest.items()
        if m.num_calls is not None
    ]


_TIMES = ("execution_time_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")


def node_times(run: Run, node: Dict[str, Any]) -> List[Optional[float]]:
    """Total, p50, p95, p99 and longest time of ``node`` in ns: as exact as they are known, where
    the document stops at the microsecond."""
    m = run.latest.get(node["id"])
    if m is not None:
        return [m.processing_time, m.processing_time_p50, m.processing_time_p95,
                m.processing_time_p99, m.processing_time_max]
    return [None if node.get(key) is None else node[key] * 1e6 for key in _TIMES]
