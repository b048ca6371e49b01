// SPDX-License-Identifier: MIT

//! Latency of a node in a worker process, per 480x2 F32 buffer, back to back and at the pace of a
//! live stream, and what both processes burn for it.
//!
//! `cargo run --release --example isolated_latency [BUFFERS]`

use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

const CAPS: &str = "audio/x-raw,format=F32LE,rate=48000,channels=2,layout=interleaved";

/// CPU time of this process and of the workers that have ended.
fn cpu() -> Result<Duration, nix::Error> {
    let mut sum = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            sum += Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000);
        }
    }
    Ok(sum)
}

struct Row {
    /// Sorted.
    times: Vec<Duration>,
    cpu: Duration,
    wall: Duration,
}

fn run(line: &str, count: usize, pace: Duration) -> Result<Row, nix::Error> {
    let before = cpu()?;
    let mut times = Vec::with_capacity(count);
    let began = Instant::now();
    {
        let mut h = gst_check::Harness::new_parse(line);
        h.set_src_caps_str(CAPS);
        let mut buffer = gst::Buffer::from_mut_slice(vec![0u8; 480 * 8]);
        let mut next = Instant::now();
        for _ in 0..count {
            if !pace.is_zero() {
                next += pace;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            let since = Instant::now();
            h.push(buffer).expect("a push");
            times.push(since.elapsed());
            buffer = h.pull().expect("a buffer");
        }
    }
    times.sort();
    Ok(Row {
        times,
        cpu: cpu()? - before,
        wall: began.elapsed(),
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: usize = match std::env::args().nth(1) {
        Some(n) => n.parse()?,
        None => 500,
    };
    gst::init()?;
    gstrustaudio::plugin_register_static()?;
    let path = std::env::temp_dir().join(format!("rustaudio-latency-{}.py", std::process::id()));
    std::fs::write(
        &path,
        "def noop(audio, ctx): pass\ndef gain(audio, ctx): audio *= 0.5\n",
    )?;
    println!("{count} buffers each; CPU without that of starting and stopping the worker");
    println!("node   pace      min  median     p99 us   CPU us/buffer");
    for function in ["noop", "gain"] {
        let line = format!(
            "pypipelinenode post-metrics=false isolation=process module={} function={function}",
            path.display()
        );
        let idle = run(&line, 1, Duration::ZERO)?;
        for pace in [0, 1, 10, 20] {
            let n = if pace == 0 { count * 20 } else { count };
            let r = run(&line, n, Duration::from_millis(pace))?;
            let at = |share: f64| {
                let i = ((r.times.len() - 1) as f64 * share) as usize;
                r.times[i].as_secs_f64() * 1e6
            };
            println!(
                "{function}  {pace:3} ms  {:7.1} {:7.1} {:7.1}        {:7.1} ({:.1} % of a core)",
                at(0.0),
                at(0.5),
                at(0.99),
                r.cpu.saturating_sub(idle.cpu).as_secs_f64() * 1e6 / n as f64,
                r.cpu.saturating_sub(idle.cpu).as_secs_f64() * 100.0 / r.wall.as_secs_f64(),
            );
        }
    }
    std::fs::remove_file(&path)?;
    Ok(())
}
