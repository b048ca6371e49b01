// SPDX-License-Identifier: MIT

//! Times rustfft and realfft, which the Fourier engines of this crate stand on, at 1024 points: what
//! `tools/bench_numpy` puts beside numpy's.
//!
//! ```sh
//! cargo run --release -p rustaudio-dsp --example fft
//! ```

use std::hint::black_box;
use std::time::Instant;

use realfft::RealFftPlanner;
use rustfft::num_complex::Complex;
use rustfft::{FftNum, FftPlanner};

const POINTS: usize = 1024;
const CALLS: u32 = 2000;

/// The least time of a call in microseconds.
fn best(mut call: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_secs_f64() / f64::from(CALLS) * 1e6
    };
    (0..30).map(round).fold(f64::INFINITY, f64::min)
}

/// A complex and a real transform, out of place as numpy's are, to memory that is made once.
fn measure<T: FftNum>(name: &str, sample: impl Fn(usize) -> T) {
    let real: Vec<T> = (0..POINTS).map(&sample).collect();
    let complex: Vec<_> = real.iter().map(|x| Complex::new(*x, -*x)).collect();

    let fft = FftPlanner::new().plan_fft_forward(POINTS);
    let (mut input, mut output) = (complex.clone(), complex.clone());
    let mut scratch = vec![complex[0]; fft.get_outofplace_scratch_len()];
    let took = best(|| {
        input.copy_from_slice(&complex);
        let (from, to) = (black_box(&mut input), black_box(&mut output));
        fft.process_outofplace_with_scratch(from, to, &mut scratch);
    });
    println!("complex {name}: {took:.3} us");

    let fft = RealFftPlanner::new().plan_fft_forward(POINTS);
    let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
    let mut scratch = fft.make_scratch_vec();
    let took = best(|| {
        input.copy_from_slice(&real);
        let (from, to) = (black_box(&mut input), black_box(&mut output));
        fft.process_with_scratch(from, to, &mut scratch)
            .expect("as long as planned");
    });
    println!("real {name}: {took:.3} us");
}

fn main() {
    measure("f64", |n| (n as f64 * 0.37).sin());
    measure("f32", |n| (n as f32 * 0.37).sin());
}
