// SPDX-License-Identifier: MIT

//! What `rustvad` posts on the bus and sends in band.

use gst::glib;

use crate::elements::support::timeline::running_time_full;

/// Name of the message and in-band event at each edge of a segment.
pub const CHANGE_NAME: &str = "rustvad";
/// Name of the message per 10 ms frame.
pub const FRAME_NAME: &str = "rustvad-frame";

/// A structure that is not the message it should be.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("structure is called {found}, not {expected}")]
    Name {
        found: String,
        expected: &'static str,
    },
    #[error("field {0} is missing or of another type")]
    Field(&'static str),
}

/// One moment, in ns; `None` (in the structure `u64::MAX`, `GST_CLOCK_TIME_NONE`) where it is not
/// known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// As buffers count: `timestamp`.
    pub timestamp: Option<gst::ClockTime>,
    pub stream_time: Option<gst::ClockTime>,
    pub running_time: Option<gst::ClockTime>,
}

impl Times {
    /// The moment `timestamp` in `segment`. Sources round: an edge may lie a little outside the
    /// segment, and has its times all the same; before time 0 there is none but that.
    pub fn new(
        timestamp: Option<gst::ClockTime>,
        segment: &gst::FormattedSegment<gst::ClockTime>,
    ) -> Self {
        let known = |t: Option<gst::Signed<gst::ClockTime>>| {
            t.map(|t| t.positive().unwrap_or(gst::ClockTime::ZERO))
        };
        Self {
            timestamp,
            stream_time: known(timestamp.and_then(|t| segment.to_stream_time_full(t))),
            running_time: known(timestamp.and_then(|t| running_time_full(segment, t))),
        }
    }

    fn write(&self, builder: gst::structure::Builder) -> gst::structure::Builder {
        let ns = |t: Option<gst::ClockTime>| t.map_or(u64::MAX, gst::ClockTime::nseconds);
        builder
            .field("timestamp", ns(self.timestamp))
            .field("stream-time", ns(self.stream_time))
            .field("running-time", ns(self.running_time))
    }

    fn read(s: &gst::StructureRef) -> Result<Self, MessageError> {
        let time = |name| -> Result<_, MessageError> {
            let ns = field::<u64>(s, name)?;
            Ok((ns != u64::MAX).then(|| gst::ClockTime::from_nseconds(ns)))
        };
        Ok(Self {
            timestamp: time("timestamp")?,
            stream_time: time("stream-time")?,
            running_time: time("running-time")?,
        })
    }
}

fn field<'a, T: glib::value::FromValue<'a>>(
    s: &'a gst::StructureRef,
    name: &'static str,
) -> Result<T, MessageError> {
    s.get(name).map_err(|_| MessageError::Field(name))
}

fn named(s: &gst::StructureRef, expected: &'static str) -> Result<(), MessageError> {
    if s.name() == expected {
        return Ok(());
    }
    Err(MessageError::Name {
        found: s.name().to_string(),
        expected,
    })
}

/// Start or end of a segment of speech:
///
/// ```text
/// rustvad, speech=(boolean), probability=(double) 0..1, level=(double) dBFS,
///   noise-floor=(double) dBFS, timestamp=(guint64) ns, stream-time=(guint64) ns,
///   running-time=(guint64) ns, duration=(guint64) ns, segment=(guint64), timed-out=(boolean),
///   at an end also segment-level=(double) dBFS, segment-probability=(double) 0..1
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VadChange {
    /// True where speech starts.
    pub speech: bool,
    /// Of the frame at the change, padding left out, 0 to 1.
    pub probability: f64,
    /// Of that frame, in dBFS.
    pub level: f64,
    /// In dBFS.
    pub noise_floor: f64,
    /// Of the change itself, padding included.
    pub times: Times,
    /// Length of the segment that ended; zero at a start.
    pub duration: gst::ClockTime,
    /// Number of the segment, from 1.
    pub segment: u64,
    /// The segment ended because no more data came.
    pub timed_out: bool,
    /// Level of the whole segment that ended, padding included, in dBFS; `None` at a start, where
    /// the structure has no such field.
    pub segment_level: Option<f64>,
    /// Mean probability of its frames, padding included; `None` at a start, likewise.
    pub segment_probability: Option<f64>,
}

impl From<VadChange> for gst::Structure {
    fn from(c: VadChange) -> Self {
        let builder = gst::Structure::builder(CHANGE_NAME)
            .field("speech", c.speech)
            .field("probability", c.probability)
            .field("level", c.level)
            .field("noise-floor", c.noise_floor);
        c.times
            .write(builder)
            .field("duration", c.duration.nseconds())
            .field("segment", c.segment)
            .field("timed-out", c.timed_out)
            .field_if_some("segment-level", c.segment_level)
            .field_if_some("segment-probability", c.segment_probability)
            .build()
    }
}

impl TryFrom<&gst::StructureRef> for VadChange {
    type Error = MessageError;

    fn try_from(s: &gst::StructureRef) -> Result<Self, MessageError> {
        named(s, CHANGE_NAME)?;
        Ok(Self {
            speech: field(s, "speech")?,
            probability: field(s, "probability")?,
            level: field(s, "level")?,
            noise_floor: field(s, "noise-floor")?,
            times: Times::read(s)?,
            duration: gst::ClockTime::from_nseconds(field(s, "duration")?),
            segment: field(s, "segment")?,
            timed_out: field(s, "timed-out")?,
            segment_level: s.get("segment-level").ok(),
            segment_probability: s.get("segment-probability").ok(),
        })
    }
}

/// One frame of 10 ms:
///
/// ```text
/// rustvad-frame, timestamp=(guint64) ns, stream-time=(guint64) ns, running-time=(guint64) ns,
///   duration=(guint64) ns, probability=(double) 0..1, speech=(boolean), level=(double) dBFS,
///   noise-floor=(double) dBFS
/// ```
///
/// and `score-NAME=(double)` for each score of the detector, which are not kept here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VadFrame {
    /// Of the start of the frame.
    pub times: Times,
    pub duration: gst::ClockTime,
    pub probability: f64,
    /// In a segment, as far as known with this frame: padding at a start is told by `rustvad`.
    pub speech: bool,
    pub level: f64,
    pub noise_floor: f64,
}

impl From<VadFrame> for gst::Structure {
    fn from(f: VadFrame) -> Self {
        f.times
            .write(gst::Structure::builder(FRAME_NAME))
            .field("duration", f.duration.nseconds())
            .field("probability", f.probability)
            .field("speech", f.speech)
            .field("level", f.level)
            .field("noise-floor", f.noise_floor)
            .build()
    }
}

impl TryFrom<&gst::StructureRef> for VadFrame {
    type Error = MessageError;

    fn try_from(s: &gst::StructureRef) -> Result<Self, MessageError> {
        named(s, FRAME_NAME)?;
        Ok(Self {
            times: Times::read(s)?,
            duration: gst::ClockTime::from_nseconds(field(s, "duration")?),
            probability: field(s, "probability")?,
            speech: field(s, "speech")?,
            level: field(s, "level")?,
            noise_floor: field(s, "noise-floor")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        gst::init().unwrap();
        let times = Times {
            timestamp: Some(gst::ClockTime::from_mseconds(1230)),
            stream_time: Some(gst::ClockTime::from_mseconds(230)),
            running_time: None,
        };
        let change = VadChange {
            speech: false,
            probability: 0.25,
            level: -31.5,
            noise_floor: -60.0,
            times,
            duration: gst::ClockTime::from_mseconds(700),
            segment: 3,
            timed_out: true,
            segment_level: Some(-28.5),
            segment_probability: Some(0.9375),
        };
        let s = gst::Structure::from(change);
        assert_eq!(s.get::<u64>("running-time").unwrap(), u64::MAX);
        assert_eq!(VadChange::try_from(s.as_ref()).unwrap(), change);
        let start = VadChange {
            segment_level: None,
            segment_probability: None,
            ..change
        };
        let begun = gst::Structure::from(start);
        assert!(!begun.has_field("segment-level"));
        assert!(!begun.has_field("segment-probability"));
        assert_eq!(VadChange::try_from(begun.as_ref()).unwrap(), start);
        let frame = VadFrame {
            times,
            duration: gst::ClockTime::from_mseconds(10),
            probability: 0.75,
            speech: true,
            level: -20.0,
            noise_floor: -70.0,
        };
        let f = gst::Structure::from(frame);
        assert_eq!(VadFrame::try_from(f.as_ref()).unwrap(), frame);
        assert!(matches!(
            VadFrame::try_from(s.as_ref()),
            Err(MessageError::Name { .. })
        ));
        let mut broken = s.clone();
        broken.remove_field("segment");
        assert!(matches!(
            VadChange::try_from(broken.as_ref()),
            Err(MessageError::Field("segment"))
        ));
    }
}
