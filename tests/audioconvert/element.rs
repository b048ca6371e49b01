// SPDX-License-Identifier: MIT

//! The element in pipelines and harnesses: data, flags, timestamps, properties while playing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use gst::prelude::*;
use gst_base::prelude::*;
use gst_check::Harness;

use crate::common::{assert_continuous, capture, init, launch, play_ok, structures};

/// A harness of `line` between two caps.
pub fn harness(line: &str, from: &str, to: &str) -> Harness {
    init();
    // Parsed by itself, so that the element is no bin around it.
    let element = gst::parse::launch(line).unwrap();
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_caps_str(from, to);
    h
}

pub fn buffer(data: &[u8], pts: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(data.to_vec());
    buffer
        .get_mut()
        .unwrap()
        .set_pts(gst::ClockTime::from_mseconds(pts));
    buffer
}

pub fn bytes(buffer: &gst::Buffer) -> Vec<u8> {
    buffer.map_readable().unwrap().to_vec()
}

const STEREO: &str = "rate=48000,channels=2,channel-mask=(bitmask)0x3,layout=interleaved";

fn caps(format: &str) -> String {
    format!("audio/x-raw,format={format},{STEREO}")
}

#[test]
fn samples_timestamps_and_metadata_come_through() {
    let mut h = harness("rustaudioconvert", &caps("S16LE"), &caps("F32LE"));
    let data: Vec<u8> = [0i16, 16384, -32768, 32767]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let mut input = buffer(&data, 20);
    {
        let input = input.get_mut().unwrap();
        input.set_duration(gst::ClockTime::from_nseconds(41_667));
        input.set_offset(77);
        input.set_flags(gst::BufferFlags::DISCONT);
        gst::ReferenceTimestampMeta::add(
            input,
            &gst::Caps::new_empty_simple("timestamp/x-test"),
            gst::ClockTime::SECOND,
            None,
        );
    }
    let out = h.push_and_pull(input).unwrap();
    let want: Vec<u8> = [0f32, 0.5, -1.0, 32767.0 / 32768.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    assert_eq!(bytes(&out), want);
    assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(20)));
    assert_eq!(out.duration(), Some(gst::ClockTime::from_nseconds(41_667)));
    assert!(out.flags().contains(gst::BufferFlags::DISCONT));
    assert!(out.meta::<gst::ReferenceTimestampMeta>().is_some());
    assert!(out.meta::<gst_audio::AudioMeta>().is_none());
}

#[test]
fn equal_caps_pass_the_buffer_itself() {
    let mut h = harness("rustaudioconvert", &caps("S16LE"), &caps("S16LE"));
    let input = buffer(&[1, 2, 3, 4], 0);
    let address = input.as_ptr();
    let out = h.push_and_pull(input).unwrap();
    assert_eq!(out.as_ptr(), address);
    assert!(
        h.element()
            .unwrap()
            .downcast::<gst_base::BaseTransform>()
            .unwrap()
            .is_passthrough()
    );
}

#[test]
fn byte_order_changes_in_place_where_the_buffer_allows() {
    let mut h = harness("rustaudioconvert", &caps("S16BE"), &caps("S16LE"));
    let input = buffer(&[1, 2, 3, 4], 0);
    let address = input.map_readable().unwrap().as_ptr();
    let out = h.push_and_pull(input).unwrap();
    assert_eq!(bytes(&out), [2, 1, 4, 3]);
    assert_eq!(out.map_readable().unwrap().as_ptr(), address);
    // Somebody else holds this one: it must stay as it is.
    let shared = buffer(&[5, 6, 7, 8], 1);
    let out = h.push_and_pull(shared.clone()).unwrap();
    assert_eq!(bytes(&out), [6, 5, 8, 7]);
    assert_eq!(bytes(&shared), [5, 6, 7, 8]);
}

#[test]
fn gaps_become_silence_and_stay_gaps() {
    for (from, to, silence) in [
        ("S16LE", "U8", 0x80),
        ("S16BE", "S16LE", 0),
        ("F32LE", "S16LE", 0),
    ] {
        let mut h = harness(
            "rustaudioconvert noise-shaping=high",
            &caps(from),
            &caps(to),
        );
        let mut input = buffer(&[9; 160], 0);
        input.get_mut().unwrap().set_flags(gst::BufferFlags::GAP);
        let frames = 160 / if from == "F32LE" { 8 } else { 4 };
        let out = h.push_and_pull(input).unwrap();
        let size = if to == "U8" { 2 } else { 4 };
        assert_eq!(bytes(&out), vec![silence; frames * size], "{from} to {to}");
        assert!(out.flags().contains(gst::BufferFlags::GAP));
    }
}

#[test]
fn buffers_of_nothing_pass() {
    let mut h = harness("rustaudioconvert", &caps("S16LE"), &caps("F32LE"));
    let out = h.push_and_pull(buffer(&[], 3)).unwrap();
    assert_eq!(
        (out.size(), out.pts()),
        (0, Some(gst::ClockTime::from_mseconds(3)))
    );
}

#[test]
fn planes_are_found_where_their_meta_says() {
    let planar = "audio/x-raw,format=S16LE,rate=48000,channels=2,channel-mask=(bitmask)0x3,layout=non-interleaved";
    let mut h = harness("rustaudioconvert", planar, &caps("S16LE"));
    // Two frames: right first, a hole, then left.
    let mut input = buffer(&[21, 0, 22, 0, 99, 99, 99, 99, 11, 0, 12, 0], 0);
    let info = gst_audio::AudioInfo::from_caps(&planar.parse::<gst::Caps>().unwrap()).unwrap();
    gst_audio::AudioMeta::add(input.get_mut().unwrap(), &info, 2, &[8, 0]).unwrap();
    let out = h.push_and_pull(input).unwrap();
    assert_eq!(bytes(&out), [11, 0, 21, 0, 12, 0, 22, 0]);
    assert!(out.meta::<gst_audio::AudioMeta>().is_none());

    let mut h = harness("rustaudioconvert", &caps("S16LE"), planar);
    let out = h
        .push_and_pull(buffer(&[1, 0, 2, 0, 3, 0, 4, 0], 0))
        .unwrap();
    assert_eq!(bytes(&out), [1, 0, 3, 0, 2, 0, 4, 0]);
    let meta = out.meta::<gst_audio::AudioMeta>().unwrap();
    assert_eq!((meta.samples(), meta.offsets()), (2, &[0, 4][..]));
    assert_eq!(meta.info().layout(), gst_audio::AudioLayout::NonInterleaved);
}

#[test]
fn what_lies_outside_the_segment_is_clipped() {
    let mut h = harness("rustaudioconvert", &caps("S16LE"), &caps("F32LE"));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_mseconds(10));
    segment.set_stop(gst::ClockTime::from_mseconds(30));
    assert!(h.push_event(gst::event::Segment::new(&segment)));
    let data = vec![1; 4 * 960];
    let out = h.push_and_pull(buffer(&data, 0)).unwrap();
    assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(10)));
    assert_eq!(out.size(), 480 * 8);
    assert_eq!(h.push(buffer(&data, 40)), Ok(gst::FlowSuccess::Ok));
    assert_eq!(h.buffers_in_queue(), 0);
    let stats = h.element().unwrap().property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-buffers"), Ok(1));
    assert_eq!(stats.get::<u64>("num-dropped"), Ok(1));
}

/// One that is missing becomes that of the frames, also where nothing is to be done.
#[test]
fn durations_are_those_of_audioconvert() {
    init();
    let ms = gst::ClockTime::from_mseconds;
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(5));
    segment.set_stop(ms(55));
    for to in ["S16LE", "S16BE", "F32LE"] {
        let run = |factory: &str| {
            let mut h = harness(factory, &caps("S16LE"), &caps(to));
            assert!(h.push_event(gst::event::Segment::new(&segment)));
            let ten = Some(ms(10));
            for (pts, duration) in [
                (Some(ms(0)), None),
                (Some(ms(10)), None),
                (Some(ms(20)), ten),
                (Some(ms(30)), Some(ms(3))),
                (None, None),
                (None, ten),
                (Some(ms(50)), None),
                (Some(ms(60)), None),
            ] {
                // The time of 482 is no whole number of nanoseconds.
                let frames = if pts == Some(ms(10)) { 482 } else { 480 };
                let mut input = buffer(&vec![1; 4 * frames], 0);
                let inside = input.get_mut().unwrap();
                inside.set_pts(pts);
                inside.set_duration(duration);
                h.push(input).unwrap();
            }
            let out = std::iter::from_fn(|| h.try_pull());
            out.map(|b| (b.pts(), b.duration(), b.size()))
                .collect::<Vec<_>>()
        };
        let (got, mut stock) = (run("rustaudioconvert"), run("audioconvert"));
        // Stock leaves it out where something is cut off.
        for clipped in [0, 6] {
            assert_eq!(stock[clipped].1, None);
            stock[clipped].1 = Some(ms(5));
        }
        assert_eq!(got, stock, "{to}");
        assert_eq!(
            (got.len(), got[1].1),
            (7, Some(gst::ClockTime::from_nseconds(10_041_666)))
        );
    }
}

#[test]
fn a_pipeline_conserves_samples_time_and_counts_them() {
    let pipeline = launch(
        "audiotestsrc num-buffers=50 samplesperbuffer=441 wave=pink-noise \
         ! audio/x-raw,format=F64LE,rate=44100,channels=6,channel-mask=(bitmask)0x3f \
         ! rustaudioconvert name=c ! audio/x-raw,format=S24BE,channels=2,layout=non-interleaved \
         ! fakesink name=sink",
    );
    let kept = capture(&pipeline, "sink");
    let messages = play_ok(&pipeline);
    let buffers = kept.lock().unwrap();
    assert_eq!(buffers.len(), 50);
    assert!(buffers.iter().all(|b| b.size() == 441 * 6));
    assert_continuous(&buffers, gst::ClockTime::ZERO);
    let metrics: Vec<_> = structures(&messages, "rustaudio-metrics").collect();
    assert_eq!(metrics.len(), 1);
    let last = metrics[0];
    assert_eq!(last.get::<bool>("final"), Ok(true));
    assert_eq!(last.get::<&str>("factory"), Ok("rustaudioconvert"));
    assert_eq!(last.get::<u64>("num-buffers"), Ok(50));
    assert_eq!(last.get::<u64>("num-samples"), Ok(50 * 441));
    assert_eq!(last.get::<u64>("num-errors"), Ok(0));
}

fn set_matrix(element: &gst::Element, matrix: &str) {
    element.set_property_from_str("mix-matrix", matrix);
}

fn s16(values: &[i16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn a_matrix_changes_while_playing_by_property_and_by_event() {
    let mut h = harness(
        "rustaudioconvert dithering=none",
        &caps("S16LE"),
        &caps("S16LE"),
    );
    let input = s16(&[1000, -2000]);
    let element = h.element().unwrap();
    let push = |h: &mut Harness| bytes(&h.push_and_pull(buffer(&input, 0)).unwrap());
    assert_eq!(push(&mut h), s16(&[1000, -2000]));
    set_matrix(
        &element,
        "<<(float)0.0,(float)1.0>,<(float)1.0,(float)0.0>>",
    );
    assert_eq!(push(&mut h), s16(&[-2000, 1000]));
    set_matrix(
        &element,
        "<<(float)0.5,(float)0.5>,<(float)0.5,(float)-0.5>>",
    );
    assert_eq!(push(&mut h), s16(&[-500, 1500]));

    let rows = gst::Array::new([gst::Array::new([0f32, 0.0]), gst::Array::new([0f32, 1.0])]);
    let event = gst::event::CustomUpstream::new(
        gst::Structure::builder("GstRequestAudioMixMatrix")
            .field("matrix", &rows)
            .build(),
    );
    assert!(element.static_pad("src").unwrap().send_event(event));
    assert_eq!(push(&mut h), s16(&[0, -2000]));
    // One that is none is refused, and nobody is told of a change.
    let changes = Arc::new(AtomicU32::new(0));
    let count = changes.clone();
    element.connect_notify(Some("mix-matrix"), move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for ask in [
        gst::Structure::builder("GstRequestAudioMixMatrix")
            .field("matrix", gst::Array::new([gst::Array::new(["loud"])]))
            .build(),
        gst::Structure::new_empty("GstRequestAudioMixMatrix"),
    ] {
        let event = gst::event::CustomUpstream::new(ask);
        assert!(!element.static_pad("src").unwrap().send_event(event));
    }
    assert_eq!(changes.load(Ordering::Relaxed), 0);
    let held = element.property_value("mix-matrix");
    assert_eq!(
        held.get::<gst::Array>().unwrap()[1]
            .get::<gst::Array>()
            .unwrap()[1]
            .get::<f32>(),
        Ok(1.0)
    );
    // The identity again, and nothing left to do.
    set_matrix(&element, "<>");
    assert_eq!(push(&mut h), s16(&[1000, -2000]));
    let same = buffer(&input, 0);
    let address = same.as_ptr();
    assert_eq!(h.push_and_pull(same).unwrap().as_ptr(), address);
}

/// Texts of the messages of `kind` on `bus`.
fn told(bus: &gst::Bus, kind: gst::MessageType) -> Vec<String> {
    std::iter::from_fn(|| bus.pop_filtered(&[kind]))
        .filter_map(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            gst::MessageView::Warning(w) => Some(w.error().to_string()),
            _ => None,
        })
        .collect()
}

fn with_bus(h: &Harness) -> gst::Bus {
    let bus = gst::Bus::new();
    h.element().unwrap().set_bus(Some(&bus));
    bus
}

#[test]
fn a_matrix_waits_for_the_input_that_it_is_for() {
    let mut h = harness(
        "rustaudioconvert dithering=none",
        &caps("S16LE"),
        &caps("S16LE"),
    );
    let bus = with_bus(&h);
    let element = h.element().unwrap();
    let input = s16(&[1000, -2000]);
    assert_eq!(bytes(&h.push_and_pull(buffer(&input, 0)).unwrap()), input);
    let three = "<<(float)0.0,(float)0.0,(float)1.0>,<(float)0.5,(float)0.5,(float)0.0>>";
    set_matrix(&element, three);
    for _ in 0..3 {
        assert_eq!(bytes(&h.push_and_pull(buffer(&input, 0)).unwrap()), input);
    }
    let new =
        "audio/x-raw,format=S16LE,rate=48000,channels=3,channel-mask=(bitmask)7,layout=interleaved";
    h.set_src_caps_str(new);
    let out = h.push_and_pull(buffer(&s16(&[1000, 3000, 7]), 1)).unwrap();
    assert_eq!(bytes(&out), s16(&[7, 2000]));
    // The next one waits likewise, and the stream does as this one says meanwhile.
    set_matrix(
        &element,
        "<<(float)0.0,(float)1.0>,<(float)1.0,(float)0.0>>",
    );
    let out = h.push_and_pull(buffer(&s16(&[1000, 3000, 7]), 2)).unwrap();
    assert_eq!(bytes(&out), s16(&[7, 2000]));
    h.set_src_caps_str(&caps("S16LE"));
    let out = h.push_and_pull(buffer(&input, 3)).unwrap();
    assert_eq!(bytes(&out), s16(&[-2000, 1000]));
    assert_eq!(told(&bus, gst::MessageType::Error), [""; 0]);
    let stats = element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-errors"), Ok(0));
}

#[test]
fn a_matrix_waits_for_the_output_that_it_makes() {
    let mut h = harness(
        "rustaudioconvert dithering=none",
        &caps("S16LE"),
        &caps("S16LE"),
    );
    let bus = with_bus(&h);
    let element = h.element().unwrap();
    let input = s16(&[1000, -2000]);
    let push = |h: &mut Harness| bytes(&h.push_and_pull(buffer(&input, 0)).unwrap());
    assert_eq!(push(&mut h), input);
    set_matrix(&element, "<<(float)0.0,(float)-0.5>>");
    assert_eq!(push(&mut h), input);
    h.set_sink_caps_str("audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved");
    element
        .static_pad("src")
        .unwrap()
        .send_event(gst::event::Reconfigure::new());
    assert_eq!(push(&mut h), s16(&[1000]));
    // What was in use before is that of the stream, not of one that is over.
    element.set_state(gst::State::Ready).unwrap();
    assert_eq!(told(&bus, gst::MessageType::Error), [""; 0]);
}

#[test]
fn channels_without_positions_stay_mixed_until_their_caps_change() {
    let four =
        "audio/x-raw,format=S16LE,rate=48000,channels=4,channel-mask=(bitmask)0,layout=interleaved";
    let line = "rustaudioconvert dithering=none \
                mix-matrix=<<(float)1,(float)0,(float)0,(float)0>,<(float)0,(float)0,(float)0,(float)1>>";
    let mut h = harness(line, four, &caps("S16LE"));
    let element = h.element().unwrap();
    let out = h.push_and_pull(buffer(&s16(&[1, 2, 3, 4]), 0)).unwrap();
    assert_eq!(bytes(&out), s16(&[1, 4]));
    // None at all, for the stereo to come.
    let none = gst::Array::new([gst::Array::new(Vec::<f32>::new())]);
    element.set_property("mix-matrix", &none);
    let out = h.push_and_pull(buffer(&s16(&[1, 2, 3, 4]), 0)).unwrap();
    assert_eq!(bytes(&out), s16(&[1, 4]));
    h.set_src_caps_str(&caps("S16LE"));
    let out = h.push_and_pull(buffer(&s16(&[5, 6]), 0)).unwrap();
    assert_eq!(bytes(&out), s16(&[5, 6]));
}

#[test]
fn a_matrix_that_no_caps_come_for_is_told_of_after_a_second() {
    let mut h = harness("rustaudioconvert", &caps("S16LE"), &caps("S16LE"));
    let bus = with_bus(&h);
    set_matrix(
        &h.element().unwrap(),
        "<<(float)1.0,(float)0.0,(float)0.0>>",
    );
    let mut push = |frames: usize| {
        let out = h.push_and_pull(buffer(&vec![1; 4 * frames], 0)).unwrap();
        assert_eq!(bytes(&out), vec![1; 4 * frames]);
        told(&bus, gst::MessageType::Warning)
    };
    assert_eq!(push(47_999), [""; 0]);
    let warned = push(1);
    assert!(
        warned.len() == 1 && warned[0].contains("1 rows of 3 columns"),
        "{warned:?}"
    );
    assert_eq!(push(96_000), [""; 0]);
}

#[test]
fn a_matrix_that_does_not_fit_the_first_caps_is_an_error() {
    init();
    let line = "rustaudioconvert mix-matrix=<<(float)1,(float)0,(float)0>>";
    let element = gst::parse::launch(line).unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_caps_str(&caps("S16LE"), &caps("S16LE"));
    assert_eq!(
        h.push(buffer(&[0; 4], 0)),
        Err(gst::FlowError::NotNegotiated)
    );
    let errors = told(&bus, gst::MessageType::Error);
    assert!(
        errors.len() == 1 && errors[0].contains("1 rows of 3 columns"),
        "{errors:?}"
    );
    // The same when linking: three channels go in, two come out.
    let line = "audiotestsrc ! audio/x-raw,channels=2,channel-mask=(bitmask)3 \
         ! rustaudioconvert mix-matrix=\"<<(float)1.0,(float)0.0,(float)0.0>>\" ! fakesink";
    assert!(gst::parse::launch(line).is_err());
}

#[test]
fn half_a_frame_is_an_error_unless_nothing_is_converted() {
    for (to, layout) in [
        ("F32LE", "interleaved"),
        ("S16BE", "interleaved"),
        ("F32LE", "non-interleaved"),
    ] {
        let from = caps("S16LE").replace("interleaved", layout);
        let mut h = harness("rustaudioconvert", &from, &caps(to));
        let bus = with_bus(&h);
        let size = if to == "F32LE" { 8 } else { 4 };
        assert_eq!(
            h.push_and_pull(buffer(&[1; 40], 0)).unwrap().size(),
            10 * size
        );
        assert_eq!(h.push(buffer(&[1; 41], 1)), Err(gst::FlowError::Error));
        assert_eq!(h.push(buffer(&[1; 43], 1)), Err(gst::FlowError::Error));
        let errors = told(&bus, gst::MessageType::Error);
        assert_eq!(errors.len(), 2);
        for part in ["43 bytes", "frames of 4 bytes", "rawaudioparse"] {
            assert!(errors[1].contains(part), "{}", errors[1]);
        }
        let stats = h.element().unwrap().property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("num-errors"), Ok(2));
        // As after any other error, who goes on may.
        assert_eq!(
            h.push_and_pull(buffer(&[1; 40], 2)).unwrap().size(),
            10 * size
        );
    }
    let mut h = harness("rustaudioconvert", &caps("S16LE"), &caps("S16LE"));
    let odd = buffer(&[1; 43], 0);
    assert_eq!(h.push_and_pull(odd).unwrap().size(), 43);
}

#[test]
fn planes_without_a_meta_are_clipped_as_planes() {
    let planar = caps("S16LE").replace("interleaved", "non-interleaved");
    for to in [&caps("S16LE"), &planar] {
        let mut h = harness("rustaudioconvert", &planar, to);
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_mseconds(1));
        assert!(h.push_event(gst::event::Segment::new(&segment)));
        // 2 ms, of which the first lies outside.
        let left: Vec<i16> = (0..96).collect();
        let right: Vec<i16> = (1000..1096).collect();
        let data = [s16(&left), s16(&right)].concat();
        let out = h.push_and_pull(buffer(&data, 0)).unwrap();
        assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(1)));
        let info = gst_audio::AudioInfo::from_caps(&to.parse::<gst::Caps>().unwrap()).unwrap();
        let out = gst_audio::AudioBuffer::from_buffer_readable(out, &info).unwrap();
        assert_eq!(out.n_samples(), 48);
        if to == &planar {
            assert_eq!(out.plane_data(0).unwrap(), s16(&left[48..]));
            assert_eq!(out.plane_data(1).unwrap(), s16(&right[48..]));
        } else {
            let frames = left[48..].iter().zip(&right[48..]);
            let frames: Vec<i16> = frames.flat_map(|(l, r)| [*l, *r]).collect();
            assert_eq!(out.plane_data(0).unwrap(), s16(&frames));
        }
    }
}

#[test]
fn a_truncating_identity_needs_no_positions() {
    let pipeline = launch(
        "audiotestsrc num-buffers=2 ! audio/x-raw,format=S16LE,channels=8,channel-mask=(bitmask)0xc3f \
         ! rustaudioconvert mix-matrix=\"<>\" \
         ! audio/x-raw,channels=16,channel-mask=(bitmask)0x0 ! fakesink name=sink",
    );
    let kept = capture(&pipeline, "sink");
    play_ok(&pipeline);
    let out = bytes(&kept.lock().unwrap()[0]);
    for frame in out.chunks(32) {
        assert!(frame[..16].chunks(2).all(|s| s == &frame[..2]));
        assert_eq!(frame[16..], [0; 16]);
    }
    assert!(out.iter().any(|b| *b != 0));
}

#[test]
fn hundreds_of_channels_convert() {
    for channels in [9, 64, 65, 300] {
        let from = format!(
            "audio/x-raw,format=S16LE,rate=48000,channels={channels},channel-mask=(bitmask)0,layout=interleaved"
        );
        let to = from.replace("S16LE", "F32LE");
        let mut h = harness("rustaudioconvert", &from, &to);
        let data: Vec<i16> = (0..channels as i16 * 5).map(|v| v * 7 - 3000).collect();
        let out = bytes(&h.push_and_pull(buffer(&s16(&data), 0)).unwrap());
        let want: Vec<u8> = data
            .iter()
            .flat_map(|v| (f32::from(*v) / 32768.0).to_le_bytes())
            .collect();
        assert_eq!(out, want);
    }
}

#[test]
fn channels_without_positions_take_those_of_an_order() {
    let from =
        "audio/x-raw,format=S16LE,rate=48000,channels=3,channel-mask=(bitmask)0,layout=interleaved";
    let input = s16(&[3000, 6000, 9000]);
    let run = |line: &str, from: &str, to: &str| {
        let mut h = harness(line, from, &caps(to));
        bytes(&h.push_and_pull(buffer(&input, 0)).unwrap())
    };
    // Left, right and LFE, which is in no downmix.
    let aac =
        "rustaudioconvert input-channels-reorder-mode=unpositioned input-channels-reorder=aac";
    assert_eq!(run(aac, from, "S16LE"), s16(&[3000, 6000]));
    // Left, right, left.
    let alternate = "rustaudioconvert dithering=none input-channels-reorder-mode=unpositioned input-channels-reorder=alternate";
    assert_eq!(run(alternate, from, "S16LE"), s16(&[6000, 6000]));
    // Positions that the caps name are replaced only by force.
    let surround = from.replace("bitmask)0", "bitmask)0x103");
    let force = "rustaudioconvert input-channels-reorder-mode=force input-channels-reorder=aac";
    assert_eq!(run(force, &surround, "S16LE"), s16(&[3000, 6000]));
    assert_ne!(run(aac, &surround, "S16LE"), s16(&[3000, 6000]));
}

#[test]
fn the_order_of_channels_changes_while_playing() {
    let from = "audio/x-raw,format=S16LE,rate=48000,channels=3,channel-mask=(bitmask)0x103,layout=interleaved";
    let line = "rustaudioconvert dithering=none input-channels-reorder-mode=force \
                input-channels-reorder=aac";
    let mut h = harness(line, from, &caps("S16LE"));
    let element = h.element().unwrap();
    let input = s16(&[3000, 6000, 9000]);
    let mut push = |name: &str, value: &str| {
        element.set_property_from_str(name, value);
        bytes(&h.push_and_pull(buffer(&input, 0)).unwrap())
    };
    // Left, right, LFE; then left, right, left; and so again.
    let (aac, alternate) = (s16(&[3000, 6000]), s16(&[6000, 6000]));
    assert_eq!(push("input-channels-reorder", "aac"), aac);
    assert_eq!(push("input-channels-reorder", "alternate"), alternate);
    assert_eq!(push("input-channels-reorder", "aac"), aac);
    // The caps have positions of their own: front left, front right, rear centre.
    let own = push("input-channels-reorder-mode", "unpositioned");
    assert!(own != aac && own != alternate, "{own:?}");
    assert_eq!(push("input-channels-reorder-mode", "force"), aac);
}
