// SPDX-License-Identifier: MIT

use std::time::Instant;

use gst::prelude::*;

use super::{ElementMetrics, properties};
use crate::elements::support::properties::Table;
use crate::metrics::{Report, ReportExt, Span};
use crate::resilience::lock;

/// An element, its metrics, and the bus that they are posted on.
fn heard() -> (gst::Element, gst::Bus, ElementMetrics) {
    gst::init().unwrap();
    let element = gst::ElementFactory::make("identity").build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    (element, bus, ElementMetrics::default())
}

#[test]
fn processing_time_is_what_the_work_took() {
    gst::init().unwrap();
    let element = gst::ElementFactory::make("identity").build().unwrap();
    let metrics = ElementMetrics::default();
    metrics.start();
    let mut known = 0;
    for n in 0..50 {
        let work = metrics.begin();
        let start = Instant::now();
        while start.elapsed().as_micros() < 200 {
            std::hint::spin_loop();
        }
        known += start.elapsed().as_nanos() as u64;
        let span = Span {
            pts: Some(n * 10_000_000),
            duration: 10_000_000,
            frames: 480,
            bytes: 1920,
        };
        metrics.end(&element, work, &span);
        // Downstream's time is not the element's.
        std::thread::yield_now();
    }
    let measured = metrics.processing();
    assert!(measured >= known, "{measured} {known}");
    assert!(measured as f64 <= known as f64 * 1.05, "{measured} {known}");
    let stats = metrics.current();
    assert_eq!((stats.duration, stats.times.count), (500_000_000, 50));
    assert_eq!(stats.times.sum, measured);
}

#[test]
fn switched_off_only_counts() {
    let (element, bus, metrics) = heard();
    let table = Table::<()>::new(properties("identity"));
    assert!(metrics.set_property(&false.to_value(), &table.specs()[0]));
    metrics.start();
    let work = metrics.begin();
    assert_eq!(work.elapsed(), 0);
    let span = Span {
        pts: None,
        duration: 2_000_000_000,
        frames: 7,
        bytes: 14,
    };
    metrics.end(&element, work, &span);
    metrics.finish(&element);
    assert!(bus.pop().is_none());
    assert_eq!((metrics.counters().samples, metrics.processing()), (7, 0));
}

/// Records 10 ms buffers `from..to`, the n-th of n us.
fn play(element: &gst::Element, metrics: &ElementMetrics, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let span = Span {
            pts: Some(n * 10_000_000),
            duration: 10_000_000,
            ..Span::default()
        };
        metrics.end_with(element, true, n * 1000, &span);
    }
}

fn report(bus: &gst::Bus) -> Option<Report> {
    let message = bus.pop()?;
    Some(Report::from_structure(message.structure().unwrap()).unwrap())
}

/// Start and length of its window in ms, shortest and longest work in us.
fn window(report: &Report) -> (u64, u64, u64, u64) {
    let times = report.window.times;
    let start = report.timestamp.unwrap() / 1_000_000;
    let length = report.window.duration / 1_000_000;
    (start, length, times.min / 1000, times.max / 1000)
}

#[test]
fn an_unread_message_has_no_second_one_beside_it_and_nothing_is_lost() {
    let (element, bus, metrics) = heard();
    metrics.start();
    play(&element, &metrics, 0..100);
    // A second of audio a time, so that the pace of messages plays no part.
    let second = |n: u64| {
        *lock(&metrics.publisher.posted) = None;
        play(&element, &metrics, n * 100..(n + 1) * 100);
    };
    (1..5).for_each(second);
    let first = report(&bus).unwrap();
    assert_eq!(window(&first), (0, 1000, 0, 99));
    assert_eq!(report(&bus), None);
    let window_now = metrics.current();
    assert_eq!(window_now.duration, 0, "`stats` has windows as before");
    second(5);
    let merged = report(&bus).unwrap();
    assert_eq!(window(&merged), (1000, 5000, 100, 599));
    assert_eq!(merged.window.times.p50 / 10_000, 34, "{merged:?}");
    assert_eq!(merged.counters.buffers, 600);
    second(6);
    assert_eq!(window(&report(&bus).unwrap()), (6000, 1000, 600, 699));
    (7..9).for_each(second);
    metrics.finish(&element);
    let all = [report(&bus).unwrap(), report(&bus).unwrap()];
    assert_eq!(window(&all[0]), (7000, 1000, 700, 799));
    assert!(all[1].is_final);
    assert_eq!(window(&all[1]), (0, 9000, 0, 899));
    assert_eq!(report(&bus), None);
    // Nothing of one run is told in the next.
    metrics.start();
    (0..2).for_each(second);
    assert_eq!(window(&report(&bus).unwrap()), (0, 1000, 0, 99));
}

#[test]
fn windows_of_two_segments_told_as_one_begin_in_the_first() {
    let (element, bus, metrics) = heard();
    metrics.publisher.element.set(Some(&element));
    metrics.start();
    let segment = |start| {
        let mut segment = gst::FormattedSegment::new();
        segment.set_start(gst::ClockTime::from_seconds(start));
        segment
    };
    metrics.set_segment(&segment(0));
    play(&element, &metrics, 0..250);
    metrics.set_segment(&segment(100));
    play(&element, &metrics, 10_000..10_100);
    assert_eq!(window(&report(&bus).unwrap()), (0, 1000, 0, 99));
    *lock(&metrics.publisher.posted) = None;
    play(&element, &metrics, 10_100..10_200);
    let merged = report(&bus).unwrap();
    assert_eq!(window(&merged), (1000, 3500, 100, 10_199));
    assert_eq!(merged.running_time, Some(1_000_000_000));
    *lock(&metrics.publisher.posted) = None;
    play(&element, &metrics, 10_200..10_300);
    assert_eq!(report(&bus).unwrap().running_time, Some(2_000_000_000));
}

#[test]
fn windows_in_quick_succession_are_told_as_one() {
    let (element, bus, metrics) = heard();
    metrics.start();
    let told: Vec<Report> = (0..2000)
        .filter_map(|n| {
            play(&element, &metrics, n * 100..(n + 1) * 100);
            report(&bus)
        })
        .collect();
    // However fast this went.
    metrics.finish(&element);
    let rest: Vec<Report> = std::iter::from_fn(|| report(&bus)).collect();
    let all = told.iter().chain(rest.iter().filter(|r| !r.is_final));
    let seconds: u64 = all.map(|r| window(r).1).sum();
    assert_eq!(seconds, 2_000_000);
    assert!(told.len() < 1000, "{}", told.len());
    assert!(rest.last().unwrap().is_final);
}

#[test]
fn the_final_message_comes_once_for_what_happened() {
    let (element, bus, metrics) = heard();
    let finals = || std::iter::from_fn(|| bus.pop()).count();
    metrics.finish(&element);
    assert_eq!(finals(), 0, "it never started");
    metrics.start();
    metrics.finish(&element);
    assert_eq!(finals(), 1, "EOS without a buffer");
    metrics.finish(&element);
    assert_eq!(finals(), 0, "stopped after that");
    metrics.end(&element, metrics.begin(), &Span::default());
    metrics.finish(&element);
    assert_eq!(finals(), 1, "played on after a seek");
}

#[test]
fn each_shared_property_has_one_entry() {
    let (element, _bus, metrics) = heard();
    let table = Table::<()>::new(properties("identity"));
    let specs: std::collections::HashMap<_, _> = table
        .specs()
        .iter()
        .map(|spec| (spec.name(), spec))
        .collect();
    assert_eq!(specs.len(), 4);
    let get = |name: &str| metrics.property(&element, specs[name]);
    let set = |name: &str, value: &gst::glib::Value| metrics.set_property(value, specs[name]);
    for name in ["post-metrics", "metrics-interval"] {
        let default = specs[name].default_value();
        let now = get(name).unwrap();
        assert_eq!(format!("{now:?}"), format!("{default:?}"));
    }
    assert!(set("metrics-interval", &7u64.to_value()));
    assert!(set("post-metrics", &false.to_value()));
    let interval = get("metrics-interval").unwrap().get::<u64>();
    let post = get("post-metrics").unwrap().get::<bool>();
    assert_eq!((interval, post), (Ok(7), Ok(false)));
    for name in ["stats", "stats-json"] {
        assert!(!set(name, &7u64.to_value()), "{name} is told");
        assert!(
            !specs[name]
                .flags()
                .contains(gst::glib::ParamFlags::WRITABLE)
        );
    }
    let stats = get("stats").unwrap().get::<gst::Structure>().unwrap();
    assert_eq!(stats.name(), "application/x-identity-stats");
    let json = get("stats-json").unwrap().get::<String>().unwrap();
    assert!(json.contains("\"factory\":\"identity\""), "{json}");
    let other = gst::glib::ParamSpecBoolean::builder("other").build();
    assert!(metrics.property(&element, &other).is_none());
}
