//! Silero's voice activity detector: its network in plain Rust, its weights in `weights.bin`.
//!
//! Network and weights are of <https://github.com/snakers4/silero-vad>, MIT, notice in `LICENSE`
//! beside this file.

mod network;
mod weights;

pub use network::Network;
