"""Prometheus: what is scraped, and that the Grafana dashboard shows all of it."""
import dataclasses
import json
import re
import unittest
from urllib.request import urlopen

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support import METRICS, PATIENCE, ROOT, Gst, InFolder

from gstrustaudio import BreakerChange, Metrics, NodeFailure, VadChange, connect, play
from gstrustaudio.exporter import Exporter

DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
TIMES = {"timestamp": 0, "stream-time": 0, "running-time": 0}


def scrape(server):
    """Samples by name and labels, and kinds by family."""
    families = list(text_string_to_metric_families(urlopen(server.url, timeout=PATIENCE).read().decode()))
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
    return samples, {f.name: f.type for f in families}


def filled():
    """An exporter that has seen every kind of event."""
    exporter = Exporter()
    node = {**METRICS, "element": "p", "factory": "pypipelinenode", "gil-wait": 2_500_000_000, "gil-wait-p99": 1_000_000,
            "breaker-state": "open", "consecutive-failures": 5, "stalled": True, "num-calls": 7, "call-time-p50": 1_000_000,
            "call-time-p95": 2_000_000, "call-time-p99": 3_000_000, "call-time-max": 4_000_000}
    exporter.add(Metrics.from_fields(METRICS), "a")
    exporter.add(Metrics.from_fields(node), "a")
    for speech, duration in [(True, 0), (False, 1_500_000_000), (True, 0)]:
        exporter.add(VadChange.from_fields(
            {"speech": speech, "probability": 0.5, "level": -20.0, "noise-floor": -70.0, **TIMES,
             "duration": duration, "segment": 1, "segment-level": None if speech else -25.0}, "vad0"), "a")
    for n in range(3):
        exporter.add(NodeFailure.from_fields(
            {"attempt": n + 1, "max-attempts": 4, "retryable": True, "exception": 'Odd"\n\\Error', "message": "m",
             "traceback": "t", "file": "f", "line": 1, "action": "retry", **TIMES, "duration": 0}, "p"), "a")
    exporter.add(BreakerChange.from_fields(
        {"state": "open", "previous": "closed", "consecutive-failures": 5, **TIMES, "duration": 0}, "p"), "a")
    return exporter


class Scrape(unittest.TestCase):
    def setUp(self):
        self.exporter = filled()
        self.server = self.exporter.serve(0)
        self.addCleanup(self.server.close)

    def test_values_units_and_labels(self):
        samples, kinds = scrape(self.server)
        vad = (("element", "vad0"), ("factory", "rustvad"), ("pipeline", "a"))
        node = (("element", "p"), ("factory", "pypipelinenode"), ("pipeline", "a"))
        short = (("element", "vad0"), ("pipeline", "a"))
        for name, labels, value in [
            ("buffers_total", vad, 100), ("samples_total", vad, 48000), ("bytes_total", vad, 96000),
            ("dropped_total", vad, 1), ("errors_total", vad, 2), ("retries_total", vad, 3),
            ("timeouts_total", vad, 4), ("skipped_total", vad, 5), ("latency_seconds", vad, 0.03),
            ("processing_time_seconds_sum", vad, 1_234_567 / 1e9), ("processing_time_seconds_count", vad, 100),
            ("processing_time_seconds", vad + (("quantile", "0.5"),), 12e-6),
            ("processing_time_seconds", vad + (("quantile", "0.95"),), 20e-6),
            ("processing_time_seconds", vad + (("quantile", "0.99"),), 30e-6),
            ("processing_time_min_seconds", vad, 1e-6), ("processing_time_max_seconds", vad, 40499e-9),
            ("memory_bytes", vad, 45000), ("real_time_factor", vad, 0.00125), ("stalled", vad, 0), ("stalled", node, 1),
            ("process_peak_rss_bytes", (), 70e6),
            ("status", vad + (("state", "degraded"),), 1), ("status", vad + (("state", "ok"),), 0),
            ("gil_wait_seconds_total", node, 2.5), ("gil_wait_p99_seconds", node, 0.001),
            ("consecutive_failures", node, 5), ("calls_total", node, 7),
            ("call_time_p50_seconds", node, 0.001), ("call_time_p95_seconds", node, 0.002),
            ("call_time_p99_seconds", node, 0.003), ("call_time_max_seconds", node, 0.004),
            ("breaker_state", node + (("state", "open"),), 1), ("breaker_state", node + (("state", "closed"),), 0),
            ("speech", short, 1), ("speech_segments_total", short, 2), ("speech_seconds_total", short, 1.5),
            ("noise_floor_dbfs", short, -70), ("speech_level_dbfs", short, -25),
            ("node_failures_total", (("action", "retry"), ("element", "p"), ("exception", 'Odd"\n\\Error'),
                                     ("pipeline", "a"), ("retryable", "true")), 3),
            ("breaker_changes_total", (("element", "p"), ("pipeline", "a"), ("state", "open")), 1),
        ]:
            key = (f"rustaudio_{name}", tuple(sorted(labels)))
            self.assertIn(key, samples)
            self.assertAlmostEqual(samples[key], value, places=12, msg=name)
        self.assertNotIn(("rustaudio_gil_wait_seconds_total", vad), samples)
        for name, kind in kinds.items():
            wanted = "summary" if name == "rustaudio_processing_time_seconds" else None
            total = any(s == f"{name}_total" for s, _ in samples)
            self.assertEqual(kind, wanted or ("counter" if total else "gauge"), name)

    def test_every_field_is_exposed_but_those_of_one_window(self):
        """Of the times of a window, the mean follows from sum and count."""
        node = {**METRICS, "factory": "pypipelinenode", "gil-wait": 2, "gil-wait-p99": 1, "breaker-state": "open",
                "consecutive-failures": 5, "num-calls": 7, "call-time-p50": 1, "call-time-p95": 2, "call-time-p99": 3,
                "call-time-max": 4}

        def exposed(metrics):
            exporter = Exporter()
            exporter.add(metrics)
            return generate_latest(exporter.registry)

        metrics = Metrics.from_fields(node)
        other = {"status": "failed", "breaker_state": "closed"}
        hidden = []
        for field in dataclasses.fields(Metrics):
            value = getattr(metrics, field.name)
            if field.name in ("element", "factory", "extra"):
                continue
            changed = not value if isinstance(value, bool) else other.get(field.name, value)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                changed = value + 1
            if exposed(dataclasses.replace(metrics, **{field.name: changed})) == exposed(metrics):
                hidden.append(field.name)
        self.assertEqual(hidden, ["timestamp", "stream_time", "running_time", "duration", "processing_time_avg",
                                  "last_error", "final"])

    def test_a_pipeline_that_is_forgotten_is_gone(self):
        self.exporter.add(Metrics.from_fields({**METRICS, "element": "other"}), "b")
        self.exporter.forget("a")
        samples, _ = scrape(self.server)
        self.assertEqual({dict(labels)["pipeline"] for _, labels in samples if labels}, {"b"})

    def test_listens_on_loopback_alone(self):
        self.assertTrue(self.server.url.startswith("http://127.0.0.1:"))
        self.assertEqual(self.server._server.server_address[0], "127.0.0.1")


class Live(InFolder):
    def test_counters_of_a_real_run(self):
        exporter = Exporter()
        server = exporter.serve(0)
        self.addCleanup(server.close)
        pipeline = Gst.parse_launch(
            "audiotestsrc num-buffers=200 samplesperbuffer=480 ! audio/x-raw,rate=48000,channels=2,format=S16LE ! "
            "rustaudioconvert name=c ! audio/x-raw,format=F32LE ! rustresample name=r ! audio/x-raw,rate=16000 ! fakesink")
        disconnect = connect(pipeline.get_bus(), lambda e: exporter.add(e, "run"), sync=True)
        final = {e.element: e for e in play(pipeline, PATIENCE) if e.final}
        disconnect()
        samples, _ = scrape(server)
        for name, factory in (("c", "rustaudioconvert"), ("r", "rustresample")):
            labels = (("element", name), ("factory", factory), ("pipeline", "run"))
            self.assertEqual(samples["rustaudio_buffers_total", labels], 200)
            self.assertEqual(samples["rustaudio_samples_total", labels], 96000)
            self.assertEqual(samples["rustaudio_bytes_total", labels], final[name].num_bytes)
            self.assertAlmostEqual(samples["rustaudio_processing_time_seconds_sum", labels],
                                   final[name].processing_time / 1e9)


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.panels = self.dashboard["panels"]
        self.exprs = [t["expr"] for p in self.panels for t in p.get("targets", [])]

    def test_shows_every_metric_and_none_that_is_not_there(self):
        server = filled().serve(0)
        self.addCleanup(server.close)
        samples, _ = scrape(server)
        exposed = {name for name, _ in samples}
        shown = {name for e in self.exprs for name in re.findall(r"rustaudio_\w+", e)}
        self.assertEqual(shown - exposed, set())
        self.assertEqual(exposed - shown, set())

    def test_labels_and_variables_exist(self):
        server = filled().serve(0)
        self.addCleanup(server.close)
        samples, _ = scrape(server)
        labels = {}
        for name, pairs in samples:
            labels.setdefault(name, set()).update(k for k, _ in pairs)
        variables = {v["name"] for v in self.dashboard["templating"]["list"]} | {"__rate_interval"}
        for expr in self.exprs:
            for name, matchers in re.findall(r"(rustaudio_\w+)\{([^}]*)\}", expr):
                used = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers))
                self.assertLessEqual(used, labels[name], expr)
            self.assertLessEqual(set(re.findall(r"\$(\w+)", expr)), variables, expr)
            self.assertEqual(expr.count("("), expr.count(")"), expr)

    def test_counters_are_shown_as_rates(self):
        for expr in self.exprs:
            for name in re.findall(r"rustaudio_\w+_total", expr):
                self.assertIn(f"rate({name}", expr)

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self):
        ids = [p["id"] for p in self.panels]
        self.assertEqual(len(ids), len(set(ids)))
        taken = set()
        for p in self.panels:
            at = p["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, p["title"])
            taken |= cells


if __name__ == "__main__":
    unittest.main()
