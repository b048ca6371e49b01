//! Which engine does the work: the cheapest that meets `quality` and `max-latency`.

use super::design::{Method, Prototype};
use super::table::exact_bytes;
use super::{EngineChoice, EngineKind, FilterMode, Interpolation, Ratio, Spec};

/// What the planner decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Exact taps for every phase.
    Polyphase,
    /// rubato's `Fft` in blocks of so many times the smallest.
    Fft { units: u64 },
    /// Taps interpolated between phases, cubic or linear; any ratio, also a varying one.
    Sinc { cubic: bool },
}

impl Plan {
    pub fn kind(&self) -> EngineKind {
        match self {
            Self::Polyphase => EngineKind::Polyphase,
            Self::Fft { .. } => EngineKind::Fft,
            Self::Sinc { .. } => EngineKind::Sinc,
        }
    }
}

/// Largest block side that is planned, in frames.
const MAX_BLOCK: u64 = 1 << 15;

/// Frames of the shorter block side that give the fft engine the pass band of `quality`, from its
/// -1 dB edge: `1 - 16.1 / frames` of the lower Nyquist frequency. Its stop band is below -140 dB
/// throughout.
const BLOCK_FRAMES: [u64; 11] = [90, 110, 144, 176, 208, 212, 224, 288, 360, 448, 560];

/// The filter of `spec`: that of its quality, or of the highest below that meets its latency.
pub fn filter(spec: &Spec, ratio: Ratio) -> Prototype {
    let limit = spec.max_latency.unwrap_or(u64::MAX);
    (0..=spec.quality)
        .rev()
        .map(|quality| Prototype::new(spec.method, quality, ratio))
        .find(|prototype| prototype.latency() <= limit)
        .unwrap_or_else(|| Prototype::new(spec.method, 0, ratio))
}

/// Plans for `spec`, whose filter is `prototype`; `size` is that of a sample in bytes.
pub fn plan(spec: &Spec, ratio: Ratio, prototype: &Prototype, size: usize) -> Plan {
    let time_domain = time_domain(spec, ratio, prototype, size);
    let fixed = spec.rate_correction == 1.0 && spec.method == Method::Kaiser;
    match spec.engine {
        EngineChoice::Sinc => Plan::Sinc {
            cubic: cubic(spec.interpolation),
        },
        EngineChoice::Polyphase => time_domain,
        EngineChoice::Fft if fixed => {
            blocks(spec, ratio, spec.max_latency).map_or(time_domain, |units| Plan::Fft { units })
        }
        EngineChoice::Auto if fixed => {
            let limit = Some(spec.max_latency.unwrap_or(prototype.latency()));
            match blocks(spec, ratio, limit) {
                Some(units)
                    if fft_cost(ratio, units)
                        < time_cost(ratio, prototype, &time_domain, spec.channels) =>
                {
                    Plan::Fft { units }
                }
                _ => time_domain,
            }
        }
        _ => time_domain,
    }
}

fn cubic(interpolation: Interpolation) -> bool {
    interpolation != Interpolation::Linear
}

/// Polyphase or, where its table would be too large or the ratio varies, sinc.
fn time_domain(spec: &Spec, ratio: Ratio, prototype: &Prototype, size: usize) -> Plan {
    let sinc = Plan::Sinc {
        cubic: cubic(spec.interpolation),
    };
    if spec.rate_correction != 1.0 {
        return sinc;
    }
    // Kinks of the simple responses do not survive interpolation; their tables are small.
    if !prototype.is_smooth() {
        return Plan::Polyphase;
    }
    match spec.filter_mode {
        FilterMode::Full => Plan::Polyphase,
        FilterMode::Interpolated => sinc,
        FilterMode::Auto => {
            let full = exact_bytes(prototype, ratio, size);
            // One row a frame cannot be beaten by interpolating between more.
            if full <= u64::from(spec.auto_threshold) || ratio.l <= 32 {
                Plan::Polyphase
            } else {
                sinc
            }
        }
    }
}

/// The cheapest block size in units of the smallest block, within `max_latency` input frames.
fn blocks(spec: &Spec, ratio: Ratio, max_latency: Option<u64>) -> Option<u64> {
    let shorter = ratio.l.min(ratio.m);
    let least = BLOCK_FRAMES[usize::from(spec.quality.min(10))].div_ceil(shorter);
    let most = (MAX_BLOCK / ratio.l.max(ratio.m)).min(least.saturating_mul(4));
    (least..=most)
        .filter(|units| (units * ratio.l).is_multiple_of(2) && (units * ratio.m).is_multiple_of(2))
        // A block and half its filter.
        .filter(|units| max_latency.is_none_or(|max| units * ratio.m * 3 / 2 <= max))
        .min_by(|a, b| fft_cost(ratio, *a).total_cmp(&fft_cost(ratio, *b)))
}

/// Time of a real transform of `n` samples by rustfft, in ns on an AVX2 machine of 2023. Lengths
/// with hardly a factor of 2 miss its vector kernels; primes above 13 are convolutions.
fn transform_cost(n: u64) -> f64 {
    let (mut rest, mut factors) = (n / 2, 0.0);
    let twos = rest.trailing_zeros();
    for (p, cost) in [
        (2, 1.0),
        (3, 1.75),
        (5, 3.0),
        (7, 4.4),
        (11, 9.0),
        (13, 11.0),
    ] {
        while rest.is_multiple_of(p) {
            rest /= p;
            factors += cost;
        }
    }
    if rest > 1 {
        factors += 6.0 * (rest as f64).log2();
    }
    let misfit = if twos < 2 { 1.5 } else { 1.0 };
    n as f64 * (0.27 + 0.09 * factors) * misfit
}

/// Time of the fft engine for an output frame of one channel, in ns.
fn fft_cost(ratio: Ratio, units: u64) -> f64 {
    let (i, o) = (units * ratio.m, units * ratio.l);
    (transform_cost(2 * i) + transform_cost(2 * o)) / o as f64 + 0.3
}

/// Time of a time-domain engine for an output frame of one channel, in ns.
fn time_cost(ratio: Ratio, prototype: &Prototype, plan: &Plan, channels: usize) -> f64 {
    let row = prototype.taps() as f64 + 8.0 * ratio.input_per_output();
    // Two channels share the loads of taps, which come from the second cache for large tables.
    let large = row * ratio.l as f64 * 4.0 > 32_768.0;
    let per_tap = match (channels, large) {
        (1, true) => 0.040,
        (1, false) => 0.031,
        _ => 0.033,
    };
    let rows = if matches!(plan, Plan::Sinc { .. }) {
        4.0
    } else {
        1.0
    };
    row * rows * per_tap + 0.4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(spec: &Spec) -> Plan {
        let ratio = Ratio::new(spec.in_rate, spec.out_rate).unwrap();
        let prototype = Prototype::new(spec.method, spec.quality, ratio);
        plan(spec, ratio, &prototype, 4)
    }

    #[test]
    fn the_defaults_have_audioresamples_latency() {
        for rates in [
            (44_100, 48_000),
            (48_000, 16_000),
            (8000, 48_000),
            (96_000, 44_100),
        ] {
            for quality in 0..=10 {
                let spec = Spec {
                    quality,
                    ..Spec::new(rates.0, rates.1, 2)
                };
                assert_eq!(planned(&spec), Plan::Polyphase, "{rates:?} {quality}");
            }
        }
    }

    #[test]
    fn blocks_are_smooth_and_within_the_latency() {
        for rates in [
            (48_000, 16_000),
            (44_100, 48_000),
            (16_000, 48_000),
            (96_000, 48_000),
        ] {
            for latency in [1500, 3000, 6000, u64::MAX] {
                let spec = Spec {
                    engine: EngineChoice::Fft,
                    quality: 10,
                    max_latency: Some(latency),
                    ..Spec::new(rates.0, rates.1, 1)
                };
                let ratio = Ratio::new(rates.0, rates.1).unwrap();
                let Plan::Fft { units } = planned(&spec) else {
                    assert!(latency < 3000, "{rates:?} {latency}");
                    continue;
                };
                assert!(units * ratio.m * 3 / 2 <= latency);
                // But for what is in the ratio itself (441 = 9 * 49), 2, 3, 5 and 7 only.
                for mut n in [units * ratio.m, units * ratio.l] {
                    for p in [2, 3, 5, 7] {
                        while n.is_multiple_of(p) {
                            n /= p;
                        }
                    }
                    assert_eq!(n, 1, "{rates:?}: {units} units");
                }
            }
        }
    }

    #[test]
    fn free_latency_goes_to_the_cheaper_engine() {
        let at = |quality| {
            planned(&Spec {
                quality,
                max_latency: Some(u64::MAX),
                ..Spec::new(48_000, 16_000, 1)
            })
        };
        assert_eq!(at(0), Plan::Polyphase);
        assert!(matches!(at(8), Plan::Fft { .. }));
        assert!(matches!(at(10), Plan::Fft { .. }));
    }

    #[test]
    fn large_tables_and_varying_ratios_are_interpolated() {
        assert!(matches!(
            planned(&Spec::new(44_100, 47_999, 1)),
            Plan::Sinc { cubic: true }
        ));
        let full = Spec {
            filter_mode: FilterMode::Full,
            ..Spec::new(44_100, 47_999, 1)
        };
        assert_eq!(planned(&full), Plan::Polyphase);
        let corrected = Spec {
            rate_correction: 1.001,
            ..Spec::new(48_000, 16_000, 1)
        };
        assert!(matches!(planned(&corrected), Plan::Sinc { .. }));
    }
}
