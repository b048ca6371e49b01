// SPDX-License-Identifier: MIT

//! `rustaudioconvert`, beside `audioconvert` where that is right.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/stock.rs"]
mod stock;

mod element;
mod faults;
mod matrix;
mod mixes;
mod negotiation;
