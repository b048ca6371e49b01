// SPDX-License-Identifier: MIT

//! The network that joins what we hear with what Silero's network makes of it: a dense layer, a long
//! short-term memory, a sum.

use std::sync::Arc;

use super::weights::{DENSE, Floats, INPUT, INPUTS, MEMORY, OF_FRAME, OF_WINDOW, RECURRENT, model};
use crate::simd::Level;
use crate::simd::network::{Inputs, greatest};
use crate::vad::look_ahead::LookAhead;
use crate::vad::math::dot;
use crate::vad::model::Model;
use crate::vad::silero;

/// The head's state. No frame allocates.
pub struct Head {
    model: Arc<Model<Floats>>,
    /// Which of the model's heads is asked.
    head: usize,
    state: State,
}

struct State {
    /// What Silero's newest window gives to the dense layer.
    of_window: [f32; DENSE],
    hidden: [f32; MEMORY],
    cell: [f32; MEMORY],
}

impl Head {
    /// For decisions `look_ahead` later than their frame, with the instruction set `level`, which
    /// this machine must have.
    pub fn at(level: Level, look_ahead: LookAhead) -> Self {
        Self {
            model: model(level),
            head: match look_ahead {
                LookAhead::None => 0,
                LookAhead::Short => 1,
                LookAhead::Medium => 2,
                LookAhead::Long => 3,
            },
            state: State {
                of_window: [0.0; DENSE],
                hidden: [0.0; MEMORY],
                cell: [0.0; MEMORY],
            },
        }
    }

    /// Starts afresh.
    pub fn reset(&mut self) {
        self.state.of_window = [0.0; DENSE];
        (self.state.hidden, self.state.cell) = ([0.0; MEMORY], [0.0; MEMORY]);
    }

    /// Takes the hidden state of Silero's network after a window.
    #[inline(always)]
    pub fn window(&mut self, hidden: &[f32; silero::Network::UNITS]) {
        self.state.window(&self.model, hidden);
    }

    /// Takes the inputs of a frame; the logit of the frame that lies the look-ahead before it.
    #[inline(always)]
    pub fn frame(&mut self, x: &[f32; INPUTS]) -> f32 {
        self.state.frame(&self.model, self.head, x)
    }
}

impl State {
    #[inline(always)]
    fn window(&mut self, model: &Model<Floats>, hidden: &[f32]) {
        self.of_window = [0.0; DENSE];
        let mut inputs = Inputs::default();
        inputs.set(hidden, 1.0);
        let scales = &model.floats.scales.of_window;
        model.add_to(OF_WINDOW, &inputs, scales, &mut self.of_window);
    }

    #[inline(always)]
    fn frame(&mut self, model: &Model<Floats>, head: usize, x: &[f32; INPUTS]) -> f32 {
        let floats = &model.floats;
        let (mut dense, mut gates) = (floats.dense, floats.gates);
        for (y, window) in dense.iter_mut().zip(&self.of_window) {
            *y += window;
        }
        let mut inputs = Inputs::default();
        inputs.set(x, greatest(x));
        let scales = &floats.scales;
        model.add_to(OF_FRAME, &inputs, &scales.of_frame, &mut dense);
        dense.iter_mut().for_each(|y| *y = y.max(0.0));
        inputs.set(&dense, greatest(&dense));
        model.add_to(INPUT, &inputs, &scales.input, &mut gates);
        inputs.set(&self.hidden, 1.0);
        model.add_to(RECURRENT, &inputs, &scales.recurrent, &mut gates);
        let gates = std::array::from_fn(|gate| &gates[gate * MEMORY..][..MEMORY]);
        (model.kernels.gates)(gates, &mut self.cell, &mut self.hidden);
        let head = &floats.heads[head];
        head.offset + dot(&self.hidden, &head.memory) + dot(x, &head.inputs)
    }
}
