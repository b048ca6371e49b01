"""Prometheus' text and the pipeline document, whatever elements, pipelines and exceptions are called and whatever
their figures are."""
from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support import Case

from gstrustaudio import BreakerChange, Metrics, NodeFailure, VadChange, pipeline_document
from gstrustaudio.exporter import Exporter

#: Quotes, line ends and what no encoding has among them.
TEXT = st.text(st.characters(), max_size=12) | st.text('"\\\n\r{},= #\x00\ud800é', max_size=12)
COUNT = st.integers(0, 2**64 - 1)
KINDS: Dict[str, Any] = {"str": TEXT, "int": COUNT, "Time": COUNT | st.none(), "bool": st.booleans(),
                         "float": st.floats(allow_nan=False, allow_infinity=False)}


def any_of(message: Any) -> Any:
    """A message of the class, each field of it anything that its type has; those that need not be, often missing."""
    fields = {}
    for field in dataclasses.fields(message):
        kind = str(field.type)
        if kind.startswith("Optional["):
            fields[field.name] = KINDS[kind[len("Optional["):-1]] | st.none()
        elif field.name != "extra":
            fields[field.name] = KINDS[kind]
    return st.builds(message, **fields)


EVENTS = st.lists(st.tuples(st.one_of(*map(any_of, (Metrics, VadChange, NodeFailure, BreakerChange))), TEXT), max_size=6)


def told(text: str) -> str:
    """`text` as it can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode()


class MetricsText(Case):
    @given(EVENTS)
    def test_prometheus_reads_back_what_was_told(self, events: Any) -> None:
        exporter = Exporter()
        for event, pipeline in events:
            exporter.add(event, pipeline)
        families = text_string_to_metric_families(generate_latest(exporter.registry).decode())
        samples: Dict[Any, float] = {}
        for sample in (s for f in families for s in f.samples):
            key = (sample.name, tuple(sorted(sample.labels.items())))
            self.assertNotIn(key, samples)
            samples[key] = sample.value
        latest = {(told(pipeline), told(e.path)): e for e, pipeline in events if isinstance(e, Metrics)}
        for (pipeline, element), m in latest.items():
            who = (("element", element), ("factory", told(m.factory)), ("pipeline", pipeline))
            for name, value in [("buffers_total", m.num_buffers), ("latency_seconds", m.latency / 1e9),
                                ("real_time_factor", m.real_time_factor), ("stalled", m.stalled),
                                ("processing_time_seconds_sum", m.processing_time / 1e9)]:
                self.assertEqual(samples[f"rustaudio_{name}", who], float(value))
        failed: Dict[Any, int] = {}
        for e, pipeline in events:
            if isinstance(e, NodeFailure):
                who = (("action", told(e.action)), ("element", told(e.path)), ("exception", told(e.exception)),
                       ("pipeline", told(pipeline)), ("retryable", "true" if e.retryable else "false"))
                failed[who] = failed.get(who, 0) + 1
        omitted = ("exception", "omitted")
        counted = {k: v for (name, k), v in samples.items() if name == "rustaudio_node_failures_total" and omitted not in k}
        self.assertEqual(counted, failed)
        for _, pipeline in events:
            exporter.forget(pipeline)
        self.assertEqual([s for f in exporter.collect() for s in f.samples], [])

    @given(st.lists(any_of(Metrics), max_size=4), COUNT, TEXT)
    def test_the_document_is_json_that_says_the_same(self, metrics: Any, total: int, pipeline: str) -> None:
        document = pipeline_document(metrics, total, pipeline)
        read = json.loads(json.dumps(document, allow_nan=False))
        self.assertEqual(read, document)
        latest = {m.path: m for m in metrics}
        nodes = read["pipeline_execution"]["nodes"]
        self.assertEqual([n["id"] for n in nodes], list(latest))
        for node, m in zip(nodes, latest.values()):
            self.assertEqual((node["type"], node["buffers"], node["last_error"], node.get("calls")),
                             (m.factory, m.num_buffers, m.last_error, m.num_calls))
