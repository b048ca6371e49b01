//! Reports on their way out, in batches where they come in quick succession.

use std::time::{Duration, Instant};

use super::Report;

/// Between two batches, at least.
const PACE: Duration = Duration::from_millis(20);
/// No more than this many wait.
const MOST: usize = 16;

/// Holds reports back so that whoever listens is woken up for a batch of them. A pipeline that reads
/// a file a thousand times as fast as it plays completes a window each millisecond, and to be woken
/// costs an application ten times what a message does.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Vec<Report>,
    /// When the last batch went out.
    last: Option<Instant>,
}

impl Outbox {
    /// Takes `report` in; what is to be posted now, oldest first.
    pub fn push(&mut self, report: Report, now: Instant) -> Vec<Report> {
        let urgent = report.is_final || report.stalled;
        self.waiting.push(report);
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= PACE);
        if urgent || due || self.waiting.len() >= MOST {
            self.last = Some(now);
            self.take()
        } else {
            Vec::new()
        }
    }

    /// What has waited long enough by `now`, oldest first.
    pub fn due(&mut self, now: Instant) -> Vec<Report> {
        match self.last {
            Some(last) if now.saturating_duration_since(last) < PACE => Vec::new(),
            _ => {
                self.last = Some(now);
                self.take()
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// All that waits, oldest first.
    pub fn take(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::schema::sample;

    fn numbered(n: u64) -> Report {
        let mut report = sample();
        report.counters.buffers = n;
        report.is_final = false;
        report
    }

    fn numbers(reports: Vec<Report>) -> Vec<u64> {
        reports.iter().map(|r| r.counters.buffers).collect()
    }

    #[test]
    fn at_real_time_nothing_waits() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        for n in 0..5 {
            let now = start + PACE * n as u32;
            assert_eq!(numbers(outbox.push(numbered(n), now)), [n]);
        }
    }

    #[test]
    fn faster_ones_go_together_in_order() {
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(numbers(outbox.push(numbered(0), at(0))), [0]);
        assert_eq!(numbers(outbox.push(numbered(1), at(1))), [0; 0]);
        assert_eq!(numbers(outbox.push(numbered(2), at(19))), [0; 0]);
        assert_eq!(numbers(outbox.push(numbered(3), at(20))), [1, 2, 3]);
        assert_eq!(numbers(outbox.push(numbered(4), at(21))), [0; 0]);
        assert_eq!(numbers(outbox.due(at(39))), [0; 0]);
        assert!(!outbox.is_empty());
        assert_eq!(numbers(outbox.due(at(40))), [4]);
        assert!(outbox.is_empty());
        assert_eq!(numbers(outbox.push(numbered(5), at(41))), [0; 0]);
        assert_eq!(numbers(outbox.take()), [5]);
        assert_eq!(numbers(outbox.take()), [0; 0]);
    }

    #[test]
    fn what_is_urgent_takes_the_rest_along() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.push(numbered(0), now);
        outbox.push(numbered(1), now);
        let last = Report {
            is_final: true,
            ..numbered(2)
        };
        assert_eq!(numbers(outbox.push(last, now)), [1, 2]);
        outbox.push(numbered(3), now);
        let stalled = Report {
            stalled: true,
            ..numbered(4)
        };
        assert_eq!(numbers(outbox.push(stalled, now)), [3, 4]);
    }

    #[test]
    fn few_wait_at_any_speed() {
        let (mut outbox, now) = (Outbox::default(), Instant::now());
        outbox.push(numbered(0), now);
        let out: Vec<_> = (1..=MOST as u64)
            .map(|n| outbox.push(numbered(n), now).len())
            .collect();
        assert!(out[..MOST - 1].iter().all(|n| *n == 0));
        assert_eq!(out[MOST - 1], MOST);
    }
}
