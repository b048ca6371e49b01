// SPDX-License-Identifier: MIT

//! Audio whose channels lie apart, and metas that say where.

use gst::ClockTime;
use gst::prelude::*;

use super::common;
use super::rig::*;

const RATE: u64 = 16_000;
const PLANAR: &str = "audio/x-raw,format=S16LE,rate=16000,channels=2,channel-mask=(bitmask)3,\
                      layout=non-interleaved";

/// So many channels of [`PLANAR`].
fn info(channels: u32) -> gst_audio::AudioInfo {
    common::init();
    gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, RATE as u32, channels)
        .layout(gst_audio::AudioLayout::NonInterleaved)
        .build()
        .unwrap()
}

#[test]
fn planes_without_a_meta_are_cut_as_planes() {
    let info = info(2);
    let plane = bursts(2000, two);
    let run = |with_meta: bool| {
        let mut rig = Rig::new("detector=energy mode=drop", PLANAR);
        for (i, one) in plane.chunks(2 * 1600).enumerate() {
            let n = one.len() / 2;
            let both = [one, one].concat();
            let mut b = stamped(&both, ClockTime::ZERO, 1600 * i as u64, n as u64, RATE);
            if with_meta {
                gst_audio::AudioMeta::add(b.get_mut().unwrap(), &info, n, &[]).unwrap();
            }
            rig.push(b);
        }
        let got = rig.finish();
        let buffers = got.into_iter().filter_map(|got| match got {
            Got::Buffer(b) => Some(b),
            _ => None,
        });
        buffers
            .map(|b| {
                let b = gst_audio::AudioBuffer::from_buffer_readable(b, &info).unwrap();
                let planes = [0, 1].map(|p| b.plane_data(p).unwrap().to_vec());
                assert!(planes[0] == planes[1]);
                planes
            })
            .collect::<Vec<_>>()
    };
    let with = run(true);
    assert!(!with.is_empty() && run(false) == with);
}

#[test]
fn planes_that_a_meta_lacks_are_an_error_and_the_stream_goes_on() {
    let mut rig = Rig::new("detector=energy", PLANAR);
    let data = bursts(100, |at| at % 20 < 10);
    // 10 ms each; of the fourth, only one plane is said to be there.
    let all: Vec<gst::Buffer> = (0..10)
        .map(|i| {
            let one = &data[320 * i..][..320];
            let both = [one, one].concat();
            let mut b = stamped(&both, ClockTime::ZERO, 160 * i as u64, 160, RATE);
            let info = info(if i == 3 { 1 } else { 2 });
            gst_audio::AudioMeta::add(b.get_mut().unwrap(), &info, 160, &[]).unwrap();
            b
        })
        .collect();
    for (i, buffer) in all.iter().enumerate() {
        let pushed = rig.harness.push(buffer.clone());
        assert_eq!(pushed.is_err(), i == 3, "buffer {i}: {pushed:?}");
    }
    let errors: Vec<String> = rig
        .messages()
        .iter()
        .filter_map(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().to_string()),
            _ => None,
        })
        .collect();
    let expected = "the samples of a buffer of 640 bytes lie outside of it, as its meta has them";
    assert_eq!(errors, [expected]);
    let out = buffers(&rig.finish());
    let expected: Vec<_> = [&all[..3], &all[4..]].concat();
    assert_eq!(out.len(), 9);
    for (got, expected) in out.iter().zip(&expected) {
        assert_eq!(got.pts(), expected.pts());
        assert!(bytes(std::slice::from_ref(got)) == bytes(std::slice::from_ref(expected)));
    }
    let stats = rig.element.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("num-errors"), Ok(1));
}
