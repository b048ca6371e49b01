//! The pipeline document: one JSON object that says what each element of a run cost.
//!
//! `{"pipeline_execution": {"pipeline", "total_time_ms", "process_peak_rss_mb", "nodes": [{"id",
//! "type", "execution_time_ms", "memory_mb", "status", "buffers", "p50_ms", "p95_ms", "p99_ms",
//! "max_ms", "retries", "failures", "skipped", "timeouts", "dropped", "real_time_factor",
//! "latency_ms", "last_error"}]}}`, with "breaker_state", "gil_wait_ms", "calls", "call_p50_ms",
//! "call_p95_ms", "call_p99_ms" and "call_max_ms" for Python nodes. Times are in ms with microsecond
//! precision, sizes in MB (10^6 bytes); what is not known is `null`.

use gst::prelude::*;
use serde_json::{Value, json};

use super::{Report, Status, Summary, process_peak_rss};

/// One element of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Name of the element.
    pub id: String,
    /// Name of its factory.
    pub factory: String,
    pub buffers: u64,
    /// Total own work, in ns.
    pub execution: u64,
    /// Own work per buffer.
    pub times: Summary,
    /// Bytes held by the element, where it says so.
    pub memory: Option<u64>,
    pub status: Status,
    pub failures: u64,
    pub retries: u64,
    pub skipped: u64,
    pub timeouts: u64,
    pub dropped: u64,
    /// Own work over media time, where the element says so.
    pub real_time_factor: Option<f64>,
    /// In ns, where the element says so.
    pub latency: Option<u64>,
    pub last_error: String,
    pub breaker_state: Option<String>,
    /// In ns.
    pub gil_wait: Option<u64>,
    /// Calls of a Python node; only its count and the percentiles are set.
    pub calls: Option<Summary>,
}

/// `ns` in ms, to the microsecond.
fn ms(ns: u64) -> f64 {
    (ns as f64 / 1e3).round() / 1e3
}

/// `bytes` in MB, to the byte.
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

impl Node {
    /// The node of an element with a metrics report.
    pub fn from_report(report: &Report) -> Self {
        let c = &report.counters;
        Self {
            id: report.element.clone(),
            factory: report.factory.clone(),
            buffers: c.buffers,
            execution: report.processing_time,
            times: report.window.times,
            memory: Some(report.memory),
            status: report.status,
            failures: c.errors,
            retries: c.retries,
            skipped: c.skipped,
            timeouts: c.timeouts,
            dropped: c.dropped,
            real_time_factor: Some(report.window.real_time_factor()),
            latency: Some(report.latency),
            last_error: report.last_error.clone(),
            breaker_state: None,
            gil_wait: None,
            calls: None,
        }
    }

    fn to_json(&self) -> Value {
        let mut node = json!({
            "id": self.id,
            "type": self.factory,
            "execution_time_ms": ms(self.execution),
            "memory_mb": self.memory.map(mb),
            "status": self.status.as_str(),
            "buffers": self.buffers,
            "p50_ms": ms(self.times.p50),
            "p95_ms": ms(self.times.p95),
            "p99_ms": ms(self.times.p99),
            "max_ms": ms(self.times.max),
            "retries": self.retries,
            "failures": self.failures,
            "skipped": self.skipped,
            "timeouts": self.timeouts,
            "dropped": self.dropped,
            "real_time_factor": self.real_time_factor,
            "latency_ms": self.latency.map(ms),
            "last_error": self.last_error,
        });
        if let Some(state) = &self.breaker_state {
            node["breaker_state"] = json!(state);
        }
        if let Some(wait) = self.gil_wait {
            node["gil_wait_ms"] = json!(ms(wait));
        }
        if let Some(calls) = &self.calls {
            node["calls"] = json!(calls.count);
            node["call_p50_ms"] = json!(ms(calls.p50));
            node["call_p95_ms"] = json!(ms(calls.p95));
            node["call_p99_ms"] = json!(ms(calls.p99));
            node["call_max_ms"] = json!(ms(calls.max));
        }
        node
    }
}

/// The document of a run of `pipeline` that took `total` ns.
pub fn document(pipeline: &str, total: u64, nodes: &[Node]) -> Value {
    json!({
        "pipeline_execution": {
            "pipeline": pipeline,
            "total_time_ms": ms(total),
            "process_peak_rss_mb": mb(process_peak_rss()),
            "nodes": nodes.iter().map(Node::to_json).collect::<Vec<_>>(),
        }
    })
}

/// What `element` says of itself, if it has this plugin's `stats`.
pub fn own_node(element: &gst::Element) -> Option<Node> {
    let pspec = element.find_property("stats")?;
    if pspec.value_type() != gst::Structure::static_type() {
        return None;
    }
    let stats = element.property::<Option<gst::Structure>>("stats")?;
    let report = Report::try_from(stats.as_ref()).ok()?;
    Some(Node {
        breaker_state: stats.get("breaker-state").ok(),
        gil_wait: stats.get("gil-wait").ok(),
        calls: calls(&stats),
        ..Node::from_report(&report)
    })
}

fn calls(stats: &gst::StructureRef) -> Option<Summary> {
    let field = |name| stats.get::<u64>(name).ok();
    Some(Summary {
        count: field("num-calls")?,
        p50: field("call-time-p50")?,
        p95: field("call-time-p95")?,
        p99: field("call-time-p99")?,
        max: field("call-time-max")?,
        ..Summary::default()
    })
}

/// Elements of `bin` and of the bins in it, upstream first as far as they were added so.
pub fn elements(bin: &gst::Bin) -> Vec<gst::Element> {
    let mut all = Vec::new();
    let mut iterator = bin.iterate_recurse();
    loop {
        match iterator.next() {
            Ok(Some(element)) => all.push(element),
            // The bin changed under way: what was seen so far comes again.
            Err(gst::IteratorError::Resync) => {
                all.clear();
                iterator.resync();
            }
            Ok(None) | Err(gst::IteratorError::Error) => break,
        }
    }
    all.reverse();
    all
}

/// The document of this plugin's elements in `bin` as they stand now, for applications; `total` ns
/// is what the run took. A tracer writes the same for every element: see the `tracer` module.
pub fn pipeline_document(bin: &gst::Bin, total: u64) -> Value {
    let nodes: Vec<_> = elements(bin).iter().filter_map(own_node).collect();
    document(&bin.name(), total, &nodes)
}
