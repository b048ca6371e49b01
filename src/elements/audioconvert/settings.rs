// SPDX-License-Identifier: MIT

//! Properties, and the conversion that they and the caps ask for.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::mixing::{InUse, Mixes, Mixing};
use crate::dsp::convert::{Converter, Dither, MatrixError, NoiseShaping, Quantisation, Side};
use crate::elements::support::format::{layout, sample_format};
use crate::elements::support::metrics;
use crate::elements::support::properties::{Property, Table, choice, field, property};

/// The properties of the element.
#[derive(Clone, Debug)]
pub struct Settings {
    pub dithering: gst_audio::AudioDitherMethod,
    pub dithering_threshold: u32,
    pub noise_shaping: gst_audio::AudioNoiseShapingMethod,
    pub mixing: Mixing,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            dithering: gst_audio::AudioDitherMethod::Tpdf,
            dithering_threshold: 20,
            noise_shaping: gst_audio::AudioNoiseShapingMethod::None,
            mixing: Mixing::default(),
        }
    }
}

/// Each property once.
pub static PROPERTIES: LazyLock<Table<Settings>> = LazyLock::new(|| {
    Table::new(vec![
        choice("dithering", field!(Settings.dithering))
            .mutable_playing("Dithering", "Noise added before bits are given up"),
        property("dithering-threshold", field!(Settings.dithering_threshold))
            .within(0..=32)
            .mutable_playing(
                "Dithering threshold",
                "Output depth in bits at and below which dithering and noise shaping apply",
            ),
        choice("noise-shaping", field!(Settings.noise_shaping)).mutable_playing(
            "Noise shaping",
            "Filter that moves the rounding noise to where it is heard less",
        ),
        mix_matrix(),
        choice("input-channels-reorder", field!(Settings.mixing.reorder)).mutable_playing(
            "Input channels reorder",
            "Order of positions that input channels are taken to come in",
        ),
        choice(
            "input-channels-reorder-mode",
            field!(Settings.mixing.reorder_mode),
        )
        .mutable_playing(
            "Input channels reorder mode",
            "When input-channels-reorder replaces the positions of the caps",
        ),
    ])
    .and(metrics::properties("rustaudioconvert"))
});

fn mix_matrix() -> Property<Settings> {
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
    let matrix = gst::ParamSpecArray::builder("mix-matrix")
        .nick("Input/output channel matrix")
        .blurb(
            "Gains, a row of input channels for each output channel; an empty matrix is the \
             identity, none at all the mix by channel positions",
        )
        .element_spec(&row)
        .mutable_playing()
        .build();
    Property::by(
        matrix,
        |settings: &Settings| {
            matrix_to_value(settings.mixing.matrix.as_deref().unwrap_or_default())
        },
        |settings, value| {
            settings.mixing.matrix = matrix_from_value(value)?;
            Ok(())
        },
    )
}

/// Rows of a matrix as GStreamer holds it; the matrix of one empty row is none at all.
fn matrix_from_value(value: &glib::Value) -> Result<Option<Vec<Vec<f32>>>, String> {
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
fn matrix_to_value(rows: &[Vec<f32>]) -> glib::Value {
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
        layout: layout(info),
    })
}

impl Settings {
    /// The converter between two kinds of buffers, of which `in_use` is the mix that plays; `seed`
    /// starts its dither noise. Why the mix that was set waits, if it does, comes with it.
    pub fn converter(
        &self,
        in_use: Option<&InUse>,
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
        let (matrix, waits) = Mixes::new(&self.mixing, in_use).between(input, output)?;
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
