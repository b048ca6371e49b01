// SPDX-License-Identifier: MIT

//! What all elements share: metrics, messages, timelines, format mapping.

pub mod format;
pub mod frames;
pub mod metas;
pub mod metrics;
pub mod pads;
pub mod properties;
pub mod speech;
pub mod timeline;
pub mod transform;
pub mod unread;
pub mod watch;
