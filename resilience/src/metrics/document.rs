// SPDX-License-Identifier: MIT

//! The pipeline document: one JSON object that says what each element of a run cost.
//!
//! `{"pipeline_execution": {"pipeline", "total_time_ms", "process_peak_rss_mb", "nodes": [{"id",
//! "type", "execution_time_ms", "memory_mb", "status", "buffers", "p50_ms", "p95_ms", "p99_ms",
//! "max_ms", "retries", "failures", "skipped", "timeouts", "dropped", "real_time_factor",
//! "latency_ms", "last_error"}]}}`, with "breaker_state", "gil_wait_ms", "calls", "call_p50_ms",
//! "call_p95_ms", "call_p99_ms" and "call_max_ms" for Python nodes. Times are in ms with microsecond
//! precision, sizes in MB (10^6 bytes); what is not known is `null`.

use serde_json::json;

use super::{Report, Status, Summary, Value, process_peak_rss};

/// One element of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node {
    /// Where the element lies in its pipeline, `bin/name`; its name alone where it is in no bin.
    pub id: String,
    /// Name of its factory.
    pub factory: String,
    /// Pieces of work.
    pub buffers: u64,
    /// Total own work, in ns.
    pub execution: u64,
    /// Own work per buffer.
    pub times: Summary,
    /// Bytes held by the element, where it says so.
    pub memory: Option<u64>,
    /// Whether it does its job.
    pub status: Status,
    /// Errors.
    pub failures: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Pieces of work that were not tried.
    pub skipped: u64,
    /// Calls that took too long.
    pub timeouts: u64,
    /// Pieces of data dropped.
    pub dropped: u64,
    /// Own work over media time, where the element says so.
    pub real_time_factor: Option<f64>,
    /// In ns, where the element says so.
    pub latency: Option<u64>,
    /// Text of the last error; empty if there was none.
    pub last_error: String,
    /// `closed`, `open` or `half-open`, where there is a breaker.
    pub breaker_state: Option<String>,
    /// Waits for Python's interpreter lock in ns, where the element says so.
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
            id: text(report, "path").unwrap_or_else(|| report.element.clone()),
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
            breaker_state: text(report, "breaker-state"),
            gil_wait: number(report, "gil-wait"),
            calls: calls(report),
        }
    }

    fn to_json(&self) -> serde_json::Value {
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

fn text(report: &Report, name: &str) -> Option<String> {
    match report.extra(name)? {
        Value::Str(text) => Some(text.clone()),
        _ => None,
    }
}

fn number(report: &Report, name: &str) -> Option<u64> {
    match report.extra(name)? {
        Value::U64(number) => Some(*number),
        _ => None,
    }
}

fn calls(report: &Report) -> Option<Summary> {
    let field = |name| number(report, name);
    Some(Summary {
        count: field("num-calls")?,
        p50: field("call-time-p50")?,
        p95: field("call-time-p95")?,
        p99: field("call-time-p99")?,
        max: field("call-time-max")?,
        ..Summary::default()
    })
}

/// The document of a run of `pipeline` that took `total` ns.
pub fn document(pipeline: &str, total: u64, nodes: &[Node]) -> serde_json::Value {
    json!({
        "pipeline_execution": {
            "pipeline": pipeline,
            "total_time_ms": ms(total),
            "process_peak_rss_mb": mb(process_peak_rss()),
            "nodes": nodes.iter().map(Node::to_json).collect::<Vec<_>>(),
        }
    })
}
