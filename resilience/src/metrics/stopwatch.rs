// SPDX-License-Identifier: MIT

//! Times short work at the cost of two instructions.
//!
//! A reading of the monotonic clock takes 25 ns and waits for all loads before it, which together is
//! a tenth of what a small buffer costs. The processor's time stamp counter takes neither. Where it
//! is invariant (CPUID) and what the kernel's own clock runs on, it is compared with the clock over the first
//! 10 ms of use, and read alone from then on; elsewhere the clock goes on being read.
#![allow(unsafe_code)]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Time since its start.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch {
    /// Ticks, or ns of the clock since `ORIGIN` where `scale` is 0.
    start: u64,
    scale: u64,
}

/// ns per tick, times 2^32; 0 until that is known.
static SCALE: AtomicU64 = AtomicU64::new(0);

/// The first reading of the clock and, where it may be used, of the counter.
static ORIGIN: LazyLock<(Instant, Option<u64>)> = LazyLock::new(|| match counter_is_a_clock() {
    true => {
        let (clock, counter) = both();
        (clock, Some(counter))
    }
    false => (Instant::now(), None),
});

/// The clock and the counter at one moment: of a few pairs the closest, since whatever comes between the
/// two readings would stay in the scale.
fn both() -> (Instant, u64) {
    let pair = || {
        let before = Instant::now();
        let counter = ticks();
        let apart = before.elapsed();
        (apart, (before + apart / 2, counter))
    };
    let pairs = std::iter::repeat_with(pair).take(8);
    pairs
        .min_by_key(|(apart, _)| *apart)
        .map_or_else(|| pair().1, |(_, at)| at)
}

/// Long enough that the tens of ns between the two readings of a pair are nothing.
const CALIBRATION_NS: u64 = 10_000_000;

impl Stopwatch {
    /// Starts one.
    #[inline]
    pub fn start() -> Self {
        match SCALE.load(Relaxed) {
            0 => Self {
                start: calibrate(),
                scale: 0,
            },
            scale => Self {
                start: ticks(),
                scale,
            },
        }
    }

    /// In ns.
    #[inline]
    pub fn elapsed(&self) -> u64 {
        match self.scale {
            0 => clock().saturating_sub(self.start),
            // Two cores may differ by some ticks.
            scale => scaled(ticks().saturating_sub(self.start), scale),
        }
    }
}

/// ns of the clock since `ORIGIN`.
fn clock() -> u64 {
    let ns = Instant::now().saturating_duration_since(ORIGIN.0);
    ns.as_nanos().min(u64::MAX as u128) as u64
}

/// `ticks` in ns; of more than an hour, to 2^-32 too little.
#[inline]
fn scaled(ticks: u64, scale: u64) -> u64 {
    ((u128::from(ticks) * u128::from(scale)) >> 32) as u64
}

/// Reads the clock, and takes the scale from the first reading and this one, when they lie far enough
/// apart.
#[cold]
fn calibrate() -> u64 {
    let now = clock();
    if let Some(first) = ORIGIN.1
        && now >= CALIBRATION_NS
    {
        let (clock, counter) = both();
        let ns = clock.saturating_duration_since(ORIGIN.0).as_nanos();
        let passed = counter.saturating_sub(first);
        if passed > 0 {
            let scale = (ns << 32) / u128::from(passed);
            SCALE.store(u64::try_from(scale).unwrap_or(0), Relaxed);
        }
    }
    now
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn ticks() -> u64 {
    // SAFETY: every 64-bit x86 has the instruction, and Linux leaves it to user space.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Whether the counter runs at one rate on all cores, as the processor and the kernel see it.
#[cfg(target_arch = "x86_64")]
fn counter_is_a_clock() -> bool {
    // The kernel gives the counter up where cores disagree.
    const IN_USE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let kernel = std::fs::read_to_string(IN_USE);
    counter_is_invariant() && kernel.is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(target_arch = "x86_64")]
#[allow(unused_unsafe)] // safe in newer versions of the standard library
fn counter_is_invariant() -> bool {
    // SAFETY: every 64-bit x86 has the instruction; leaves that it lacks are not asked for.
    unsafe {
        use std::arch::x86_64::__cpuid;
        __cpuid(0x8000_0000).eax >= 0x8000_0007 && __cpuid(0x8000_0007).edx & (1 << 8) != 0
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn ticks() -> u64 {
    0
}

#[cfg(not(target_arch = "x86_64"))]
fn counter_is_a_clock() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_with_the_clock() {
        let busy = |ns: u128| {
            let start = Instant::now();
            while start.elapsed().as_nanos() < ns {
                std::hint::spin_loop();
            }
        };
        // Past the calibration, wherever there is one.
        let _ = Stopwatch::start();
        busy(2 * u128::from(CALIBRATION_NS));
        let _ = Stopwatch::start();
        let later = Stopwatch::start();
        assert_eq!(later.scale != 0, counter_is_a_clock());
        for _ in 0..20 {
            // The clock inside and outside of the stopwatch bounds what it may show.
            let outer = Instant::now();
            let watch = Stopwatch::start();
            let inner = Instant::now();
            busy(300_000);
            let least = inner.elapsed().as_nanos() as f64;
            let shown = watch.elapsed() as f64;
            let most = outer.elapsed().as_nanos() as f64;
            assert!(shown >= least * 0.999 - 100.0, "{shown} {least}");
            assert!(shown <= most * 1.001 + 100.0, "{shown} {most}");
        }
    }

    #[test]
    fn days_do_not_overflow() {
        // 3 GHz, a thousand days.
        let scale = (1u64 << 32) / 3;
        let days = 1000 * 86_400 * 3_000_000_000u64;
        let ns = scaled(days, scale);
        assert!(ns.abs_diff(days / 3) < days / 3 / 1_000_000_000);
    }
}
