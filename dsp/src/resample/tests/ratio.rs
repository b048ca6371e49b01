// SPDX-License-Identifier: MIT

//! The arithmetic of ratios against exact fractions, and the counts that come of it.

use num_rational::BigRational;
use proptest::prelude::*;

use super::*;
use crate::resample::grid::Grid;
use crate::resample::ratio::{Position, Walk};

fn fraction(numerator: impl Into<i128>, denominator: impl Into<i128>) -> BigRational {
    BigRational::new(numerator.into().into(), denominator.into().into())
}

fn at(position: Position) -> BigRational {
    fraction(position.frame, 1) + fraction(position.fraction, 1i128 << 64)
}

/// Input frames per output frame.
fn step_of(ratio: Ratio, correction: f64) -> BigRational {
    fraction(ratio.m, ratio.l) / BigRational::from_float(correction).unwrap()
}

/// Where the next output of `walk` is.
fn place(walk: &Walk) -> BigRational {
    let (frame, fraction) = (walk.frame(), walk.fraction());
    let (rest, parts) = walk.rest();
    at(Position { frame, fraction }) + unit() * BigRational::new(rest.into(), parts.into())
}

/// A unit of positions.
fn unit() -> BigRational {
    fraction(1, 1i128 << 64)
}

/// Places from `from` on, `step` apart, at or before `last`.
fn count(from: &BigRational, step: &BigRational, last: i64) -> u64 {
    let last = fraction(last, 1);
    if last < *from {
        return 0;
    }
    let whole = ((last - from) / step).floor() + fraction(1, 1);
    whole.to_integer().try_into().unwrap_or(u64::MAX)
}

fn rate() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => prop::sample::select(vec![
            8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000, 384_000,
        ]),
        2 => 1u32..1_000_000,
        1 => 1..=i32::MAX as u32,
        1 => prop::sample::select(vec![1, 2, 47_952, 47_999, 44_101, i32::MAX as u32, u32::MAX]),
    ]
}

fn ratio() -> impl Strategy<Value = Ratio> {
    (rate(), rate()).prop_map(|(i, o)| Ratio::new(i, o).unwrap())
}

/// Corrections, among them those that make a step whole, or nearly.
fn correction(ratio: Ratio) -> impl Strategy<Value = f64> {
    let whole = ratio.input_per_output();
    let near = move |ulps: i64| {
        let value = f64::from_bits((whole.to_bits() as i64 + ulps) as u64);
        value.clamp(*CORRECTIONS.start(), *CORRECTIONS.end())
    };
    prop_oneof![
        4 => CORRECTIONS,
        1 => Just(1.0),
        1 => prop::sample::select(vec![0.9, 0.95, 0.99, 0.999, 1.001, 1.05, 1.1, 15.0 / 16.0]),
        1 => (-2i64..=2).prop_map(near),
    ]
}

fn frame() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -1000i64..1000, 1 => -(1i64 << 62)..1 << 62]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    /// Every place is where the fractions say, to the last digit, however far the walk has come; a
    /// correction moves it by less than a unit.
    #[test]
    fn walks_are_exact(
        (ratio, corrections) in ratio().prop_flat_map(|ratio| {
            (Just(ratio), prop::collection::vec((correction(ratio), 0usize..40), 1..5))
        }),
        start in frame(),
        numerator in any::<u64>(),
        ahead in prop_oneof![-3i64..3, -3i64..100_000, -3i64..1 << 61],
    ) {
        let mut walk = Walk::new(ratio);
        let phase = numerator % ratio.l;
        walk.seek(Position::rational(start, phase, ratio.l));
        let mut exact = fraction(start, 1) + fraction(phase, ratio.l);
        for (correction, steps) in corrections {
            prop_assert!(walk.set_correction(correction));
            let moved = place(&walk) - &exact;
            prop_assert!(moved > -unit() && moved < unit(), "{moved}");
            exact += moved;
            let step = step_of(ratio, correction);
            for _ in 0..steps {
                prop_assert_eq!(place(&walk), exact.clone());
                let up = at(walk.position()) - &exact;
                prop_assert!(up >= fraction(0, 1) && up < unit(), "{up}");
                let last = walk.frame() + ahead;
                prop_assert_eq!(walk.outputs_through(last), count(&exact, &step, last));
                walk.advance();
                exact += &step;
            }
        }
    }

    /// The grid of the exact engines: any phase is found again, and the counts are exact.
    #[test]
    fn grids_are_exact(
        ratio in ratio(),
        start in frame(),
        output in any::<u64>(),
        repeat in 1u64..16,
        frames in 0u64..100_000,
        ahead in prop_oneof![-3i64..3, -3i64..100_000, -3i64..1 << 61],
    ) {
        let phase = output % ratio.l;
        let position = Position::rational(start, phase, ratio.l);
        let mut grid = Grid::new(ratio, ratio.l * repeat);
        grid.seek(position);
        prop_assert_eq!(grid.position(), position);
        grid.advance(frames);
        let step = step_of(ratio, 1.0);
        let exact = fraction(start, 1) + fraction(phase, ratio.l) + &step * fraction(frames, 1);
        let up = at(grid.position()) - &exact;
        prop_assert!(up >= fraction(0, 1) && up < unit(), "{up}");
        let last = grid.frame() + ahead;
        prop_assert_eq!(grid.available(last), count(&exact, &step, last));
        if let Ok(last) = u64::try_from(ahead) {
            let whole = count(&fraction(0, 1), &step, last as i64);
            prop_assert_eq!(ratio.outputs_through(last), whole);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// As many frames as the ratio says, whatever is asked for and however the input is cut.
    #[test]
    fn streams_make_as_many_frames_as_the_ratio_says(
        (i, o) in prop_oneof![
            (rate(), rate()).prop_filter("few outputs", |(i, o)| o / i < 100 && i / o < 100),
            (1u32..300, 1u32..300),
        ],
        engine in prop::sample::select([&[EngineChoice::Auto], ENGINES].concat()),
        quality in 0u8..=5,
        channels in 1usize..=3,
        max_latency in prop_oneof![Just(None), (0u64..4000).prop_map(Some)],
        correction in correction(Ratio { l: 147, m: 160 }),
        frames in 1usize..3000,
        cut in 1usize..700,
    ) {
        let spec = Spec {
            engine, quality, max_latency, rate_correction: correction, ..Spec::new(i, o, channels)
        };
        let mut resampler = Resampler::<f32>::new(&spec).unwrap();
        let output = run(&mut resampler, &vec![0.0; frames], || cut);
        let ratio = Ratio::new(i, o).unwrap();
        let expected = count(&fraction(0, 1), &step_of(ratio, correction), frames as i64 - 1);
        prop_assert_eq!(output.len() as u64, expected * channels as u64);
    }

    /// Corrections that change all the time lose and add nothing.
    #[test]
    fn corrections_that_change_add_up(
        (i, o) in prop::sample::select(vec![
            (44_100, 48_000), (47_952, 48_000), (96_000, 48_500), (48_000, 16_000), (88_200, 96_000),
        ]),
        corrections in prop::collection::vec(correction(Ratio { l: 160, m: 147 }), 1..20),
        cut in 1usize..700,
    ) {
        let base = Spec::new(i, o, 1);
        let mut resampler = Resampler::<f32>::new(&base).unwrap();
        let ratio = resampler.ratio();
        let (mut place, mut step) = (fraction(0, 1), step_of(ratio, 1.0));
        let mut output = vec![0.0; 2000];
        for correction in corrections {
            let spec = Spec { rate_correction: correction, ..base.clone() };
            resampler.reconfigure(&spec).unwrap();
            step = step_of(ratio, correction);
            resampler.push(cut, |_, plane| plane.fill(0.0));
            let frames = resampler.available();
            place += &step * fraction(frames as u64, 1);
            resampler.pull(&mut Output::interleaved(&mut output, 1), frames);
        }
        resampler.finish();
        let left = resampler.available() as u64;
        // The place is off by a unit a change.
        let last = resampler.frames_in() as i64 - 1;
        let least = count(&(&place + unit() * fraction(50, 1)), &step, last);
        let most = count(&(place - unit() * fraction(50, 1)), &step, last);
        prop_assert!((least..=most).contains(&left), "{least} {left} {most}");
    }
}

#[test]
fn what_is_no_correction_is_refused_and_changes_nothing() {
    for bad in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -1.0,
        0.899,
        1.101,
        1e-300,
    ] {
        let spec = |rate_correction| Spec {
            rate_correction,
            ..Spec::new(44_100, 48_000, 1)
        };
        let refused = Resampler::<f32>::new(&spec(bad)).err();
        assert_eq!(refused, Some(ResampleError::Correction), "{bad}");
        let text = ResampleError::Correction.to_string();
        assert!(text.contains("from 0.9 to 1.1"), "{text}");
        for before in [1.0, 0.95] {
            let mut resampler = Resampler::<f32>::new(&spec(before)).unwrap();
            let refused = resampler.reconfigure(&spec(bad));
            assert_eq!(refused, Err(ResampleError::Correction), "{bad}");
            assert_eq!(resampler.spec().rate_correction, before);
        }
    }
}
