// SPDX-License-Identifier: MIT

//! Cost per 480x2 F32 buffer over an empty Rust element, for a no-op and a gain, in this process
//! and in a worker.
//!
//! `cargo bench --bench pypipelinenode`. gst-python's share is measured by
//! `tools/bench_gst_python.py`.

mod empty;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

const CAPS: &str = "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved";

fn harness(description: &str) -> gst_check::Harness {
    let mut h = gst_check::Harness::new_parse(description);
    h.set_src_caps_str(CAPS);
    h
}

fn node(name: &str, text: &str, properties: &str) -> String {
    let path = std::env::temp_dir().join(format!("rustaudio-bench-{name}.py"));
    std::fs::write(&path, text).expect("a temporary file");
    format!(
        "pypipelinenode post-metrics=false module={} {properties}",
        path.display()
    )
}

fn benches(c: &mut Criterion) {
    gst::init().expect("GStreamer");
    gstrustaudio::plugin_register_static().expect("the elements");
    empty::register(None).expect("the empty element");
    let noop = "def process(audio, ctx):\n    pass\n";
    let gain = "def process(audio, ctx):\n    audio *= 0.5\n";
    let fresh = "def process(audio, ctx):\n    return audio * 0.5\n";
    let cases = [
        ("empty", "rustempty".to_string()),
        ("identity", "identity silent=true".to_string()),
        ("noop", node("noop", noop, "")),
        ("gain", node("gain", gain, "")),
        ("returned", node("returned", fresh, "")),
        ("isolated noop", node("noop", noop, "isolation=process")),
        ("isolated gain", node("gain", gain, "isolation=process")),
    ];
    let mut group = c.benchmark_group("480x2 F32 buffer");
    for (name, line) in cases {
        let mut h = harness(&line);
        let mut buffer = Some(gst::Buffer::from_mut_slice(vec![0u8; 480 * 8]));
        group.bench_function(name, |b| {
            b.iter(|| {
                // One buffer goes round: no allocation but those of the element.
                let mut next = buffer.take().unwrap_or_default();
                next.make_mut().set_pts(gst::ClockTime::ZERO);
                h.push(next).expect("a push");
                buffer = Some(black_box(h.pull().expect("a buffer")));
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
