// SPDX-License-Identifier: MIT

//! What the properties say of channels, and the mix that they make between two sides.

use gst::glib;

use crate::dsp::convert::{ChannelOrder, Channels, Matrix, MatrixError, Position};

/// Which positions channels are given, by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRustAudioConvertInputChannelsReorder")]
#[repr(i32)]
pub enum ChannelsReorder {
    #[default]
    #[enum_value(
        name = "Reorder the input channels using the default GStreamer order",
        nick = "gst"
    )]
    Gst,
    #[enum_value(
        name = "Reorder the input channels using the SMPTE order",
        nick = "smpte"
    )]
    Smpte,
    #[enum_value(
        name = "Reorder the input channels using the CINE order",
        nick = "cine"
    )]
    Cine,
    #[enum_value(name = "Reorder the input channels using the AC3 order", nick = "ac3")]
    Ac3,
    #[enum_value(name = "Reorder the input channels using the AAC order", nick = "aac")]
    Aac,
    #[enum_value(
        name = "Reorder and mix all input channels to a single mono channel",
        nick = "mono"
    )]
    Mono,
    #[enum_value(
        name = "Reorder and mix all input channels to a single left and a single right stereo \
                channels alternately",
        nick = "alternate"
    )]
    Alternate,
}

/// When input channels are given positions by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRustAudioConvertInputChannelsReorderMode")]
#[repr(i32)]
pub enum ChannelsReorderMode {
    #[default]
    #[enum_value(name = "Never reorder the input channels", nick = "none")]
    None,
    #[enum_value(
        name = "Reorder the input channels only if they are unpositioned",
        nick = "unpositioned"
    )]
    Unpositioned,
    #[enum_value(
        name = "Always reorder the input channels according to the selected configuration",
        nick = "force"
    )]
    Force,
}

/// The properties that decide how channels are mixed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixing {
    /// Rows of coefficients; empty for the identity, `None` for the mix by position.
    pub matrix: Option<Vec<Vec<f32>>>,
    pub reorder: ChannelsReorder,
    pub reorder_mode: ChannelsReorderMode,
}

impl Mixing {
    /// Input channels that the matrix is for, if it says so.
    pub fn inputs(&self) -> Option<i32> {
        let row = self.matrix.as_ref()?.first()?;
        i32::try_from(row.len()).ok()
    }

    /// Output channels that the matrix makes, if it says so.
    pub fn outputs(&self) -> Option<i32> {
        let rows = self.matrix.as_ref()?.len();
        i32::try_from(rows).ok().filter(|rows| *rows > 0)
    }

    /// Whether channels of unknown positions on the side of `direction` can be mixed to any number.
    pub fn places_unpositioned(&self, direction: gst::PadDirection) -> bool {
        self.matrix.is_some()
            || direction == gst::PadDirection::Sink
                && self.reorder_mode != ChannelsReorderMode::None
    }

    /// The mix of `input` to `output`.
    pub fn between(
        &self,
        input: &gst_audio::AudioInfo,
        output: &gst_audio::AudioInfo,
    ) -> Result<Matrix, MatrixError> {
        let (inputs, outputs) = (input.channels() as usize, output.channels() as usize);
        let matrix = match &self.matrix {
            Some(rows) if rows.is_empty() => Matrix::identity(inputs, outputs),
            Some(rows) => Matrix::from_rows(rows)?,
            None => Matrix::between(&self.positions(input), &channels(output))?,
        };
        matrix.check(inputs, outputs)?;
        Ok(matrix)
    }

    /// Why `inputs` channels, of positions that are not known on either side, make no `outputs`.
    pub fn refusal(&self, inputs: usize, outputs: usize) -> Option<MatrixError> {
        let Some(rows) = self.matrix.as_ref().filter(|rows| !rows.is_empty()) else {
            return (inputs != outputs).then_some(MatrixError::Unpositioned { inputs, outputs });
        };
        let (rows, columns) = (rows.len(), rows[0].len());
        let shape = MatrixError::Shape {
            rows,
            columns,
            outputs,
            inputs,
        };
        ((rows, columns) != (outputs, inputs)).then_some(shape)
    }

    fn positions(&self, input: &gst_audio::AudioInfo) -> Channels {
        let from = channels(input);
        let unpositioned = matches!(from, Channels::Unpositioned(_));
        if self.reorder_mode == ChannelsReorderMode::Force
            || self.reorder_mode == ChannelsReorderMode::Unpositioned && unpositioned
        {
            return Channels::Positioned(self.order().positions(from.count()));
        }
        from
    }

    fn order(&self) -> ChannelOrder {
        match self.reorder {
            ChannelsReorder::Gst => ChannelOrder::Gst,
            ChannelsReorder::Smpte => ChannelOrder::Smpte,
            ChannelsReorder::Cine => ChannelOrder::Cine,
            ChannelsReorder::Ac3 => ChannelOrder::Ac3,
            ChannelsReorder::Aac => ChannelOrder::Aac,
            ChannelsReorder::Mono => ChannelOrder::Mono,
            ChannelsReorder::Alternate => ChannelOrder::Alternate,
        }
    }
}

/// The mix of the stream that plays, and the channels that it is between.
#[derive(Clone, Debug)]
pub struct InUse {
    pub mixing: Mixing,
    pub inputs: i32,
    pub outputs: i32,
}

/// The mix that was set last, and the one that plays, where that is another: the last waits there for caps
/// that it suits.
#[derive(Clone, Copy, Debug)]
pub struct Mixes<'a> {
    pub set: &'a Mixing,
    pub before: Option<&'a InUse>,
}

impl<'a> Mixes<'a> {
    pub fn new(set: &'a Mixing, in_use: Option<&'a InUse>) -> Self {
        Self {
            set,
            before: in_use.filter(|in_use| in_use.mixing != *set),
        }
    }

    /// The mix of `input` to `output`. The last that was set, where it does not suit them, leaves the one
    /// that plays, where that does, and says why it waits.
    pub fn between(
        &self,
        input: &gst_audio::AudioInfo,
        output: &gst_audio::AudioInfo,
    ) -> Result<(Matrix, Option<MatrixError>), MatrixError> {
        match self.set.between(input, output) {
            Ok(matrix) => Ok((matrix, None)),
            Err(refused) => {
                let before = self.before;
                let before = before.and_then(|b| b.mixing.between(input, output).ok());
                Ok((before.ok_or_else(|| refused.clone())?, Some(refused)))
            }
        }
    }
}

fn channels(info: &gst_audio::AudioInfo) -> Channels {
    use gst::glib::translate::IntoGlib;
    match info.positions() {
        Some(positions) => Channels::Positioned(
            positions
                .iter()
                .map(|p| match p.into_glib() {
                    // GST_AUDIO_CHANNEL_POSITION_MONO
                    -2 => Position::Mono,
                    bit if (0..64).contains(&bit) => Position::from_mask(1 << bit)[0],
                    _ => Position::Invalid,
                })
                .collect(),
        ),
        None => Channels::Unpositioned(info.channels() as usize),
    }
}
