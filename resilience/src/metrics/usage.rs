// SPDX-License-Identifier: MIT

//! What the process uses.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

/// Largest resident set this process has had, in bytes; 0 where the system does not tell. Asked
/// for at most every 100 ms: many elements report at once, and the system call costs as much as
/// all the rest of a report.
pub fn process_peak_rss() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    /// When it was asked for last, in ms since the start, plus 1.
    static ASKED: AtomicU64 = AtomicU64::new(0);
    static BYTES: AtomicU64 = AtomicU64::new(0);

    let now = START.elapsed().as_millis() as u64 + 1;
    let asked = ASKED.load(Relaxed);
    if asked == 0 || now >= asked + 100 {
        // Linux and the BSDs count in kibibytes, Apple's systems in bytes.
        let unit = if cfg!(target_vendor = "apple") {
            1
        } else {
            1024
        };
        let bytes =
            getrusage(UsageWho::RUSAGE_SELF).map_or(0, |u| u.max_rss().max(0) as u64 * unit);
        BYTES.store(bytes, Relaxed);
        ASKED.store(now, Relaxed);
    }
    BYTES.load(Relaxed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn peak_rss_is_plausible() {
        let rss = super::process_peak_rss();
        assert!(rss > 1 << 20 && rss < 1 << 40, "{rss}");
    }
}
