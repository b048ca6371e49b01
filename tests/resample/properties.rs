// SPDX-License-Identifier: MIT

//! Properties that change while playing.

use gst::prelude::*;

use super::rig::*;

#[test]
fn changes_take_effect_at_the_next_buffer() {
    let (from, to) = (44_100, 48_000);
    let rig = Rig::new("rustresample", "", &mono(from), &mono(to));
    let input = sine(44_100, 1000.0, from, 0.5);
    feed(&rig, &input[..13_230], 441, 0, from);
    assert_eq!(rig.element.property::<String>("active-engine"), "polyphase");
    assert_eq!(rig.latency(), time(32, from));
    rig.messages(gst::MessageType::Latency);

    rig.element.set_property("quality", 8i32);
    feed(&rig, &input[13_230..22_050], 441, 13_230, from);
    assert_eq!(rig.latency(), time(80, from));
    assert_eq!(rig.messages(gst::MessageType::Latency), 1);

    rig.element
        .set_property("max-latency", gst::ClockTime::SECOND.nseconds());
    rig.element.set_property_from_str("engine", "fft");
    feed(&rig, &input[22_050..30_870], 441, 22_050, from);
    assert_eq!(rig.element.property::<String>("active-engine"), "fft");
    assert_eq!(rig.messages(gst::MessageType::Latency), 1);
    let fft = rig.latency();
    assert!(
        fft > time(441, from) && fft < 100 * gst::ClockTime::MSECOND,
        "{fft}"
    );

    rig.element.set_property_from_str("engine", "auto");
    rig.element.set_property("quality", 4i32);
    rig.element
        .set_property_from_str("resample-method", "blackman-nuttall");
    feed(&rig, &input[30_870..], 441, 30_870, from);
    assert_eq!(rig.element.property::<String>("active-engine"), "polyphase");

    let buffers = rig.finish();
    super::common::assert_continuous(&buffers, gst::ClockTime::ZERO);
    let output = samples(&buffers);
    assert_eq!(output.len(), 44_099 * 160 / 147 + 1);
    for (k, y) in output.iter().enumerate().take(47_000).skip(1000) {
        let exact = 0.5 * (2.0 * std::f64::consts::PI * 1000.0 * k as f64 / 48_000.0).sin();
        assert!((f64::from(*y) - exact).abs() < 1e-3, "{k}: {y} {exact}");
    }
}

/// Of 16 bits, which some machines filter in integers as long as the settings allow it.
#[test]
fn sixteen_bits_follow_every_change() {
    let (from, to) = (44_100, 48_000);
    let caps = |rate| caps("S16LE", rate, 2, "interleaved");
    let rig = Rig::new("rustresample", "", &caps(from), &caps(to));
    let input = sine(44_100, 1000.0, from, 0.5);
    let feed = |buffers: std::ops::Range<usize>| {
        for at in buffers.map(|i| 441 * i) {
            let frames = input[at..at + 441].iter();
            // The right channel is the left one mirrored.
            let bytes = frames.flat_map(|v| {
                let v = (v * 32_767.0).round() as i16;
                [v, -v].map(i16::to_le_bytes).concat()
            });
            rig.push(raw(bytes.collect(), 441, at as u64, from));
        }
    };
    let set = |property, value| rig.element.set_property_from_str(property, value);
    feed(0..20);
    set("quality", "2");
    feed(20..30);
    set("quality", "7");
    feed(30..40);
    set("quality", "4");
    set("sinc-filter-mode", "interpolated");
    feed(40..50);
    assert_eq!(rig.element.property::<String>("active-engine"), "sinc");
    set("sinc-filter-mode", "auto");
    feed(50..70);
    assert_eq!(rig.element.property::<String>("active-engine"), "polyphase");
    feed(70..100);
    let buffers = rig.finish();
    super::common::assert_continuous(&buffers, gst::ClockTime::ZERO);
    let mut k = 0;
    for buffer in &buffers {
        let map = buffer.map_readable().unwrap();
        for frame in map.as_chunks::<4>().0 {
            let exact = 0.5 * (2.0 * std::f64::consts::PI * 1000.0 * f64::from(k) / 48_000.0).sin();
            for (sample, exact) in frame.as_chunks().0.iter().zip([exact, -exact]) {
                let error = f64::from(i16::from_le_bytes(*sample)) / 32_767.0 - exact;
                let settled = (1000..47_000).contains(&k);
                assert!(!settled || error.abs() < 1e-3, "{k}: {error}");
            }
            k += 1;
        }
    }
    assert_eq!(k, 44_099 * 160 / 147 + 1);
}

/// A correction changes the number of frames by its factor; the tone stays whole, and the
/// timestamps count the frames.
#[test]
fn rate_correction_follows_a_drifting_clock() {
    for (from, to) in [(48_000, 16_000), (48_000, 48_000)] {
        let rig = Rig::new("rustresample", "engine=sinc", &mono(from), &mono(to));
        let input = sine(480_000, 200.0, from, 0.5);
        for (i, part) in input.chunks(48_000).enumerate() {
            let correction = 1.0 + 1e-3 * (i % 3) as f64;
            rig.element.set_property("rate-correction", correction);
            feed(&rig, part, 480, 48_000 * i as u64, from);
        }
        let buffers = rig.finish();
        let output = samples(&buffers);
        // Seconds at 1.000, 1.001 and 1.002 in turn, but for the seconds' ends.
        let expected = f64::from(to) * (10.0 + 9e-3);
        assert!(
            (output.len() as f64 - expected).abs() < 4.0 + 64.0 * 1e-3,
            "{}",
            output.len()
        );
        super::common::assert_continuous(&buffers, gst::ClockTime::ZERO);
        // Without clicks: the second difference of a sine is bounded by w^2 times its height.
        let w = 2.0 * std::f64::consts::PI * 200.0 / f64::from(to);
        let limit = (0.5 * w * w * 1.02) as f32 + 2e-4;
        for n in 400..output.len() - 400 {
            let bend = output[n - 1] - 2.0 * output[n] + output[n + 1];
            assert!(bend.abs() < limit, "{from} {to} {n}: {bend}");
        }
    }
}

/// A new rate downstream goes on in the time that the correction has made: the output is the same clock
/// as before, whether the input's timestamps follow that clock or count its own frames.
#[test]
fn a_new_rate_downstream_keeps_the_corrected_time() {
    let forwards = [(1.1, false), (1.1, true), (0.9, false), (0.9, true)];
    let backwards = forwards.map(|(correction, follows)| (correction, follows, true));
    let cases = forwards.map(|(correction, follows)| (correction, follows, false));
    for (correction, follows, reversed) in cases.into_iter().chain(backwards) {
        let case = format!("{correction} {follows} {reversed}");
        let properties = format!("rate-correction={correction}");
        let rig = Rig::new("rustresample", &properties, &mono(48_000), &mono(16_000));
        let first = gst::ClockTime::from_seconds(10);
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        if reversed {
            segment.set_rate(-1.0);
            segment.set_stop(2 * first);
            rig.segment(&segment);
        }
        // A tenth of a second of time is made or lost before the new rate comes, as much until another.
        let step = if follows { correction } else { 1.0 };
        let at = |frames: u64| {
            gst::ClockTime::from_nseconds((frames as f64 * step * 1e9 / 48e3).round() as u64)
        };
        let mut marks = vec![];
        for i in 0..300u64 {
            if i == 100 || i == 200 {
                marks.push(rig.buffers().len());
                rig.want(&mono(if i == 100 { 44_100 } else { 8000 }));
            }
            let mut buffer = f32s(&noise(480, i as u32), 1, 0, 48_000);
            let pts = match reversed {
                false => first + at(480 * i),
                true => first - at(480 * i) - time(479, 48_000),
            };
            buffer.get_mut().unwrap().set_pts(pts);
            rig.push(buffer);
        }
        let buffers = rig.finish();
        // What an output is of the input's frames, and how long it lasts.
        let period = 1e9 / 48_000.0 * correction;
        // Instant of the next output, forwards and backwards, in ns of the stream.
        let mut expected = 0.0f64;
        // Input frames before it.
        let mut position = 0.0f64;
        let mut rate = 16_000.0;
        for (n, buffer) in buffers.iter().enumerate() {
            if let Some(change) = marks.iter().position(|at| *at == n) {
                rate = [44_100.0, 8000.0][change];
                // It starts at a whole frame of the input.
                let whole = (position - 1e-6).ceil();
                assert!(whole - position < 1.0, "{case}");
                expected += (whole - position) * period;
                position = whole;
            }
            let frames = (buffer.size() / 4) as f64;
            let pts = buffer.pts().unwrap().nseconds() as f64;
            let base = first.nseconds() as f64;
            let found = match reversed {
                false => pts - base,
                true => base - pts - (frames - 1.0) * 1e9 / rate,
            };
            assert!(
                (found - expected).abs() < 2.0,
                "{case} {n}: {found} {expected}"
            );
            expected += frames * 1e9 / rate;
            position += frames * 48_000.0 / rate / correction;
            let afresh = buffer.flags().contains(gst::BufferFlags::DISCONT);
            assert_eq!(afresh, n == 0, "{case} {n}");
        }
        // To the last output that lies in the input, as if the rate had always been the last one.
        let left = 144_000.0 - 1.0 - position;
        assert!((-6.0 / correction..0.0).contains(&left), "{case}: {left}");
    }
}

/// rubato's engines by name, in every format and layout, changed while playing and with a ratio that
/// drifts.
#[test]
fn rubato_does_the_work_where_it_is_asked_to() {
    let (from, to) = (44_100, 48_000);
    for (format, layout) in [
        ("F32LE", "interleaved"),
        ("S16LE", "non-interleaved"),
        ("S32BE", "interleaved"),
    ] {
        for engine in ["rubato-fft", "rubato-sinc"] {
            let caps = |rate| caps(format, rate, 2, layout);
            let properties = format!("engine={engine}");
            let rig = Rig::new("rustresample", &properties, &caps(from), &caps(to));
            for at in 0..100 {
                let width = if format == "S16LE" { 2 } else { 4 };
                rig.push(raw(vec![0; 441 * 2 * width], 441, 441 * at, from));
            }
            assert_eq!(
                rig.element.property::<String>("active-engine"),
                engine,
                "{format}"
            );
            let frames =
                |buffer: &gst::Buffer| buffer.size() / if format == "S16LE" { 4 } else { 8 };
            let total: usize = rig.finish().iter().map(frames).sum();
            assert_eq!(total, 44_099 * 160 / 147 + 1, "{engine} {format}");
        }
    }
    let rig = Rig::new("rustresample", "engine=rubato-fft", &mono(from), &mono(to));
    let input = sine(88_200, 1000.0, from, 0.5);
    feed(&rig, &input[..22_050], 441, 0, from);
    assert_eq!(
        rig.element.property::<String>("active-engine"),
        "rubato-fft"
    );
    // One and a half blocks of 294 frames.
    assert_eq!(rig.latency(), time(440, from));
    rig.element.set_property_from_str("engine", "rubato-sinc");
    feed(&rig, &input[22_050..44_100], 441, 22_050, from);
    assert_eq!(
        rig.element.property::<String>("active-engine"),
        "rubato-sinc"
    );
    rig.element.set_property_from_str("engine", "polyphase");
    feed(&rig, &input[44_100..66_150], 441, 44_100, from);
    rig.element.set_property_from_str("engine", "rubato-fft");
    rig.element.set_property("rate-correction", 1.001);
    feed(&rig, &input[66_150..], 441, 66_150, from);
    // Its blocks follow no correction; its sincs do.
    assert_eq!(
        rig.element.property::<String>("active-engine"),
        "rubato-sinc"
    );
    let buffers = rig.finish();
    super::common::assert_continuous(&buffers, gst::ClockTime::ZERO);
    let output = samples(&buffers);
    // The last quarter, from the output on that was next at the change, is a thousandth longer.
    let nominal = 88_199.0 * 160.0 / 147.0 + 1.0;
    let longer = output.len() as f64 - nominal;
    assert!((23.0..25.5).contains(&longer), "{longer}");
    for (k, y) in output.iter().enumerate().take(71_000).skip(1000) {
        let exact = 0.5 * (2.0 * std::f64::consts::PI * 1000.0 * k as f64 / 48_000.0).sin();
        assert!((f64::from(*y) - exact).abs() < 1e-3, "{k}: {y} {exact}");
    }
}

#[test]
fn methods_are_as_named() {
    // A ramp shows what each does: nearest repeats, the others follow it.
    let ramp: Vec<f32> = (0..400).map(|n| n as f32 / 400.0).collect();
    for method in ["nearest", "linear", "cubic", "blackman-nuttall", "kaiser"] {
        let run = |factory: &str| {
            let properties = format!("resample-method={method}");
            let rig = Rig::new(factory, &properties, &mono(8000), &mono(16_000));
            feed(&rig, &ramp, 80, 0, 8000);
            (rig.latency(), samples(&rig.finish()))
        };
        let (latency, ours) = run("rustresample");
        let (their_latency, theirs) = run("audioresample");
        assert_eq!(latency, their_latency, "{method}");
        assert_eq!(ours.len(), theirs.len(), "{method}");
        for (k, y) in ours.iter().enumerate().take(600).skip(200) {
            let exact = if method == "nearest" {
                (k / 2) as f32 / 400.0
            } else {
                k as f32 / 800.0
            };
            assert!((y - exact).abs() < 2e-4, "{method} {k}: {y} {exact}");
        }
    }
}

/// Below the fraction of input over output rate the outputs lie more than an input frame apart.
#[test]
fn any_correction_makes_as_many_frames_as_it_says() {
    for (from, to, correction) in [
        (44_100, 48_000, 0.95),
        (44_100, 48_000, 0.9),
        (44_100, 48_000, 1.1),
        (88_200, 96_000, 0.91),
        (47_952, 48_000, 0.99),
        (47_952, 48_000, 0.9989),
        (96_000, 48_500, 0.95),
        (48_000, 48_000, 0.9),
    ] {
        let properties = format!("rate-correction={correction}");
        let rig = Rig::new("rustresample", &properties, &mono(from), &mono(to));
        feed(&rig, &[0.0; 4410], 441, 0, from);
        let frames: usize = rig.finish().iter().map(|b| b.size() / 4).sum();
        let exact = 4409.0 * f64::from(to) / f64::from(from) * correction;
        assert_eq!(
            frames,
            exact.floor() as usize + 1,
            "{from} {to} {correction}"
        );
    }
}

/// Texts of the warnings since the last time.
fn warnings(rig: &Rig) -> Vec<String> {
    let messages = std::iter::from_fn(|| rig.bus.pop());
    messages
        .filter_map(|m| match m.view() {
            gst::MessageView::Warning(w) => Some(w.error().message().to_string()),
            _ => None,
        })
        .collect()
}

/// What no filter can meet is said once, with what can be met; that is taken without a word.
#[test]
fn a_latency_that_no_filter_meets_is_named_with_the_least() {
    let (from, to) = (48_000, 44_100);
    // Half of the eight taps of quality 0.
    let least = 4 * 1_000_000_000u64 / 48_000;
    let rig = Rig::new("rustresample", "max-latency=1000", &mono(from), &mono(to));
    let input = noise(4800, 3);
    feed(&rig, &input[..960], 480, 0, from);
    let texts = warnings(&rig);
    assert_eq!(texts.len(), 1, "{texts:?}");
    for part in [
        "max-latency=1000 ",
        "48000 to 44100 Hz",
        "takes 83333 ns",
        "takes 20833 ns",
    ] {
        assert!(texts[0].contains(part), "{part}: {}", texts[0]);
    }
    assert_eq!(rig.latency().nseconds(), least);

    // Another bound, one ns short.
    rig.element.set_property("max-latency", least - 1);
    feed(&rig, &input[960..1920], 480, 960, from);
    let texts = warnings(&rig);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("max-latency=83332 "), "{}", texts[0]);

    // Other changes do not say it again.
    rig.element.set_property("quality", 2i32);
    feed(&rig, &input[1920..2880], 480, 1920, from);
    assert_eq!(warnings(&rig), [""; 0]);

    rig.element.set_property("max-latency", least);
    feed(&rig, &input[2880..3840], 480, 2880, from);
    assert_eq!(warnings(&rig), [""; 0]);
    assert_eq!(rig.latency().nseconds(), least);

    rig.element.set_property("max-latency", 20_833u64);
    rig.element
        .set_property_from_str("resample-method", "nearest");
    feed(&rig, &input[3840..], 480, 3840, from);
    assert_eq!(warnings(&rig), [""; 0]);
    assert_eq!(rig.latency().nseconds(), 20_833);
    rig.finish();
}

/// A bound between two qualities takes the lower one, to the ns.
#[test]
fn a_latency_is_never_rounded_up() {
    let (from, to) = (44_100, 48_000);
    // 16 frames are those of quality 2.
    let exact = time(16, from).nseconds();
    for (max, frames) in [(exact - 1, 8), (exact, 16)] {
        let properties = format!("max-latency={max}");
        let rig = Rig::new("rustresample", &properties, &mono(from), &mono(to));
        feed(&rig, &noise(4410, 3), 441, 0, from);
        assert_eq!(rig.latency(), time(frames, from));
        assert_eq!(warnings(&rig), [""; 0]);
    }
}

/// Rates a billion apart: an error that says how to mend it, before the memory is asked for.
#[test]
fn more_output_than_memory_is_refused() {
    let rig = Rig::new("rustresample", "", &mono(1), &mono(i32::MAX as u32));
    rig.push(f32s(&[0.0; 20], 1, 0, 1));
    let refused = (1..100u64).find_map(|i| rig.try_push(f32s(&[0.0; 20], 1, 20 * i, 1)).err());
    assert_eq!(refused, Some(gst::FlowError::Error));
    let messages = std::iter::from_fn(|| rig.bus.pop());
    let texts: Vec<_> = messages
        .filter_map(|m| match m.view() {
            gst::MessageView::Error(e) => Some(e.error().message().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("send shorter buffers"), "{}", texts[0]);
}
