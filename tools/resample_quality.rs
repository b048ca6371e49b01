// SPDX-License-Identifier: MIT

//! Measures the resampler's engines and qualities with an independent meter, beside GStreamer's
//! resampler and libsoxr: Markdown tables on standard output, plots as SVG files into a folder.
//!
//! `cargo run --release --example resample_quality -- docs/img`

#[path = "../benches/rig/mod.rs"]
mod rig;

use std::fmt::Write as _;
use std::path::PathBuf;

use gstrustaudio::dsp::resample::{EngineChoice, Spec};
use rig::Converter;
use rig::meter::{Quality, measure};
use rig::peers::{Gst, GstS16, Own, OwnS16, Quantised, Soxr, engine, free};

type Rates = (u32, u32);

fn boxed(converter: impl Converter + 'static) -> Box<dyn Converter> {
    Box::new(converter)
}

fn main() -> std::io::Result<()> {
    gst::init().expect("GStreamer");
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".into()));
    std::fs::create_dir_all(&folder)?;

    println!(
        "Cells: -1 dB edge in % of the lower Nyquist frequency / worst SNR of tones up to 80 % in dB /"
    );
    println!(
        "worst alias (down) or image (up) in dB from 110 % up / from 100 % up / latency in ms. F32, mono.\n"
    );
    for rates in [(44_100, 48_000), (48_000, 16_000)] {
        println!("{} to {} Hz\n", rates.0, rates.1);
        println!(
            "| quality | audioresample | polyphase | fft | sinc | rubato-fft | rubato-sinc |\n|---|---|---|---|---|---|---|"
        );
        for quality in 0..=10 {
            let by = |choice| move || boxed(Own::new(&engine(rates, 1, quality, choice)));
            println!(
                "| {quality} | {} | {} | {} | {} | {} | {} |",
                cell(rates, || boxed(Gst::new(rates, 1, quality))),
                cell(rates, by(EngineChoice::Polyphase)),
                cell(rates, by(EngineChoice::Fft)),
                cell(rates, by(EngineChoice::Sinc)),
                cell(rates, by(EngineChoice::RubatoFft)),
                cell(rates, by(EngineChoice::RubatoSinc)),
            );
        }
        println!();
    }

    println!("S16, quality 4\n");
    println!("| rates | audioresample | rustresample |\n|---|---|---|");
    for rates in rig::PAIRS {
        println!(
            "| {} to {} | {} | {} |",
            rates.0,
            rates.1,
            cell(rates, || {
                let theirs = GstS16::new(rates, 1, 4);
                boxed(Quantised(Box::new(theirs)))
            }),
            cell(rates, || {
                let ours = OwnS16::new(&Spec::new(rates.0, rates.1, 1));
                boxed(Quantised(Box::new(ours)))
            }),
        );
    }
    println!();

    for (name, rates) in [("down", (48_000, 16_000)), ("up", (44_100, 48_000))] {
        let curves: Vec<(&str, Quality)> = [
            ("audioresample q4", true, 4),
            ("rustresample q4", false, 4),
            ("audioresample q10", true, 10),
            ("rustresample q10", false, 10),
        ]
        .into_iter()
        .map(|(label, theirs, quality)| {
            let mut make = || {
                if theirs {
                    boxed(Gst::new(rates, 1, quality))
                } else {
                    boxed(Own::new(&Spec {
                        quality,
                        ..Spec::new(rates.0, rates.1, 1)
                    }))
                }
            };
            (label, measure(rates, &mut make))
        })
        .chain(Soxr::new(rates, 1).ok().map(|_| {
            let quality = measure(rates, &mut || {
                boxed(Soxr::new(rates, 1).expect("found before"))
            });
            ("libsoxr HQ", quality)
        }))
        .chain([("rustresample fft q10", {
            measure(rates, &mut || boxed(Own::new(&free(rates, 1, 10))))
        })])
        .collect();
        let title = format!("{} to {} Hz", rates.0, rates.1);
        let gain = plot(
            &format!("{title}: frequency response (dB)"),
            &curves,
            |q| &q.gain,
            (70.0, 100.0),
            (-12.0, 1.0),
        );
        std::fs::write(folder.join(format!("resample-response-{name}.svg")), gain)?;
        let top = if name == "down" { 300.0 } else { 200.0 };
        let alias = plot(
            &format!(
                "{title}: {} (dB)",
                if name == "down" {
                    "alias"
                } else {
                    "images and noise"
                }
            ),
            &curves,
            |q| &q.alias,
            (110.0, top),
            (-160.0, -60.0),
        );
        std::fs::write(folder.join(format!("resample-alias-{name}.svg")), alias)?;
    }
    Ok(())
}

/// The figures of one converter.
fn cell(rates: Rates, make: impl Fn() -> Box<dyn Converter>) -> String {
    let quality = measure(rates, &mut || make());
    rig::meter::cell(&quality, make().latency() * 1e3)
}

const COLOURS: [&str; 6] = ["#c66", "#06c", "#a22", "#039", "#888", "#080"];

/// A line chart of points whose x is % of the lower Nyquist frequency.
fn plot(
    title: &str,
    curves: &[(&str, Quality)],
    points: impl Fn(&Quality) -> &Vec<(f64, f64)>,
    (left, right): (f64, f64),
    (bottom, top): (f64, f64),
) -> String {
    let (width, height, margin) = (640.0, 360.0, 48.0);
    let x = |v: f64| margin + (v - left) / (right - left) * (width - 2.0 * margin);
    let y = |v: f64| {
        let v = v.clamp(bottom, top);
        margin + (top - v) / (top - bottom) * (height - 2.0 * margin)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{margin}\" y=\"20\" font-size=\"13\">{title}</text>\n"
    );
    for i in 0..=5 {
        let v = bottom + (top - bottom) * f64::from(i) / 5.0;
        let h = left + (right - left) * f64::from(i) / 5.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{margin} {0:.1}H{1:.1}\" stroke=\"#ddd\"/>\
             <text x=\"4\" y=\"{2:.1}\">{v:.0}</text><text x=\"{3:.1}\" y=\"{4:.1}\">{h:.0} %</text>",
            y(v),
            width - margin,
            y(v) + 4.0,
            x(h) - 12.0,
            height - margin + 18.0,
        );
    }
    for (i, (label, quality)) in curves.iter().enumerate() {
        let mut points = points(quality).clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let line: Vec<String> = points
            .iter()
            .filter(|(f, _)| (left..=right).contains(f))
            .map(|(f, v)| format!("{:.1},{:.1}", x(*f), y(*v)))
            .collect();
        let colour = COLOURS[i % COLOURS.len()];
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.3\" points=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{label}</text>",
            line.join(" "),
            margin + 8.0 + 185.0 * (i / 2) as f64,
            height - 16.0 + 12.0 * (i % 2) as f64,
        );
    }
    svg + "</svg>\n"
}
