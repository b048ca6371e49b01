//! What all elements share: metrics, timelines, format mapping.

pub mod format;
pub mod metrics;
pub mod speech;
pub mod timeline;
pub mod transform;
