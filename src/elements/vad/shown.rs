// SPDX-License-Identifier: MIT

//! What the read-only properties show; written by the streaming thread.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use gst::glib;
use gst::prelude::*;

use crate::dsp::vad::Frame;

#[derive(Default)]
pub struct Shown {
    speech: AtomicBool,
    probability: AtomicU32,
    noise_floor: AtomicU32,
}

impl Shown {
    /// Before the first frame; true where it is news that there is no speech.
    pub fn reset(&self) -> bool {
        self.probability.store(0f32.to_bits(), Relaxed);
        self.noise_floor.store((-120f32).to_bits(), Relaxed);
        self.set_speech(false)
    }

    pub fn set_frame(&self, frame: &Frame) {
        let store = |slot: &AtomicU32, x: f32| slot.store(x.to_bits(), Relaxed);
        store(&self.probability, frame.probability);
        store(&self.noise_floor, frame.noise_floor);
    }

    /// Takes up whether there is speech; true where that is news.
    pub fn set_speech(&self, speech: bool) -> bool {
        self.speech.swap(speech, Relaxed) != speech
    }

    /// Value of a property; `None` if `name` is none of these.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        let float = |bits: &AtomicU32| f64::from(f32::from_bits(bits.load(Relaxed)));
        Some(match name {
            "speech" => self.speech.load(Relaxed).to_value(),
            "probability" => float(&self.probability).to_value(),
            "noise-floor" => float(&self.noise_floor).to_value(),
            _ => return None,
        })
    }
}
