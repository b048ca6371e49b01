// SPDX-License-Identifier: MIT

//! Runs a node on the stream.

mod calls;
mod drain;
mod format;
mod report;
mod run;
mod state;

pub use state::{Context, Engine};
