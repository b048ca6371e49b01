// SPDX-License-Identifier: MIT

//! `rustresample` as an element: against `audioresample`, and where that is wrong.

#[path = "../common/mod.rs"]
mod common;

mod dropin;
mod faults;
mod flow;
mod formats;
mod properties;
mod rig;
