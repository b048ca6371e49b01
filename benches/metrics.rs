// SPDX-License-Identifier: MIT

//! What metrics cost an element per buffer: `cargo bench --bench metrics`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gst::prelude::*;
use gstrustaudio::elements::support::metrics::{ElementMetrics, properties};
use gstrustaudio::elements::support::properties::Table;
use gstrustaudio::metrics::Span;

/// An element with a bus that is emptied now and then, as an application does.
fn listened_to() -> (gst::Element, gst::Bus) {
    let element = gst::ElementFactory::make("identity").build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (element, bus)
}

fn buffers(c: &mut Criterion) {
    gst::init().unwrap();
    let mut group = c.benchmark_group("metrics per buffer");
    // One message per second of 10 ms buffers, none but the last one, no timing at all.
    for (name, post, interval) in [
        ("messages on", true, 1_000_000_000u64),
        ("final message only", true, 0),
        ("messages off", false, 0),
    ] {
        let (element, bus) = listened_to();
        let metrics = ElementMetrics::default();
        let table = Table::<()>::new(properties("identity"));
        assert!(metrics.set_property(&post.to_value(), &table.specs()[0]));
        assert!(metrics.set_property(&interval.to_value(), &table.specs()[1]));
        metrics.start();
        let (mut pts, mut left) = (0, 1000);
        group.bench_function(name, |b| {
            b.iter(|| {
                let work = metrics.begin();
                let span = Span {
                    pts: Some(pts),
                    duration: 10_000_000,
                    frames: 480,
                    bytes: 1920,
                };
                pts += span.duration;
                metrics.end(&element, work, black_box(&span));
                left -= 1;
                if left == 0 {
                    left = 1000;
                    bus.set_flushing(true);
                    bus.set_flushing(false);
                }
            })
        });
    }
    // The floor under the first row, and what it would be with the system's clock.
    group.bench_function("stopwatch alone", |b| {
        b.iter(|| gstrustaudio::metrics::Stopwatch::start().elapsed())
    });
    group.bench_function("two clock reads", |b| {
        b.iter(|| std::time::Instant::now().elapsed())
    });
    group.finish();
}

criterion_group!(benches, buffers);
criterion_main!(benches);
