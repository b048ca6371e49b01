// SPDX-License-Identifier: MIT

//! From a plan to its engine.

use super::design::Prototype;
use super::engine::{Engine, Rounded};
use super::fft::Blocks;
use super::fixed::Fixed;
use super::floats::Floats;
use super::folded::{Folded, Folds};
use super::halves::{Doubled, Half, Halved, Side};
use super::planner::Plan;
use super::polyphase::Polyphase;
use super::ratio::Ratio;
#[cfg(feature = "rubato")]
use super::rubato_fft::RubatoFft;
#[cfg(feature = "rubato")]
use super::rubato_sinc::RubatoSinc;
use super::sinc::Sinc;
use super::spec::{INTEGER_QUALITY, ResampleError, Spec};
use crate::simd::Level;
use crate::simd::resample_pass::Grouped;

/// What goes into a resampler: `f32`, `f64` and, for what `Fixed` does, `i16`.
pub trait Sample: Grouped<Sum: bytemuck::Pod> + bytemuck::Pod {
    /// What `design` says, for this type.
    fn engine(design: Design<'_>) -> Result<Box<dyn Engine<Self>>, ResampleError>;
}

/// What an engine is made from.
pub struct Design<'a> {
    pub plan: &'a Plan,
    /// The filter.
    pub prototype: Prototype,
    pub spec: &'a Spec,
    pub ratio: Ratio,
    pub level: Level,
}

/// `sharp` with a half-band stage before or after it.
fn staged<T: Folds>(
    ratio: Ratio,
    half: Half,
    sharp: impl Rounded<T> + 'static,
    channels: usize,
    level: Level,
) -> Box<dyn Engine<T>> {
    match half.side {
        Side::Before => Box::new(Halved::new(ratio, half, sharp, channels, level)),
        Side::After => Box::new(Doubled::new(ratio, half, sharp, channels, level)),
    }
}

macro_rules! real {
    ($t:ty) => {
        impl Sample for $t {
            fn engine(design: Design<'_>) -> Result<Box<dyn Engine<Self>>, ResampleError> {
                let Design {
                    prototype,
                    ratio,
                    level,
                    ..
                } = design;
                Ok(match *design.plan {
                    Plan::Polyphase => {
                        let rows = Floats::<$t>::new(&prototype, ratio, level)?;
                        Box::new(Polyphase::new(prototype, ratio, rows))
                    }
                    Plan::Folded(fold) => {
                        let channels = design.spec.channels;
                        let inner = fold.half.map_or(ratio, |half| half.inner(ratio));
                        let sharp = Folded::new(inner, fold.shape, channels, level);
                        match fold.half {
                            None => Box::new(sharp),
                            Some(half) => staged(ratio, half, sharp, channels, level),
                        }
                    }
                    Plan::Fft(size) => {
                        Box::new(Blocks::new(ratio, size, design.spec.channels, level))
                    }
                    Plan::StagedFft { half, size } => {
                        let channels = design.spec.channels;
                        let sharp = Blocks::new(half.inner(ratio), size, channels, level);
                        staged(ratio, half, sharp, channels, level)
                    }
                    Plan::Sinc(curve) => Box::new(Sinc::new(prototype, ratio, curve, level)?),
                    #[cfg(feature = "rubato")]
                    Plan::RubatoFft { units } => {
                        Box::new(RubatoFft::new(ratio, units, design.spec.channels)?)
                    }
                    #[cfg(feature = "rubato")]
                    Plan::RubatoSinc { quality } => {
                        let Spec {
                            interpolation,
                            channels,
                            ..
                        } = *design.spec;
                        Box::new(RubatoSinc::new(ratio, quality, interpolation, channels)?)
                    }
                    #[cfg(not(feature = "rubato"))]
                    Plan::RubatoFft { .. } | Plan::RubatoSinc { .. } => {
                        return Err(ResampleError::NoRubato);
                    }
                })
            }
        }
    };
}

real!(f32);
real!(f64);

impl Sample for i16 {
    fn engine(design: Design<'_>) -> Result<Box<dyn Engine<Self>>, ResampleError> {
        if *design.plan != Plan::Polyphase || design.spec.quality > INTEGER_QUALITY {
            return Err(ResampleError::NoIntegers);
        }
        let rows = Fixed::new(&design.prototype, design.ratio, design.level)?;
        Ok(Box::new(Polyphase::new(
            design.prototype,
            design.ratio,
            rows,
        )))
    }
}
