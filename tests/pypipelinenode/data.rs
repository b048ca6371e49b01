// SPDX-License-Identifier: MIT

//! Arrays in and out: addresses, shapes, types, times.

use crate::{Run, STEREO, assert_same, common, finish, pipeline, run, run_ok};

/// Addresses that the node posted, in order.
fn addresses(run: &Run) -> Vec<usize> {
    run.structures("address")
        .iter()
        .map(|s| s.get::<i64>("at").unwrap() as usize)
        .collect()
}

#[test]
fn in_place_is_the_same_memory() {
    let run = run_ok(
        20,
        "def process(audio, ctx):\n    audio *= 0.5\n    ctx.post('address', at=audio.ctypes.data)\n",
        "",
    );
    let inputs: Vec<_> = run.input.iter().map(|s| s.address).collect();
    let outputs: Vec<_> = run.output.iter().map(|s| s.address).collect();
    assert_eq!(addresses(&run), inputs);
    assert_eq!(outputs, inputs);
    for (a, b) in run.input.iter().zip(&run.output) {
        let half: Vec<f32> = a.f32().iter().map(|x| x * 0.5).collect();
        assert_eq!(b.f32(), half);
        assert_eq!((a.pts, a.duration), (b.pts, b.duration));
    }
    assert_eq!(run.metric::<u64>("num-samples"), 20 * 480);
    assert_eq!(run.metric::<u64>("num-errors"), 0);
}

#[test]
fn a_returned_array_is_the_memory_of_the_buffer() {
    let run = run_ok(
        20,
        "def process(audio, ctx):\n    out = audio * 2\n    ctx.post('address', at=out.ctypes.data)\n    return out\n",
        "",
    );
    let outputs: Vec<_> = run.output.iter().map(|s| s.address).collect();
    assert_eq!(addresses(&run), outputs);
    assert_eq!(run.output[7].f32()[100], run.input[7].f32()[100] * 2.0);
}

#[test]
fn an_array_that_the_node_uses_again_is_copied() {
    let run = run_ok(
        10,
        "import numpy as np\n\
         class N:\n\
         \x20   def __init__(self): self.out = np.zeros((480, 2), np.float32)\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       self.out[:] = audio\n\
         \x20       ctx.post('address', at=self.out.ctypes.data)\n\
         \x20       return self.out\n",
        "class=N",
    );
    assert_same(&run.input, &run.output);
    for (own, out) in addresses(&run).iter().zip(&run.output) {
        assert_ne!(*own, out.address);
    }
}

#[test]
fn a_kept_array_stays_as_it_was() {
    let run = run_ok(
        50,
        "class N:\n\
         \x20   def __init__(self): self.kept = []\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       self.kept.append((audio, audio[10:20], audio.copy()))\n\
         \x20   def stop(self):\n\
         \x20       assert len(self.kept) == 50\n\
         \x20       for whole, part, copy in self.kept:\n\
         \x20           assert (whole == copy).all() and (part == copy[10:20]).all()\n\
         \x20           whole[:] = 0\n",
        "class=N",
    );
    assert_same(&run.input, &run.output);
    let warned = run
        .messages
        .iter()
        .any(|m| m.type_() == gst::MessageType::Warning);
    assert!(!warned, "stop() failed");
}

#[test]
fn strided_fortran_bytes_views_and_generators() {
    for (what, code) in [
        ("reversed twice", "return audio[::-1][::-1]"),
        ("fortran", "return np.asfortranarray(audio)"),
        ("strided", "return np.repeat(audio, 2, axis=1)[:, ::2]"),
        ("bytes", "return audio.tobytes()"),
        ("bytearray", "return bytearray(audio.tobytes())"),
        ("the input", "return audio"),
        ("a view", "return audio[:]"),
        ("a copy", "return audio.copy()"),
    ] {
        let text = format!("import numpy as np\ndef process(audio, ctx):\n    {code}\n");
        let run = run_ok(5, &text, "");
        assert!(run.failures().is_empty(), "{what}: {:?}", run.failures());
        assert_same(&run.input, &run.output);
    }
    let run = run_ok(
        5,
        "def process(audio, ctx):\n    yield audio[:100]\n    yield audio[100:300].tobytes()\n    yield audio[300:300]\n    yield audio[300:]\n",
        "",
    );
    assert_eq!(run.output.len(), 15);
    let (a, b): (Vec<u8>, Vec<u8>) = (
        run.input.iter().flat_map(|s| s.data.clone()).collect(),
        run.output.iter().flat_map(|s| s.data.clone()).collect(),
    );
    assert!(a == b);
    let mut next = gst::ClockTime::ZERO;
    for out in &run.output {
        assert!(out.pts.unwrap().nseconds().abs_diff(next.nseconds()) <= 1);
        next = out.pts.unwrap() + out.duration.unwrap();
    }
}

#[test]
fn a_generator_may_use_its_array_again() {
    for properties in ["", "isolation=process"] {
        let run = run_ok(
            3,
            "import numpy as np\n\
             def process(audio, ctx):\n\
             \x20   block = np.empty_like(audio[:160])\n\
             \x20   for k in range(3):\n\
             \x20       block[:] = k\n\
             \x20       yield block\n",
            properties,
        );
        assert!(run.failures().is_empty(), "{:?}", run.failures());
        assert_eq!(run.output.len(), 9);
        for (i, out) in run.output.iter().enumerate() {
            let (got, want) = (out.f32(), vec![(i % 3) as f32; 320]);
            assert_eq!(got, want, "buffer {i}, {properties}");
        }
    }
}

#[test]
fn a_file_may_define_what_looks_its_module_up() {
    let run = run_ok(
        1,
        "from __future__ import annotations\n\
         from dataclasses import dataclass\n\
         @dataclass\n\
         class Settings:\n\
         \x20   gain: float = 0.5\n\
         def process(audio, ctx): audio *= Settings().gain\n",
        "",
    );
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    assert_eq!(run.output[0].f32()[100], run.input[0].f32()[100] * 0.5);
}

#[test]
fn what_cannot_be_audio_is_refused_by_name() {
    for (code, expected) in [
        ("audio.astype('f8')", "float64"),
        ("audio[:, :1]", "(480, 1)"),
        ("audio.T", "(2, 480)"),
        ("3", "int"),
        ("'text'", "item 0"),
        ("[1, 2]", "item 0"),
        ("b'123'", "3 bytes"),
        ("object()", "object"),
        ("audio.astype('>f4')", "expected float32"),
    ] {
        let run = run_ok(
            1,
            &format!("def process(audio, ctx):\n    return {code}\n"),
            "",
        );
        let failures = run.failures();
        assert_eq!(failures.len(), 1, "{code}");
        let message: String = failures[0].get("message").unwrap();
        assert!(message.contains(expected), "{code}: {message}");
        assert_eq!(failures[0].get::<&str>("exception"), Ok("OutputError"));
        assert_same(&run.input, &run.output);
    }
}

#[test]
fn every_format_and_layout_has_its_array() {
    for (format, dtype, size) in [
        ("S8", "int8", 1),
        ("U8", "uint8", 1),
        ("S16LE", "int16", 2),
        ("U16LE", "uint16", 2),
        ("S32LE", "int32", 4),
        ("U32LE", "uint32", 4),
        ("F32LE", "float32", 4),
        ("F64LE", "float64", 8),
    ] {
        for layout in ["interleaved", "non-interleaved"] {
            for first in ["frames-first", "channels-first"] {
                let shape = if first == "frames-first" {
                    "(480, 3)"
                } else {
                    "(3, 480)"
                };
                let text = format!(
                    "def process(audio, ctx):\n\
                     \x20   assert audio.dtype == '{dtype}' and audio.shape == {shape}, (audio.dtype, audio.shape)\n\
                     \x20   assert ctx.format == '{format}' and ctx.channels == 3 and ctx.rate == 48000\n\
                     \x20   assert '{layout}' in ctx.caps\n\
                     \x20   return audio.copy()\n"
                );
                let caps = format!(
                    "rustaudioconvert ! audio/x-raw,format={format},rate=48000,channels=3,layout={layout},channel-mask=(bitmask)0x7"
                );
                let run = finish(&pipeline(2, &caps, &text, &format!("layout={first}")));
                assert!(!run.has_error(), "{format} {layout} {first}");
                assert!(run.failures().is_empty(), "{:?}", run.failures());
                assert_eq!(run.output[0].data.len(), 480 * 3 * size);
                assert_same(&run.input, &run.output);
            }
        }
    }
}

#[test]
fn a_shared_buffer_is_read_only_unless_the_node_asks() {
    let line = |text: &str| {
        let path = crate::node(text);
        common::launch(&format!(
            "{}3 ! {STEREO} ! tee name=t  t. ! queue ! fakesink name=other \
             t. ! queue ! pypipelinenode name=node class=N module={} ! fakesink",
            crate::SOURCE,
            path.display()
        ))
    };
    let body = "    def process(self, audio, ctx):\n        audio *= 0\n";
    let p = line(&format!("class N:\n{body}"));
    // Holds every buffer, so that all of them are shared.
    let held = common::capture(&p, "other");
    let run = finish(&p);
    assert_eq!(held.lock().unwrap().len(), 3);
    let failures = run.failures();
    assert_eq!(failures.len(), 3);
    assert!(
        failures[0]
            .get::<&str>("message")
            .unwrap()
            .contains("in_place = True")
    );
    assert_same(&run.input, &run.output);

    let p = line(&format!("class N:\n    in_place = True\n{body}"));
    let held = common::capture(&p, "other");
    let run = finish(&p);
    assert!(run.failures().is_empty(), "{:?}", run.failures());
    assert!(run.output.iter().all(|s| s.f32().iter().all(|x| *x == 0.0)));
    for (kept, seen) in held.lock().unwrap().iter().zip(&run.input) {
        assert!(
            kept.map_readable().unwrap().as_slice() == seen.data,
            "the other branch changed"
        );
    }

    // A retry gets it no more writable than the first attempt did, whatever the node keeps.
    let p = line(
        "class N:\n\
         \x20   kept = []\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       assert not audio.flags.writeable\n\
         \x20       self.kept.append(audio)\n\
         \x20       if len(self.kept) % 2: raise ConnectionError('later')\n",
    );
    let held = common::capture(&p, "other");
    let run = finish(&p);
    assert_eq!(held.lock().unwrap().len(), 3);
    let kinds = run.failures();
    let kinds: Vec<&str> = kinds.iter().map(|f| f.get("exception").unwrap()).collect();
    assert_eq!(kinds, ["ConnectionError"; 3]);
    assert_same(&run.input, &run.output);
}

#[test]
fn output_caps_change_rate_format_and_channels() {
    let run = run_ok(
        10,
        "import numpy as np\n\
         class N:\n\
         \x20   def output_caps(self, caps):\n\
         \x20       assert caps == {'format': 'F32LE', 'rate': 48000, 'channels': 2, 'layout': 'interleaved'}\n\
         \x20       return {'rate': 16000, 'format': 'S16', 'channels': 1}\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       return (audio[::3, 0] * 32767).astype(np.int16)\n",
        "class=N",
    );
    assert_eq!(run.output.len(), 10);
    for (a, b) in run.input.iter().zip(&run.output) {
        assert_eq!(b.data.len(), 160 * 2);
        assert_eq!((a.pts, a.duration), (b.pts, b.duration));
        let got: Vec<i16> = bytemuck::pod_collect_to_vec(&b.data);
        assert_eq!(got[1], (a.f32()[6] * 32767.0) as i16);
    }
}

#[test]
fn a_node_that_holds_audio_back_keeps_its_times() {
    // Two buffers at a time, from the second on.
    let run = run_ok(
        10,
        "import numpy as np\n\
         class N:\n\
         \x20   held = None\n\
         \x20   def process(self, audio, ctx):\n\
         \x20       if self.held is None:\n\
         \x20           self.held = audio.copy()\n\
         \x20           return []\n\
         \x20       both = np.concatenate([self.held, audio])\n\
         \x20       self.held = None\n\
         \x20       return both\n",
        "class=N",
    );
    assert_eq!(run.output.len(), 5);
    for (i, out) in run.output.iter().enumerate() {
        assert_eq!(out.pts, Some(i as u64 * 20 * gst::ClockTime::MSECOND));
        assert_eq!(out.duration, Some(20 * gst::ClockTime::MSECOND));
    }
    let joined =
        |seen: &[crate::Seen]| seen.iter().flat_map(|s| s.data.clone()).collect::<Vec<_>>();
    assert!(joined(&run.input) == joined(&run.output));
}

#[test]
fn nan_passes_and_none_without_own_caps_is_an_error() {
    let run = run_ok(
        2,
        "def process(audio, ctx):\n    audio[:] = float('nan')\n",
        "",
    );
    assert!(
        run.output
            .iter()
            .all(|s| s.f32().iter().all(|x| x.is_nan()))
    );
    let run = run_own_caps();
    let (text, _) = common::error(&run.messages);
    assert!(text.contains("output_caps"), "{text}");
}

fn run_own_caps() -> Run {
    run(
        2,
        "class N:\n    def output_caps(self, caps): return {'rate': 8000}\n    def process(self, audio, ctx): pass\n",
        "class=N",
    )
}
