//! The network that joins what we hear with what Silero's network makes of it: a dense layer, a long
//! short-term memory, a sum.

use std::sync::Arc;

use super::weights::{
    DENSE, Floats, GATES, INPUT, INPUTS, MEMORY, Matrix, OF_FRAME, OF_WINDOW, RECURRENT, model,
};
use crate::simd::Level;
use crate::simd::network::{self, BLOCK, Outputs};
use crate::vad::look_ahead::LookAhead;
use crate::vad::math::dot;
use crate::vad::model::{Matrices, Model};
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
    of_window: Outputs,
    dense: Outputs,
    gates: [f32; GATES],
    inputs: network::Inputs,
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
                of_window: [0.0; BLOCK],
                dense: [0.0; DENSE],
                gates: [0.0; GATES],
                inputs: network::Inputs::default(),
                hidden: [0.0; MEMORY],
                cell: [0.0; MEMORY],
            },
        }
    }

    /// Starts afresh.
    pub fn reset(&mut self) {
        self.state.of_window = [0.0; BLOCK];
        (self.state.hidden, self.state.cell) = ([0.0; MEMORY], [0.0; MEMORY]);
    }

    /// Takes the hidden state of Silero's network after a window.
    pub fn window(&mut self, hidden: &[f32; silero::Network::UNITS]) {
        match &*self.model {
            Model::Half(matrices, _) => self.state.window(matrices, hidden),
            Model::Single(matrices, _) => self.state.window(matrices, hidden),
        }
    }

    /// Takes the inputs of a frame; the logit of the frame that lies the look-ahead before it.
    pub fn frame(&mut self, x: &[f32; INPUTS]) -> f32 {
        match &*self.model {
            Model::Half(matrices, floats) => self.state.frame(matrices, floats, self.head, x),
            Model::Single(matrices, floats) => self.state.frame(matrices, floats, self.head, x),
        }
    }
}

impl State {
    fn window<W: Clone>(&mut self, matrices: &Matrices<W>, hidden: &[f32]) {
        self.of_window = [0.0; BLOCK];
        self.inputs.set(hidden);
        add(matrices, OF_WINDOW, &self.inputs, &mut self.of_window);
    }

    fn frame<W: Clone>(
        &mut self,
        matrices: &Matrices<W>,
        floats: &Floats,
        head: usize,
        x: &[f32; INPUTS],
    ) -> f32 {
        for ((y, bias), window) in self
            .dense
            .iter_mut()
            .zip(&floats.dense)
            .zip(&self.of_window)
        {
            *y = bias + window;
        }
        self.inputs.set(x);
        add(matrices, OF_FRAME, &self.inputs, &mut self.dense);
        self.dense.iter_mut().for_each(|y| *y = y.max(0.0));
        self.gates = floats.gates;
        self.inputs.set(&self.dense);
        add(matrices, INPUT, &self.inputs, &mut self.gates);
        self.inputs.set(&self.hidden);
        add(matrices, RECURRENT, &self.inputs, &mut self.gates);
        let gates = std::array::from_fn(|gate| &self.gates[gate * MEMORY..][..MEMORY]);
        (matrices.kernels.gates)(gates, &mut self.cell, &mut self.hidden);
        let head = &floats.heads[head];
        head.offset + dot(&self.hidden, &head.memory) + dot(x, &head.inputs)
    }
}

/// Adds what `inputs` give to all outputs of `matrix`.
fn add<W: Clone>(
    matrices: &Matrices<W>,
    matrix: Matrix,
    inputs: &network::Inputs,
    outputs: &mut [f32],
) {
    let outputs = outputs.as_chunks_mut().0;
    for (block, outputs) in matrix.blocks(matrices).zip(outputs) {
        (matrices.kernels.add)(block, inputs, outputs);
    }
}
