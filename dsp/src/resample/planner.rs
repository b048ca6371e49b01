// SPDX-License-Identifier: MIT

//! Which engine does the work: the cheapest that meets `quality` and `max-latency`.

use super::design::{MAX_QUALITY, Method, Prototype};
use super::fft::{Size, filter_frames};
use super::halves::{Half, Side};
use super::phases::exact_bytes;
use super::ratio::{CORRECTIONS, Ratio};
use super::shape::Shape;
use super::sharp;
use super::spec::{Curve, EngineChoice, EngineKind, FilterMode, Interpolation, Spec};

/// What the planner decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Exact taps for every phase.
    Polyphase,
    /// A sharper filter than that of `Polyphase`, whose outputs are made in blocks.
    Folded(Fold),
    /// Overlap-save with transforms of this size.
    Fft(Size),
    /// The same with a half-band stage before or after it.
    StagedFft {
        /// That stage.
        half: Half,
        /// Of what is left of the ratio.
        size: Size,
    },
    /// Taps interpolated between phases; any ratio, also a varying one.
    Sinc(Curve),
    /// rubato's `Fft`, in blocks of so many times the ratio's smallest stretch.
    RubatoFft {
        /// Input frames of a block over [`Ratio::m`], output frames over [`Ratio::l`].
        units: u64,
    },
    /// rubato's `Async`.
    RubatoSinc {
        /// Whose sinc it is.
        quality: u8,
    },
}

/// How a folded filter is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fold {
    /// A half-band stage before or after it.
    pub half: Option<Half>,
    /// Its blocks.
    pub shape: Shape,
}

impl Plan {
    /// The engine that carries the plan out.
    pub fn kind(&self) -> EngineKind {
        match self {
            Self::Polyphase | Self::Folded(_) => EngineKind::Polyphase,
            Self::Fft(_) | Self::StagedFft { .. } => EngineKind::Fft,
            Self::Sinc { .. } => EngineKind::Sinc,
            Self::RubatoFft { .. } => EngineKind::RubatoFft,
            Self::RubatoSinc { .. } => EngineKind::RubatoSinc,
        }
    }
}

/// Largest transform that is planned, in points; a ratio may need up to `MOST_POINTS`.
const POINTS: u64 = 1 << 13;
const MOST_POINTS: u64 = 1 << 15;

/// What a window may cost more than the cheapest if it delays less.
const SLACK: f64 = 1.05;

/// Rows of an exact table, at most: many more take longer to make than they are used in a second.
const MOST_ROWS: u64 = 4096;

/// Where the fft engine's pass band ends (-1 dB) at each quality, as a fraction of the lower Nyquist
/// frequency. It is down by 133 dB at the lower Nyquist frequency, by 140 from 5 % above it on.
pub const EDGES: [f64; MAX_QUALITY as usize + 1] = [
    0.82, 0.85, 0.89, 0.91, 0.92, 0.925, 0.93, 0.943, 0.9445, 0.965, 0.972,
];

/// The filter of `spec`: that of its quality, or of the highest below that meets its latency.
pub fn filter(spec: &Spec, ratio: Ratio) -> Prototype {
    let limit = spec.max_latency.unwrap_or(u64::MAX);
    (0..=spec.quality)
        .rev()
        .map(|quality| Prototype::new(spec.method, quality, ratio))
        .find(|prototype| prototype.latency() <= limit)
        .unwrap_or_else(|| Prototype::new(spec.method, 0, ratio))
}

/// By how much a folded filter, which delays longer than the one of the quality, has to be cheaper.
const SHORTER: f64 = 1.15;

/// Plans for `spec`, whose filter is `prototype`; `size` is that of a sample in bytes.
pub fn plan(spec: &Spec, ratio: Ratio, prototype: &Prototype, size: usize) -> Plan {
    let time_domain = time_domain(spec, ratio, prototype, size);
    let fixed = spec.rate_correction == 1.0 && spec.method == Method::Kaiser;
    match spec.engine {
        EngineChoice::Sinc => Plan::Sinc(curve(spec)),
        EngineChoice::Polyphase => time_domain,
        EngineChoice::Fft if fixed => {
            blocks(spec, ratio, spec.max_latency).map_or(time_domain, Plan::Fft)
        }
        EngineChoice::RubatoFft if fixed => {
            rubato_blocks(spec, ratio).map_or(time_domain, |units| Plan::RubatoFft { units })
        }
        // rubato has one filter, and its blocks follow no correction.
        EngineChoice::RubatoFft | EngineChoice::RubatoSinc if spec.method == Method::Kaiser => {
            rubato_quality(spec, ratio).map_or(time_domain, |quality| Plan::RubatoSinc { quality })
        }
        EngineChoice::Auto if fixed => {
            let limit = spec.max_latency.unwrap_or(prototype.latency());
            let cost = time_cost(ratio, prototype, &time_domain);
            let transformed = blocks(spec, ratio, Some(limit))
                .map(|size| (Plan::Fft(size), fft_cost(ratio, size)));
            let shorter = |plan: &(Plan, f64), cost: f64| SHORTER * plan.1 < cost;
            let folded = folded(spec, ratio, limit).filter(|plan| shorter(plan, cost));
            let whole = transformed.as_ref().map_or(f64::INFINITY, |plan| plan.1);
            let staged = staged(spec, ratio, limit).filter(|plan| shorter(plan, whole));
            let plans = [Some((time_domain, cost)), folded, transformed, staged];
            let plans = plans.into_iter().flatten();
            let cheapest = plans.min_by(|a, b| a.1.total_cmp(&b.1));
            cheapest.map_or(Plan::Polyphase, |(plan, _)| plan)
        }
        _ => time_domain,
    }
}

/// What taps are interpolated by, where they are.
fn curve(spec: &Spec) -> Curve {
    match spec.interpolation {
        _ if spec.filter_mode == FilterMode::Full => Curve::Exact,
        Interpolation::Linear => Curve::Straight,
        Interpolation::Cubic | Interpolation::None => Curve::Smooth,
    }
}

/// Polyphase or, where its table would be too large or the ratio varies, sinc.
fn time_domain(spec: &Spec, ratio: Ratio, prototype: &Prototype, size: usize) -> Plan {
    let sinc = Plan::Sinc(curve(spec));
    if spec.rate_correction != 1.0 {
        return sinc;
    }
    // Kinks of the simple responses do not survive interpolation; their tables are small.
    if !prototype.is_smooth() {
        return Plan::Polyphase;
    }
    match spec.filter_mode {
        FilterMode::Full if ratio.l <= MOST_ROWS => Plan::Polyphase,
        FilterMode::Full => sinc,
        FilterMode::Interpolated => sinc,
        FilterMode::Auto => {
            // Half the rows of a large table are enough.
            let full = exact_bytes(prototype, ratio, size) / 2;
            // One row a frame cannot be beaten by interpolating between more.
            let fits = full <= u64::from(spec.auto_threshold) && ratio.l <= MOST_ROWS;
            if fits || ratio.l <= 32 {
                Plan::Polyphase
            } else {
                sinc
            }
        }
    }
}

/// The cheapest folded filter within `limit` input frames, and the time it takes.
fn folded(spec: &Spec, ratio: Ratio, limit: u64) -> Option<(Plan, f64)> {
    if spec.quality > sharp::QUALITY {
        return None;
    }
    let alone = Shape::cheapest(ratio, limit).map(|shape| {
        let fold = Fold { half: None, shape };
        (fold, shape.cost(ratio))
    });
    let staged = Stage::new(ratio, limit, sharp::EDGE).and_then(|stage| {
        let shape = Shape::cheapest(stage.inner, stage.limit)?;
        let cost = stage.cost(ratio, shape.cost(stage.inner));
        let half = Some(stage.half);
        Some((Fold { half, shape }, cost))
    });
    [alone, staged]
        .into_iter()
        .flatten()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(fold, cost)| (Plan::Folded(fold), cost))
}

/// A half-band stage, and what it leaves to the sharp filter.
struct Stage {
    half: Half,
    inner: Ratio,
    /// Input frames that the sharp filter may wait for.
    limit: u64,
}

impl Stage {
    /// Of `ratio` where the whole may wait for `limit` input frames, with a sharp filter that begins to stop at `pass`
    /// of the lower Nyquist frequency.
    fn new(ratio: Ratio, limit: u64, pass: f64) -> Option<Self> {
        let half = Half::new(ratio, pass)?;
        let rest = limit.checked_sub(half.latency(ratio, 0))?;
        Some(Self {
            half,
            inner: half.inner(ratio),
            limit: match half.side {
                Side::Before => rest / 2,
                Side::After => rest,
            },
        })
    }

    /// Time for an output frame if the sharp filter takes `inner` for one of its own.
    fn cost(&self, ratio: Ratio, inner: f64) -> f64 {
        let share = match self.half.side {
            Side::Before => 1.0,
            Side::After => 0.5,
        };
        self.half.cost(ratio) + share * inner
    }
}

/// Transforms between half the higher rate and the lower one, within `limit` input frames, and the time that
/// they take.
fn staged(spec: &Spec, ratio: Ratio, limit: u64) -> Option<(Plan, f64)> {
    // A quarter into the transition it is some dB down.
    let edge = EDGES[usize::from(spec.quality.min(MAX_QUALITY))];
    let stage = Stage::new(ratio, limit, edge + 0.25 * (1.0 - edge))?;
    // Of windows that keep little it is not known well enough what they take.
    let size =
        blocks(spec, stage.inner, Some(stage.limit)).filter(|size| 2 * size.hop >= size.units)?;
    let cost = stage.cost(ratio, fft_cost(stage.inner, size));
    let half = stage.half;
    Some((Plan::StagedFft { half, size }, cost))
}

/// The size that costs least, or a little more for less delay, within `max_latency` input frames.
fn blocks(spec: &Spec, ratio: Ratio, max_latency: Option<u64>) -> Option<Size> {
    let (longer, shorter) = (ratio.l.max(ratio.m), ratio.l.min(ratio.m));
    let frames = filter_frames(EDGES[usize::from(spec.quality.min(MAX_QUALITY))]);
    let most_latency = max_latency.unwrap_or(u64::MAX);
    // Half the filter is waited for in any case: with the delay of `audioresample`, nothing to plan.
    if (most_latency as f64) < frames / 2.0 * ratio.m as f64 / shorter as f64 {
        return None;
    }
    let least = (frames / shorter as f64).ceil() as u64 + 1;
    let most = (POINTS / longer).max((least + 1).min(MOST_POINTS / longer));
    // Halves of windows are transformed.
    let sizes = (least.next_multiple_of(2)..=most)
        .step_by(2)
        .filter_map(|units| {
            // What is dropped at the front is not waited for.
            let behind = (units * ratio.m).saturating_sub(most_latency) * 2 / ratio.m;
            let most_hop = units.checked_sub(behind.max(least - 1))?;
            let hops = (1..=most_hop).rev().take(3);
            hops.map(|hop| Size { units, hop }).find(|size| {
                size.reach(ratio) >= frames / 2.0 && size.latency(ratio) <= most_latency
            })
        })
        .map(|size| (size, fft_cost(ratio, size)));
    let cheapest = sizes.clone().map(|(_, cost)| cost).min_by(f64::total_cmp)?;
    sizes
        .filter(|(_, cost)| *cost <= cheapest * SLACK)
        .map(|(size, _)| size)
        .min_by_key(|size| size.latency(ratio))
}

/// Where the pass band of a filter of rubato's `Fft` ends (-1 dB), below the lower Nyquist frequency:
/// in parts of its length's inverse at the lower rate.
const RUBATO_EDGE: f64 = 16.0;
/// Most points of a transform for rubato.
const RUBATO_POINTS: u64 = 1 << 18;

/// Outputs that rubato's `Async` is let make at a time.
pub const RUBATO_PIECE: usize = 128;
/// Length of its sinc at the lower of the two rates, at each quality.
const RUBATO_SINCS: [u64; MAX_QUALITY as usize + 1] =
    [32, 48, 64, 96, 128, 128, 160, 192, 256, 384, 512];

/// Length of its sinc in input frames, as it takes them: a multiple of 8.
pub fn rubato_taps(quality: u8, ratio: Ratio) -> u64 {
    let taps = RUBATO_SINCS[usize::from(quality.min(MAX_QUALITY))];
    let stretched = u128::from(taps) * u128::from(ratio.m.max(ratio.l));
    (stretched.div_ceil(u128::from(ratio.l)) as u64).next_multiple_of(8)
}

/// Input frames after an output's position that its window may reach.
pub fn rubato_ahead(taps: u64) -> u64 {
    taps / 2 + 2
}

/// Input frames after an output's position that it waits for, at worst: for those of its piece.
pub fn rubato_latency(taps: u64, ratio: Ratio) -> u64 {
    let piece = (RUBATO_PIECE - 1) as f64 * ratio.input_per_output() / CORRECTIONS.start();
    rubato_ahead(taps) + piece.ceil() as u64
}

/// The quality asked for, or the highest below it that meets the latency.
fn rubato_quality(spec: &Spec, ratio: Ratio) -> Option<u8> {
    (0..=spec.quality.min(MAX_QUALITY)).rev().find(|quality| {
        let latency = rubato_latency(rubato_taps(*quality, ratio), ratio);
        spec.max_latency.is_none_or(|max| latency <= max)
    })
}

/// Units of rubato's blocks for a pass band like ours: those that cost least, or a little more for less
/// delay, within the latency asked for.
fn rubato_blocks(spec: &Spec, ratio: Ratio) -> Option<u64> {
    let (longer, shorter) = (ratio.l.max(ratio.m), ratio.l.min(ratio.m));
    let edge = EDGES[usize::from(spec.quality.min(MAX_QUALITY))];
    let least = ((RUBATO_EDGE / (1.0 - edge) / shorter as f64 / 2.0).ceil() as u64).max(1) * 2;
    let cost = |units: u64| {
        (transform_cost(2 * units * ratio.m) + transform_cost(2 * units * ratio.l)) / units as f64
    };
    let sizes = (least..=2 * least)
        .step_by(2)
        .filter(|units| 2 * units * longer <= RUBATO_POINTS)
        // One and a half blocks.
        .filter(|units| {
            let latency = units * ratio.m * 3 / 2 - 1;
            spec.max_latency.is_none_or(|max| latency <= max)
        })
        .map(|units| (units, cost(units)));
    let cheapest = sizes.clone().map(|(_, cost)| cost).min_by(f64::total_cmp)?;
    let mut fit = sizes.filter(|(_, cost)| *cost <= cheapest * SLACK);
    fit.next().map(|(units, _)| units)
}

/// Time of a complex transform of `n` points of `f32` by rustfft, in ns on an AVX2 machine of 2023.
/// Its vector kernels take eights and threes; primes above 7 are convolutions or worse.
fn transform_cost(n: u64) -> f64 {
    let mut per_point = 0.15 + 0.065 * (n as f64).log2();
    // Beside its scratch, no more points fit the first cache.
    if n > 1024 {
        per_point += 0.1;
    }
    per_point += 0.2 * f64::from(3u32.saturating_sub(n.trailing_zeros()));
    let mut rest = n;
    for (p, more) in [
        (2, 0.0),
        (3, 0.0),
        (5, 0.16),
        (7, 0.18),
        (11, 0.5),
        (13, 0.6),
    ] {
        while rest.is_multiple_of(p) {
            rest /= p;
            per_point += more;
        }
    }
    if rest > 1 {
        per_point *= 3.0;
    }
    n as f64 * per_point
}

/// Time of the fft engine for an output frame of one channel, in ns.
fn fft_cost(ratio: Ratio, size: Size) -> f64 {
    let (i, o) = (size.units * ratio.m / 2, size.units * ratio.l / 2);
    let around = 0.3 * (i + o) as f64;
    let window = transform_cost(i) + transform_cost(o) + around;
    window / (size.hop * ratio.l) as f64 + 0.3
}

/// Time of a time-domain engine for an output frame of one channel, in ns.
fn time_cost(ratio: Ratio, prototype: &Prototype, plan: &Plan) -> f64 {
    let row = prototype.taps() as f64 + 8.0 * ratio.input_per_output();
    // Taps of large tables come from the second cache.
    let large = row * ratio.l as f64 * 4.0 > 32_768.0;
    let per_tap = if large { 0.037 } else { 0.029 };
    let rows = if matches!(plan, Plan::Sinc(_)) {
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
                let Plan::Fft(size) = planned(&spec) else {
                    assert!(latency < 3000, "{rates:?} {latency}");
                    continue;
                };
                assert!(size.latency(ratio) <= latency);
                // The filter is as long as its pass band needs.
                let frames = filter_frames(EDGES[10]);
                assert!(size.reach(ratio) >= frames / 2.0, "{rates:?}: {size:?}");
                // But for what is in the ratio itself (441 = 9 * 49), 2, 3, 5 and 7 only.
                for mut n in [size.units * ratio.m, size.units * ratio.l] {
                    for p in [2, 3, 5, 7] {
                        while n.is_multiple_of(p) {
                            n /= p;
                        }
                    }
                    assert_eq!(n, 1, "{rates:?}: {size:?}");
                }
            }
        }
    }

    /// Between those of libsoxr's delay, of which none is waited for in vain.
    #[test]
    fn windows_overlap_by_no_more_than_the_filter_and_the_delay_need() {
        for (rates, latency, size) in [
            ((22_050, 16_000), 718, Size { units: 2, hop: 1 }),
            ((48_000, 44_100), 792, Size { units: 4, hop: 2 }),
            (
                (96_000, 48_000),
                1296,
                Size {
                    units: 768,
                    hop: 528,
                },
            ),
        ] {
            let spec = Spec {
                quality: 8,
                max_latency: Some(latency),
                ..Spec::new(rates.0, rates.1, 1)
            };
            assert_eq!(planned(&spec), Plan::Fft(size), "{rates:?}");
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
        assert!(matches!(at(8), Plan::Fft(_)));
        assert!(matches!(at(10), Plan::Fft(_)));
    }

    #[test]
    fn large_tables_and_varying_ratios_are_interpolated() {
        assert!(matches!(
            planned(&Spec::new(44_100, 47_999, 1)),
            Plan::Sinc(Curve::Smooth)
        ));
        let full = |rates: (u32, u32)| {
            planned(&Spec {
                filter_mode: FilterMode::Full,
                interpolation: Interpolation::Linear,
                ..Spec::new(rates.0, rates.1, 1)
            })
        };
        assert_eq!(full((44_100, 48_000)), Plan::Polyphase);
        assert_eq!(full((11_025, 192_000)), Plan::Polyphase);
        for rates in [(44_100, 47_999), (384_000, 44_101), (48_000, 191_999)] {
            assert_eq!(full(rates), Plan::Sinc(Curve::Exact), "{rates:?}");
        }
        let corrected = Spec {
            rate_correction: 1.001,
            ..Spec::new(48_000, 16_000, 1)
        };
        assert!(matches!(planned(&corrected), Plan::Sinc(_)));
    }
}
