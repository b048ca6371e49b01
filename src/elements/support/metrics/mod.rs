// SPDX-License-Identifier: MIT

//! The metrics of an element: its four shared properties and its bus messages.

mod publisher;
mod recording;
mod segments;
mod settings;
mod stall;

pub use recording::{ElementMetrics, Stopwatch, span};
pub use settings::properties;

#[cfg(test)]
mod tests;
