// SPDX-License-Identifier: MIT

//! Events, caps changes, clipping, metas, errors.

use gst::prelude::*;

use super::common;
use super::rig::*;

/// Positions of things in the output: `b` a buffer, else the event's type.
fn order(rig: &Rig) -> Vec<String> {
    let out = rig.out.lock().unwrap();
    let mut order: Vec<String> = out
        .iter()
        .map(|o| match o {
            Out::Buffer(_) => "b".into(),
            Out::Event(e) => e.type_().name().to_string(),
        })
        .collect();
    order.dedup();
    order
}

#[test]
fn the_tail_precedes_what_ends_the_stream() {
    let input = noise(480, 1);
    for end in ["eos", "segment", "stream-start", "caps", "gap"] {
        let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
        feed(&rig, &input, 480, 0, 48_000);
        assert_eq!(samples(&rig.buffers()).len(), (480 - 96 - 1) / 3 + 1);
        match end {
            "eos" => rig.event(gst::event::Eos::new()),
            "segment" => rig.segment(&gst::FormattedSegment::new()),
            "stream-start" => rig.event(gst::event::StreamStart::new("next")),
            "caps" => rig.event(gst::event::Caps::new(&mono(44_100))),
            _ => rig.event(gst::event::Gap::new(
                time(480, 48_000),
                gst::ClockTime::SECOND,
            )),
        }
        assert_eq!(samples(&rig.buffers()).len(), 479 / 3 + 1, "{end}");
        let order = order(&rig);
        let last_buffer = order.iter().rposition(|o| o == "b").unwrap();
        if end != "caps" {
            assert_eq!(order[last_buffer + 1..], [end.to_string()], "{order:?}");
        }
        common::assert_continuous(&rig.buffers(), gst::ClockTime::ZERO);
    }
}

#[test]
fn flush_stop_forgets() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    feed(&rig, &noise(4800, 1), 480, 0, 48_000);
    rig.event(gst::event::FlushStart::new());
    rig.event(gst::event::FlushStop::new(true));
    rig.segment(&gst::FormattedSegment::new());
    let before = rig.buffers().len();
    let input = noise(4800, 2);
    feed(&rig, &input, 480, 48_000, 48_000);
    let after = rig.finish()[before..].to_vec();
    let fresh = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    feed(&fresh, &input, 480, 48_000, 48_000);
    let fresh = fresh.finish();
    assert!(samples(&after) == samples(&fresh));
    assert_eq!(after[0].pts(), Some(time(48_000, 48_000)));
    assert!(after[0].flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn rates_change_while_playing() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    feed(&rig, &noise(4800, 1), 480, 0, 48_000);
    // Upstream.
    rig.event(gst::event::Caps::new(&mono(44_100)));
    feed(&rig, &noise(4410, 2), 441, 4410, 44_100);
    assert_eq!(rig.messages(gst::MessageType::Latency), 2);
    // Downstream.
    rig.want(&mono(8000));
    feed(&rig, &noise(4410, 3), 441, 8820, 44_100);
    let buffers = rig.finish();
    let frames = samples(&buffers).len();
    // The new peer downstream cannot take the tail at the old rate; it comes at the new one, from
    // the first input frame on that had no output: 4322.
    let expected = [(4800, 1, 3), (4410 - 88, 160, 441), (4410 + 88, 80, 441)];
    let expected: usize = expected.iter().map(|(n, l, m)| (n - 1) * l / m + 1).sum();
    assert_eq!(frames, expected);
    assert_eq!(rig.messages(gst::MessageType::Warning), 0);
    for pair in buffers.windows(2) {
        // Not a frame of the input is missing, nor does any come twice.
        let end = pair[0].pts().unwrap() + pair[0].duration().unwrap();
        let hole = pair[1].pts().unwrap().nseconds() as i64 - end.nseconds() as i64;
        assert!((-1..=1_000_000_000 / 44_100 + 1).contains(&hole), "{hole}");
    }
    // The tail at the old rate comes before the caps of the new one.
    let mut rate = 0;
    let mut at = vec![];
    for o in rig.out.lock().unwrap().iter() {
        match o {
            Out::Event(e) => {
                if let gst::EventView::Caps(c) = e.view() {
                    rate = c.caps().structure(0).unwrap().get::<i32>("rate").unwrap();
                }
            }
            Out::Buffer(b) => at.push((rate, b.size() / 4)),
        }
    }
    let at_8k: usize = at.iter().filter(|(r, _)| *r == 8000).map(|(_, n)| n).sum();
    assert_eq!(at_8k, 4497 * 80 / 441 + 1);
}

/// Where the new caps leave nothing to filter and the new peer refuses the old ones, the tail is lost,
/// and everybody hears of it; what passes then is marked.
#[test]
fn a_tail_that_nobody_takes_is_no_secret() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    feed(&rig, &noise(4800, 1), 480, 0, 48_000);
    rig.want(&mono(48_000));
    feed(&rig, &noise(4800, 2), 480, 4800, 48_000);
    assert_eq!(rig.messages(gst::MessageType::Warning), 1);
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-dropped").unwrap(), 1);
    let buffers = rig.finish();
    let passed = &buffers[buffers.len() - 10..];
    for (i, buffer) in passed.iter().enumerate() {
        assert_eq!(buffer.pts(), Some(time(4800 + 480 * i as u64, 48_000)));
        let afresh = buffer.flags().contains(gst::BufferFlags::DISCONT);
        assert_eq!(afresh, i == 0, "{i}");
    }
}

/// What passes after a stream that was filtered is marked, however often caps change before it.
#[test]
fn two_changes_of_caps_leave_the_mark_of_the_first() {
    let mut either = mono(16_000);
    let channels = gst::IntRange::new(1, 2);
    either
        .make_mut()
        .structure_mut(0)
        .unwrap()
        .set("channels", channels);
    let rig = Rig::new("rustresample", "", &mono(48_000), &either);
    feed(&rig, &noise(480, 1), 480, 0, 48_000);
    rig.event(gst::event::Caps::new(&mono(16_000)));
    let filtered = rig.buffers().len();
    rig.event(gst::event::Caps::new(&caps(
        "F32LE",
        16_000,
        2,
        "interleaved",
    )));
    for at in [160, 320] {
        rig.push(f32s(&noise(320, 2), 2, at, 16_000));
    }
    let buffers = rig.finish();
    let marked = buffers[filtered..]
        .iter()
        .map(|b| b.flags().contains(gst::BufferFlags::DISCONT));
    assert_eq!(marked.collect::<Vec<_>>(), [true, false]);
}

/// A new output rate whose filter cannot be had is an error that says so; the old stream does not go
/// on as if nothing had been.
#[test]
fn a_rate_that_cannot_be_followed_is_a_clear_error() {
    let c = |rate| caps("F64LE", rate, 1, "interleaved");
    let rig = Rig::new("rustresample", "", &c(1_500_000), &c(48_000));
    rig.push(raw(vec![0; 8 * 15_000], 15_000, 0, 1_500_000));
    assert_eq!(rig.messages(gst::MessageType::Error), 0);
    let before = rig.buffers().len();
    rig.want(&c(1));
    let flow = rig.try_push(raw(vec![0; 8 * 15_000], 15_000, 15_000, 1_500_000));
    assert!(flow.is_err());
    assert_eq!(rig.buffers().len(), before);
    let error = std::iter::from_fn(|| rig.bus.pop()).find_map(|m| match m.view() {
        gst::MessageView::Error(e) => Some(e.error().to_string()),
        _ => None,
    });
    assert!(error.unwrap().contains("MiB"));
}

/// Offsets go on in frames of the new rate, and backwards the time still falls without a hole.
#[test]
fn a_new_rate_downstream_keeps_offsets_and_direction() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    feed(&rig, &noise(4800, 1), 480, 9600, 48_000);
    let old = rig.buffers();
    assert_eq!(old[0].offset(), 3200);
    let made = samples(&old).len() as u64;
    rig.want(&mono(8000));
    feed(&rig, &noise(4800, 2), 480, 14_400, 48_000);
    let new = rig.finish()[old.len()..].to_vec();
    assert_eq!(new[0].offset(), (3200 + made).div_ceil(2));
    for pair in new.windows(2) {
        assert_eq!(pair[0].offset_end(), pair[1].offset());
    }

    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::SECOND);
    rig.segment(&segment);
    for i in (0..20u64).rev() {
        if i == 9 {
            rig.want(&mono(8000));
        }
        rig.push(f32s(&noise(480, i as u32), 1, 480 * i, 48_000));
    }
    let buffers = rig.finish();
    let frame =
        |buffer: &gst::Buffer| buffer.duration().unwrap().nseconds() / (buffer.size() as u64 / 4);
    assert_eq!(frame(&buffers[0]), 62_500);
    assert_eq!(frame(buffers.last().unwrap()), 125_000);
    for pair in buffers.windows(2) {
        // Later in the stream, earlier in time.
        let end = pair[1].pts().unwrap() + pair[1].duration().unwrap();
        let hole = pair[0].pts().unwrap().nseconds() as i64 - end.nseconds() as i64;
        let most = if frame(&pair[0]) == frame(&pair[1]) {
            1
        } else {
            125_000
        };
        assert!(hole.abs() <= most, "{hole}");
    }
    // To the last frame that the new grid meets.
    assert!(buffers.last().unwrap().pts().unwrap().nseconds() < 125_000);
}

#[test]
fn equal_caps_pass_untouched() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(48_000));
    let buffer = f32s(&noise(480, 1), 1, 0, 48_000);
    let pointer = buffer.as_ptr();
    rig.push(buffer);
    assert_eq!(rig.buffers()[0].as_ptr(), pointer);
    assert_eq!(rig.latency(), gst::ClockTime::ZERO);
    assert_eq!(
        rig.element.property::<String>("active-engine"),
        "passthrough"
    );
    assert_eq!(rig.finish().len(), 1);
    let json = rig.element.property::<String>("stats-json");
    assert!(json.contains("\"num-samples\":480"), "{json}");
}

#[test]
fn buffers_are_clipped_to_the_segment() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(time(720, 48_000));
    segment.set_stop(time(1680, 48_000));
    rig.segment(&segment);
    feed(&rig, &noise(2400, 1), 480, 0, 48_000);
    let buffers = rig.finish();
    assert_eq!(buffers[0].pts(), Some(time(720, 48_000)));
    assert_eq!(samples(&buffers).len(), 959 / 3 + 1);
}

/// Where there is nothing to resample, buffers get the durations that they lack and are clipped, too.
#[test]
fn equal_rates_leave_what_audioresample_leaves() {
    common::init();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(time(720, 48_000));
    segment.set_stop(time(1680, 48_000));
    let run = |factory| {
        let rig = Rig::new(factory, "", &mono(48_000), &mono(48_000));
        rig.segment(&segment);
        for (n, part) in noise(2400, 1).chunks(480).enumerate() {
            let mut buffer = f32s(part, 1, 480 * n as u64, 48_000);
            if n % 2 == 0 {
                buffer.get_mut().unwrap().set_duration(gst::ClockTime::NONE);
            }
            rig.push(buffer);
        }
        let out = rig.finish();
        let times: Vec<_> = out.iter().map(|b| (b.pts(), b.duration())).collect();
        (times, samples(&out), rig)
    };
    let (own, stock) = (run("rustresample"), run("audioresample"));
    assert_eq!(own.0, stock.0);
    assert!(own.1 == stock.1 && own.1.len() == 960);
    let stats = own.2.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-dropped"), Ok(2));
    assert_eq!(stats.get::<u64>("num-samples"), Ok(960));
}

/// Passed, left out, failed: each buffer is counted as one of them.
#[test]
fn each_buffer_is_counted_once() {
    let c = |rate| caps("S16LE", rate, 2, "non-interleaved");
    let rig = Rig::new("rustresample", "", &c(48_000), &c(16_000));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(time(480, 48_000));
    rig.segment(&segment);
    // Before the segment, and no whole number of frames.
    rig.push(raw(vec![0; 1921], 480, 0, 48_000));
    rig.push(raw(vec![0; 1920], 480, 480, 48_000));
    // A plane is missing.
    let mut lacking = raw(vec![0; 1920], 480, 960, 48_000);
    let one = gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, 48_000, 1)
        .layout(gst_audio::AudioLayout::NonInterleaved)
        .build()
        .unwrap();
    gst_audio::AudioMeta::add(lacking.get_mut().unwrap(), &one, 480, &[]).unwrap();
    assert_eq!(rig.try_push(lacking), Err(gst::FlowError::Error));
    let stats = rig.element.property::<gst::Structure>("stats");
    let count = |name| stats.get::<u64>(name).unwrap();
    let counts = ["num-buffers", "num-samples", "num-dropped", "num-errors"].map(count);
    assert_eq!(counts, [1, 480, 1, 1]);
    let texts: Vec<String> = std::iter::from_fn(|| rig.bus.pop())
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(w) => Some(w.error().to_string()),
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        })
        .collect();
    let expected = "the samples of a buffer of 1920 bytes lie outside of it, as its meta has them";
    assert_eq!(texts, [expected]);
}

#[test]
fn metas_without_rates_survive() {
    let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
    let mut buffer = f32s(&noise(480, 1), 1, 0, 48_000);
    {
        let buffer = buffer.get_mut().unwrap();
        let caps = gst::Caps::new_empty_simple("timestamp/x-test");
        gst::ReferenceTimestampMeta::add(
            buffer,
            &caps,
            gst::ClockTime::SECOND,
            gst::ClockTime::NONE,
        );
    }
    rig.push(buffer);
    let out = &rig.buffers()[0];
    let meta = out.meta::<gst::ReferenceTimestampMeta>().unwrap();
    assert_eq!(meta.timestamp(), gst::ClockTime::SECOND);
}

#[test]
fn what_cannot_be_is_a_clear_error() {
    let c = |rate| caps("F64LE", rate, 1, "interleaved");
    common::init();
    let rig = std::panic::catch_unwind(|| Rig::new("rustresample", "", &c(1_500_000), &c(1)));
    assert!(
        rig.is_ok(),
        "caps events are sticky, the error comes with data or before"
    );
    let rig = rig.unwrap();
    for _ in 0..3 {
        let flow = rig.try_push(raw(vec![0; 8000], 1000, 0, 1_500_000));
        assert!(flow.is_err());
    }
    let errors: Vec<String> = std::iter::from_fn(|| rig.bus.pop())
        .filter_map(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        })
        .collect();
    assert!(errors.len() == 1 && errors[0].contains("MiB"), "{errors:?}");
}

/// From gst-launch, end to end: counts, times, one final metrics message.
#[test]
fn a_pipeline_counts_its_samples() {
    common::init();
    let pipeline = common::launch(
        "audiotestsrc num-buffers=100 samplesperbuffer=441 ! audio/x-raw,rate=44100,format=S16LE,channels=2 \
         ! rustresample name=r ! audio/x-raw,rate=16000 ! fakesink name=sink",
    );
    let kept = common::capture(&pipeline, "sink");
    let messages = common::play_ok(&pipeline);
    let buffers = kept.lock().unwrap().clone();
    let duration = common::assert_continuous(&buffers, gst::ClockTime::ZERO);
    assert_eq!(duration, gst::ClockTime::SECOND);
    let total: usize = buffers.iter().map(|b| b.size() / 4).sum();
    assert_eq!(total, 16_000);
    let finals: Vec<_> = common::structures(&messages, "rustaudio-metrics")
        .filter(|s| s.get::<bool>("final") == Ok(true))
        .collect();
    assert_eq!(finals.len(), 1);
    assert_eq!(finals[0].get::<u64>("num-samples"), Ok(44_100));
    assert_eq!(finals[0].get::<u64>("num-buffers"), Ok(100));
    assert!(finals[0].get::<u64>("processing-time").unwrap() > 0);
    let latency = finals[0].get::<u64>("latency").unwrap();
    assert_eq!(latency, time(88, 44_100).nseconds());
}

#[test]
fn planes_are_clipped_to_the_segment() {
    let caps = |rate| caps("F32LE", rate, 2, "non-interleaved");
    let input = noise(2400, 1);
    let reference = {
        let rig = Rig::new("rustresample", "", &mono(48_000), &mono(16_000));
        feed(&rig, &input[720..1680], 480, 720, 48_000);
        samples(&rig.finish())
    };
    let rig = Rig::new("rustresample", "", &caps(48_000), &caps(16_000));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(time(720, 48_000));
    segment.set_stop(time(1680, 48_000));
    rig.segment(&segment);
    let info = gst_audio::AudioInfo::from_caps(&caps(48_000)).unwrap();
    for (n, chunk) in input.chunks(480).enumerate() {
        // Two equal planes.
        let mut buffer = f32s(&[chunk, chunk].concat(), 2, n as u64 * 480, 48_000);
        gst_audio::AudioMeta::add(buffer.get_mut().unwrap(), &info, 480, &[]).unwrap();
        rig.push(buffer);
    }
    let buffers = rig.finish();
    assert_eq!(buffers[0].pts(), Some(time(720, 48_000)));
    let mut planes = [Vec::new(), Vec::new()];
    for buffer in &buffers {
        let both = samples(std::slice::from_ref(buffer));
        planes[0].extend_from_slice(&both[..both.len() / 2]);
        planes[1].extend_from_slice(&both[both.len() / 2..]);
    }
    assert_eq!(planes[0].len(), 959 / 3 + 1);
    assert_eq!(planes[0], planes[1]);
    for (n, (got, wanted)) in planes[0].iter().zip(&reference).enumerate() {
        assert!((got - wanted).abs() < 1e-6, "{n}: {got} {wanted}");
    }
}

/// Bytes of a frame that is cut in two are left out, as in `audioresample`; counted, and said once.
#[test]
fn half_a_frame_is_left_out_counted_and_said() {
    for layout in ["interleaved", "non-interleaved"] {
        let c = |rate| caps("S16LE", rate, 2, layout);
        let rig = Rig::new("rustresample", "", &c(48_000), &c(16_000));
        let whole = Rig::new("rustresample", "", &c(48_000), &c(16_000));
        for (i, rest) in [0, 1, 3, 0, 2].into_iter().enumerate() {
            let planes: Vec<u8> = (0..1920u32).map(|n| (n * 7 + i as u32) as u8).collect();
            let at = 480 * i as u64;
            whole.push(raw(planes.clone(), 480, at, 48_000));
            rig.push(raw([planes, vec![99; rest]].concat(), 480, at, 48_000));
        }
        let (got, want) = (rig.finish(), whole.finish());
        assert_eq!(got.len(), want.len());
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got.pts(), want.pts());
            assert!(got.map_readable().unwrap()[..] == want.map_readable().unwrap()[..]);
        }
        let stats = rig.element.property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("num-dropped"), Ok(3));
        assert_eq!(stats.get::<u64>("num-errors"), Ok(0));
        let texts: Vec<String> = std::iter::from_fn(|| rig.bus.pop())
            .filter_map(|m| match m.view() {
                gst::MessageView::Warning(w) => Some(w.error().to_string()),
                gst::MessageView::Error(e) => panic!("{}", e.error()),
                _ => None,
            })
            .collect();
        assert_eq!(texts.len(), 1, "{texts:?}");
        for part in ["1921 bytes", "frames of 4 bytes: 1 of", "left out"] {
            assert!(texts[0].contains(part), "{}", texts[0]);
        }
    }
}
