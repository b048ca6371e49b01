// SPDX-License-Identifier: MIT

//! The four elements together: exact expectations, and the demo's line as a user runs it.

#[path = "../common/mod.rs"]
mod common;

mod backwards;
mod caps;
mod exact;
mod examples;
mod harness;
mod inspect;
mod launch;
mod log;
mod properties;
mod simd;
mod stall;
mod unread;
