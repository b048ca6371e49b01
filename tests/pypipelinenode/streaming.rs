// SPDX-License-Identifier: MIT

//! What goes downstream while it is still worked on, and what stands for audio that does not come.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::{Rig, STEREO, common, node};

const COUNT: &str = "def process(audio, ctx): ctx.post('got', pts=ctx.pts)\n";
const MS: u64 = 1_000_000;

/// `ms` of stereo whose frames are numbered, at 0.
fn long(ms: u64) -> gst::Buffer {
    let samples: Vec<f32> = (0..48 * ms * 2).map(|i| (i / 2) as f32).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytemuck::pod_collect_to_vec::<f32, u8>(&samples));
    let b = buffer.make_mut();
    b.set_pts(gst::ClockTime::ZERO);
    b.set_duration(ms * gst::ClockTime::MSECOND);
    buffer
}

/// GAP events that came out since the last look, as PTS and duration in ms.
fn gaps(rig: &mut Rig) -> Vec<(u64, Option<u64>)> {
    std::iter::from_fn(|| rig.harness.try_pull_event())
        .filter_map(|event| match event.view() {
            gst::EventView::Gap(gap) => {
                let (pts, duration) = gap.get();
                Some((pts.mseconds(), duration.map(|d| d.mseconds())))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn each_chunk_goes_out_before_the_next_is_worked_on() {
    for way in ["isolation=inprocess", "isolation=process"] {
        for how in ["flush", "stop", "refused"] {
            let mut rig = Rig::new(
                COUNT,
                &format!("chunk=duration chunk-duration=10000000 {way}"),
                STEREO,
            );
            let sink = rig.pad("sink");
            let element = rig.element.clone();
            let seen = Arc::new(AtomicUsize::new(0));
            let stopper = Arc::new(Mutex::new(None));
            rig.pad("src").add_probe(gst::PadProbeType::BUFFER, {
                let (seen, stopper) = (seen.clone(), stopper.clone());
                move |_, info| {
                    if seen.fetch_add(1, Relaxed) < 2 {
                        return gst::PadProbeReturn::Ok;
                    }
                    match how {
                        "flush" => assert!(sink.send_event(gst::event::FlushStart::new())),
                        "stop" => {
                            let element = element.clone();
                            let stop = move || element.set_state(gst::State::Ready).is_ok();
                            *stopper.lock().unwrap() = Some(std::thread::spawn(stop));
                            while sink.mode() != gst::PadMode::None {
                                std::thread::yield_now();
                            }
                        }
                        _ => info.flow_res = Err(gst::FlowError::NotSupported),
                    }
                    gst::PadProbeReturn::Handled
                }
            });
            let flow = rig.harness.push(long(1000));
            let expected = match how {
                "refused" => gst::FlowError::NotSupported,
                _ => gst::FlowError::Flushing,
            };
            assert_eq!(flow, Err(expected), "{way} {how}");
            assert_eq!(seen.load(Relaxed), 3, "{way} {how}");
            assert_eq!(rig.structures("got").len(), 3, "{way} {how}");
            if let Some(stop) = stopper.lock().unwrap().take() {
                assert!(stop.join().unwrap());
            }
            if how == "flush" {
                // Nothing of what was left is worked on after it.
                rig.harness.push_event(gst::event::FlushStop::new(true));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                rig.harness.push_event(gst::event::Segment::new(&segment));
                rig.harness.push_event(gst::event::Eos::new());
                assert!(rig.structures("got").is_empty(), "{way}");
            }
        }
    }
}

#[test]
fn a_long_buffer_is_cut_without_a_hole() {
    let planar = STEREO.replace("=interleaved", "=non-interleaved");
    for caps in [STEREO, &planar] {
        let mut rig = Rig::new(COUNT, "chunk=duration chunk-duration=7000000", caps);
        let mut buffer = long(100);
        if caps != STEREO {
            let info =
                gst_audio::AudioInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
            gst_audio::AudioMeta::add(buffer.make_mut(), &info, 4800, &[]).unwrap();
        }
        let all: Vec<f32> = bytemuck::pod_collect_to_vec(&buffer.map_readable().unwrap());
        rig.harness.push(buffer).unwrap();
        rig.harness.push_event(gst::event::Eos::new());
        let mut frames = [Vec::new(), Vec::new()];
        let mut lengths = Vec::new();
        while let Some(out) = rig.harness.try_pull() {
            let samples: Vec<f32> = bytemuck::pod_collect_to_vec(&out.map_readable().unwrap());
            lengths.push(samples.len() / 2);
            if caps == STEREO {
                frames[0].extend(samples);
            } else {
                for (plane, samples) in frames.iter_mut().zip(samples.chunks(samples.len() / 2)) {
                    plane.extend_from_slice(samples);
                }
            }
        }
        assert_eq!(lengths, [[336; 14].as_slice(), &[96]].concat(), "{caps}");
        assert!(frames.concat() == all, "{caps}");
    }
}

#[test]
fn dropped_audio_leaves_a_gap() {
    let text = "def process(audio, ctx):\n    if ctx.pts == 20_000_000: 1 / 0\n";
    let mut rig = Rig::new(text, "on-failure=drop", STEREO);
    for i in 0..5 {
        rig.push(i, 1.0).unwrap();
    }
    assert_eq!(gaps(&mut rig), [(20, Some(10))]);
    assert_eq!(rig.frames(), 4 * 480);
}

/// A node may give none: then a sink behind it must not wait. It may give some later, and then nothing
/// may have been said of the time from there on.
#[test]
fn a_node_that_gives_nothing_is_announced_once() {
    let push = |rig: &mut Rig, buffers: std::ops::Range<u64>| {
        for i in buffers {
            rig.push(i, 1.0).unwrap();
        }
    };
    let mut rig = Rig::new("def process(audio): return []\n", "", STEREO);
    push(&mut rig, 20..69);
    assert_eq!(gaps(&mut rig), []);
    push(&mut rig, 69..200);
    assert_eq!(gaps(&mut rig), [(200, None)]);
    // After a flush it may begin.
    rig.harness.push_event(gst::event::FlushStart::new());
    rig.harness.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    rig.harness.push_event(gst::event::Segment::new(&segment));
    push(&mut rig, 300..400);
    assert_eq!(gaps(&mut rig), [(3000, None)]);

    // Forty at a time, and a chunk that is not full yet.
    let text = "held = []\n\
                def process(audio, ctx):\n    \
                    held.append(audio.copy())\n    \
                    return [] if len(held) % 40 else held[-40:]\n";
    for (text, properties) in [
        (text, ""),
        (COUNT, "chunk=duration chunk-duration=800000000"),
    ] {
        let mut rig = Rig::new(text, properties, STEREO);
        push(&mut rig, 0..80);
        assert_eq!(gaps(&mut rig), [], "{properties}");
        assert_eq!(rig.frames(), 80 * 480, "{properties}");
    }
}

/// Beside another branch of a tee that fills its queue meanwhile.
#[test]
fn a_branch_without_output_holds_nobody_up() {
    let nothing = "def process(audio): return []\n";
    let fails = "def process(audio): 1 / 0\n";
    for (text, properties) in [(nothing, ""), (fails, "on-failure=drop")] {
        let p = common::launch(&format!(
            "{}150 ! {STEREO} ! tee name=t ! queue ! fakesink name=other sync=true t. ! queue ! pypipelinenode module={} {properties} ! \
             fakesink sync=true",
            crate::SOURCE,
            node(text).display()
        ));
        let count = Arc::new(AtomicUsize::new(0));
        let pad = p.by_name("other").unwrap().static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::BUFFER, {
            let count = count.clone();
            move |_, _| {
                count.fetch_add(1, Relaxed);
                gst::PadProbeReturn::Ok
            }
        });
        common::play_ok(&p);
        assert_eq!(count.load(Relaxed), 150, "{properties}");
    }
}

#[test]
fn a_drain_query_is_answered_once_nothing_is_held() {
    let mut rig = Rig::new(COUNT, "chunk=duration chunk-duration=30000000", STEREO);
    for i in 0..5 {
        rig.push(i, 1.0).unwrap();
    }
    assert_eq!(rig.frames(), 3 * 480);
    rig.pad("sink").query(&mut gst::query::Drain::new());
    assert_eq!(rig.frames(), 2 * 480);
    rig.push(5, 1.0).unwrap();
    rig.harness.push_event(gst::event::Eos::new());
    assert_eq!(rig.frames(), 480);
    assert_eq!(rig.first_pts, Some(50 * gst::ClockTime::MSECOND));
}

#[test]
fn metas_stay_with_audio_of_the_same_length() {
    let cases = [
        ("    audio *= 2\n", "", true),
        ("    return audio * 2\n", "", true),
        ("    return [audio * 2, audio]\n", "", false),
        ("    return audio[::2].copy()\n", "", false),
        ("    1 / 0\n", "on-failure=silence", true),
        (
            "    return audio * 2\n",
            "chunk=duration chunk-duration=5000000",
            false,
        ),
    ];
    for (body, properties, stays) in cases {
        let mut rig = Rig::new(&format!("def process(audio):\n{body}"), properties, STEREO);
        let caps = gst::Caps::new_empty_simple("timestamp/x-unix");
        let mut buffer = Rig::buffer(0, 1.0);
        let at = 7 * gst::ClockTime::SECOND;
        gst::ReferenceTimestampMeta::add(buffer.make_mut(), &caps, at, gst::ClockTime::NONE);
        rig.harness.push(buffer).unwrap();
        while let Some(out) = rig.harness.try_pull() {
            let meta = out.meta::<gst::ReferenceTimestampMeta>();
            assert_eq!(
                meta.map(|m| m.timestamp()),
                stays.then_some(at),
                "{body} {properties}"
            );
        }
    }
}

#[test]
fn an_utterance_without_end_is_warned_of() {
    let mut rig = Rig::new(COUNT, "chunk=utterance", STEREO);
    let structure = gst::Structure::builder("rustvad")
        .field("speech", true)
        .field("timestamp", 0u64)
        .field("segment", 1u64)
        .build();
    rig.harness
        .push_event(gst::event::CustomDownstream::new(structure));
    let warnings = |rig: &Rig| {
        let messages = rig.messages().into_iter();
        messages
            .filter_map(|m| match m.view() {
                gst::MessageView::Warning(w) => Some(w.error().to_string()),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    for i in 0..61 {
        let mut buffer = long(1000);
        buffer
            .make_mut()
            .set_pts(i * 1000 * MS * gst::ClockTime::NSECOND);
        rig.harness.push(buffer).unwrap();
        let told = warnings(&rig);
        assert_eq!(told.len(), usize::from(i == 59), "{i}");
        if let [text] = &told[..] {
            assert!(
                text.contains("60 s (21 MiB)") && text.contains("chunk-duration"),
                "{text}"
            );
        }
    }
}

/// Also where the first output comes as the audio ends.
#[test]
fn output_that_nobody_takes_is_explained() {
    let text = "class N:\n    def output_caps(self, info): return {'rate': 16000}\n    \
                def process(self, audio): return audio[::3].copy()\n";
    for properties in ["", "chunk=duration chunk-duration=1000000000"] {
        let p = common::launch(&format!(
            "{}5 ! {STEREO} ! pypipelinenode class=N {properties} module={} ! \
             capsfilter name=takes ! fakesink",
            crate::SOURCE,
            node(text).display()
        ));
        let takes = "audio/x-raw,rate=[1,8000]".parse::<gst::Caps>().unwrap();
        p.by_name("takes").unwrap().set_property("caps", takes);
        let (error, _) = crate::refused(&p);
        assert!(error.contains("rate=(int)16000"), "{properties} {error}");
        assert!(error.contains("rustresample"), "{properties} {error}");
    }
}

/// What downstream refuses is not worked on any further, and what comes then does not follow on it.
#[test]
fn what_is_left_after_a_refusal_is_a_break() {
    let refusing = |rig: &Rig| {
        let refuses = Arc::new(AtomicUsize::new(1));
        rig.pad("src").add_probe(gst::PadProbeType::BUFFER, {
            let refuses = refuses.clone();
            move |_, info| {
                if refuses.load(Relaxed) == 0 {
                    return gst::PadProbeReturn::Ok;
                }
                info.flow_res = Err(gst::FlowError::NotLinked);
                gst::PadProbeReturn::Handled
            }
        });
        refuses
    };
    let discont = |buffer: &gst::Buffer| buffer.flags().contains(gst::BufferFlags::DISCONT);
    let text = "def process(audio, ctx): ctx.post('got', discont=ctx.discont)\n";
    let mut rig = Rig::new(text, "chunk=duration chunk-duration=10000000", STEREO);
    rig.push(0, 1.0).unwrap();
    let refuses = refusing(&rig);
    let mut buffer = long(30);
    buffer.make_mut().set_pts(10 * gst::ClockTime::MSECOND);
    assert_eq!(rig.harness.push(buffer), Err(gst::FlowError::NotLinked));
    refuses.store(0, Relaxed);
    rig.push(4, 2.0).unwrap();
    rig.push(5, 3.0).unwrap();
    let out: Vec<_> = std::iter::from_fn(|| rig.harness.try_pull()).collect();
    assert_eq!(
        out.iter().map(discont).collect::<Vec<_>>(),
        [true, true, false]
    );
    let told = rig.structures("got").into_iter();
    let told: Vec<bool> = told.map(|s| s.get("discont").unwrap()).collect();
    assert_eq!(told, [false, false, true, false]);

    // A node gives up what it holds where the last chunk of a drain is refused; what comes then is in its
    // place, with or without a leap.
    let text = "import numpy as np\n\
                class N:\n    \
                    held = np.zeros((0, 2), np.float32)\n    \
                    def process(self, audio, ctx):\n        \
                        both = np.concatenate([self.held, audio])\n        \
                        self.held = both[-100:].copy()\n        \
                        return both[:-100]\n    \
                    def drain(self, ctx):\n        \
                        held, self.held = self.held, self.held[:0]\n        \
                        return held\n";
    for (next, ms) in [(3, 30), (100, 1000)] {
        let properties = "class=N chunk=duration chunk-duration=20000000";
        let mut rig = Rig::new(text, properties, STEREO);
        for i in 0..3 {
            rig.push(i, 1.0).unwrap();
        }
        assert_eq!(rig.frames(), 960 - 100);
        let refuses = refusing(&rig);
        rig.pad("sink").query(&mut gst::query::Drain::new());
        refuses.store(0, Relaxed);
        for i in next..next + 2 {
            rig.push(i, 2.0).unwrap();
        }
        let out = rig.harness.try_pull().unwrap();
        let at = ms * gst::ClockTime::MSECOND;
        assert_eq!((out.pts(), out.size()), (Some(at), 860 * 8));
        assert!(discont(&out), "{ms}");
    }
}
