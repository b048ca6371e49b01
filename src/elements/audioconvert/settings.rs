//! Properties, and the conversion that they and the caps ask for.

use gst::glib;
use gst::prelude::*;

use super::mixing::{InUse, Mixing};
use crate::dsp::convert::{Converter, Dither, MatrixError, NoiseShaping, Quantisation, Side};
use crate::elements::support::format::sample_format;

/// The properties of the element.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dithering: gst_audio::AudioDitherMethod,
    pub dithering_threshold: u32,
    pub noise_shaping: gst_audio::AudioNoiseShapingMethod,
    pub mixing: Mixing,
    /// The mix of the stream that plays: a later one waits there for caps that it suits.
    pub in_use: Option<InUse>,
}

const DEFAULT_THRESHOLD: u32 = 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            dithering: gst_audio::AudioDitherMethod::Tpdf,
            dithering_threshold: DEFAULT_THRESHOLD,
            noise_shaping: gst_audio::AudioNoiseShapingMethod::None,
            mixing: Mixing::default(),
            in_use: None,
        }
    }
}

/// Their specifications, the shared ones of metrics aside.
pub fn properties() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    let coefficient = glib::ParamSpecFloat::builder("matrix-cols")
        .minimum(-1.0)
        .maximum(1.0)
        .nick("cols")
        .blurb("Gain of one input channel")
        .build();
    let row = gst::ParamSpecArray::builder("matrix-rows")
        .nick("rows")
        .blurb("Gains of all input channels in one output channel")
        .element_spec(&coefficient)
        .build();
    vec![
        glib::ParamSpecEnum::builder_with_default("dithering", defaults.dithering)
            .nick("Dithering")
            .blurb("Noise added before bits are given up")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("dithering-threshold")
            .nick("Dithering threshold")
            .blurb("Output depth in bits at and below which dithering and noise shaping apply")
            .maximum(32)
            .default_value(DEFAULT_THRESHOLD)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("noise-shaping", defaults.noise_shaping)
            .nick("Noise shaping")
            .blurb("Filter that moves the rounding noise to where it is heard less")
            .mutable_playing()
            .build(),
        gst::ParamSpecArray::builder("mix-matrix")
            .nick("Input/output channel matrix")
            .blurb(
                "Gains, a row of input channels for each output channel; an empty matrix is the \
                 identity, none at all the mix by channel positions",
            )
            .element_spec(&row)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default(
            "input-channels-reorder",
            defaults.mixing.reorder,
        )
        .nick("Input channels reorder")
        .blurb("Order of positions that input channels are taken to come in")
        .mutable_playing()
        .build(),
        glib::ParamSpecEnum::builder_with_default(
            "input-channels-reorder-mode",
            defaults.mixing.reorder_mode,
        )
        .nick("Input channels reorder mode")
        .blurb("When input-channels-reorder replaces the positions of the caps")
        .mutable_playing()
        .build(),
    ]
}

/// Rows of a matrix as GStreamer holds it; the matrix of one empty row is none at all.
pub fn matrix_from_value(value: &glib::Value) -> Result<Option<Vec<Vec<f32>>>, String> {
    let rows = value
        .get::<gst::ArrayRef>()
        .map_err(|_| "the matrix is no array of rows")?;
    let rows: Vec<Vec<f32>> = rows
        .iter()
        .map(|row| {
            let row = row
                .get::<gst::ArrayRef>()
                .map_err(|_| "a row of the matrix is no array")?;
            row.iter().map(|v| number(v)).collect()
        })
        .collect::<Result<_, String>>()?;
    Ok(match rows.first() {
        Some(first) if first.is_empty() => None,
        _ => Some(rows),
    })
}

fn number(value: &glib::Value) -> Result<f32, String> {
    if let Ok(v) = value.get::<f32>() {
        Ok(v)
    } else if let Ok(v) = value.get::<f64>() {
        Ok(v as f32)
    } else if let Ok(v) = value.get::<i32>() {
        Ok(v as f32)
    } else {
        Err(format!("{value:?} in the matrix is no number"))
    }
}

/// The reverse of [`matrix_from_value`].
pub fn matrix_to_value(rows: &[Vec<f32>]) -> glib::Value {
    gst::Array::new(rows.iter().map(|row| gst::Array::new(row.iter()))).to_value()
}

/// Why caps and properties make no conversion.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("the sample format {0} is not supported")]
    Format(gst_audio::AudioFormat),
    #[error("input at {input} Hz and output at {output} Hz: rates are not converted")]
    Rate { input: u32, output: u32 },
    #[error(transparent)]
    Matrix(#[from] MatrixError),
}

/// How samples described by `info` lie in memory.
pub fn side(info: &gst_audio::AudioInfo) -> Result<Side, SetupError> {
    Ok(Side {
        format: sample_format(info.format()).ok_or(SetupError::Format(info.format()))?,
        channels: info.channels() as usize,
        planar: info.layout() == gst_audio::AudioLayout::NonInterleaved,
    })
}

impl Settings {
    /// The mix that plays, where another has been set since.
    pub fn superseded(&self) -> Option<&InUse> {
        let in_use = self.in_use.as_ref();
        in_use.filter(|in_use| in_use.mixing != self.mixing)
    }

    /// The converter between two kinds of buffers; `seed` starts its dither noise. A mix that does
    /// not suit them leaves the one in use, where that does, and says why it waits.
    pub fn converter(
        &self,
        input: &gst_audio::AudioInfo,
        output: &gst_audio::AudioInfo,
        seed: u64,
    ) -> Result<(Converter, Option<MatrixError>), SetupError> {
        if input.rate() != output.rate() {
            return Err(SetupError::Rate {
                input: input.rate(),
                output: output.rate(),
            });
        }
        let (matrix, waits) = match self.mixing.between(input, output) {
            Ok(matrix) => (matrix, None),
            Err(refused) => {
                let before = self.superseded();
                let before = before.and_then(|b| b.mixing.between(input, output).ok());
                (before.ok_or_else(|| refused.clone())?, Some(refused))
            }
        };
        let (from, to) = (side(input)?, side(output)?);
        let quantisation = self.quantisation(output.rate());
        let converter = Converter::new(from, to, &matrix, quantisation, seed)?;
        Ok((converter, waits))
    }

    fn quantisation(&self, rate: u32) -> Quantisation {
        use gst_audio::{AudioDitherMethod as D, AudioNoiseShapingMethod as S};
        Quantisation {
            dither: match self.dithering {
                D::Rpdf => Dither::Rpdf,
                D::Tpdf => Dither::Tpdf,
                D::TpdfHf => Dither::TpdfHf,
                _ => Dither::None,
            },
            shaping: match self.noise_shaping {
                S::ErrorFeedback => NoiseShaping::ErrorFeedback,
                S::Simple => NoiseShaping::Simple,
                S::Medium => NoiseShaping::Medium,
                S::High => NoiseShaping::High,
                _ => NoiseShaping::None,
            },
            threshold: self.dithering_threshold,
            rate,
        }
    }
}
