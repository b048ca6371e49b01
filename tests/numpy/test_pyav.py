from __future__ import annotations

import doctest
import io
import os
import re
import subprocess
import tempfile
import unittest
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any, List

import av
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import gstrustaudio
from gstrustaudio import convert, pyav, resample
from gstrustaudio.pyav import _DTYPES, _packed, process_frames, to_array, to_frame
from support import Case, noise


def frames(x: Any, format: str, layout: str, rate: int, size: int = 1024, pts: int = 0) -> List[Any]:
    """`x`, (samples, channels), as a stream of frames."""
    parts = [x[at : at + size] for at in range(0, len(x), size)]
    planar = format.endswith("p")
    return [to_frame(np.ascontiguousarray(p.T) if planar else p, format, layout, rate, pts + i * size)
            for i, p in enumerate(parts)]


def joined(stream: Any) -> Any:
    arrays = [to_array(f).T if f.format.is_planar else to_array(f) for f in stream]
    return np.concatenate(arrays) if arrays else np.empty(0)


def decoded() -> List[Any]:
    """Frames as a decoder makes them, with a piece of memory for each plane."""
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as sink:
        track = sink.add_stream("aac", rate=48000, layout="stereo")
        for frame in frames(noise((9600, 2), "float32"), "fltp", "stereo", 48000):
            sink.mux(track.encode(frame))
        sink.mux(track.encode(None))
    file.seek(0)
    with av.open(file) as source:
        return list(source.decode(audio=0))


class Frames(Case):
    def test_arrays_are_views_of_packed_frames(self) -> None:
        for format, dtype in [("u8", "u1"), ("s16", "i2"), ("s32", "i4"), ("flt", "f4"), ("dbl", "f8")]:
            x = noise((100, 2), dtype)
            packed = to_frame(x, format, "stereo", 48000, 7)
            self.assertEqual(to_array(packed).__array_interface__["data"][0], packed.planes[0].buffer_ptr)
            self.same(to_array(packed), x)
            self.assertEqual((packed.pts, packed.time_base, packed.sample_rate), (7, Fraction(1, 48000), 48000))
            planes = to_frame(np.ascontiguousarray(x.T), format + "p", "stereo", 48000)
            self.same(to_array(planes), np.ascontiguousarray(x.T))
            self.same(planes.to_ndarray(), np.ascontiguousarray(x.T))

    def test_what_is_not_asked_for_stays(self) -> None:
        x = noise((5000, 2), "int16")
        source = frames(x, "s16p", "stereo", 44100, pts=99)
        for frame in source:
            frame.pts, frame.time_base = frame.pts * 2, Fraction(1, 88200)
        result = list(process_frames(source, function=lambda a: a // 2))
        self.assertEqual([(f.pts, f.time_base, f.format.name, f.layout.name, f.sample_rate) for f in result],
                         [(f.pts, f.time_base, "s16p", "stereo", 44100) for f in source])
        self.same(joined(result), x // 2)

    def test_rate_format_and_layout_as_the_functions_on_arrays(self) -> None:
        x = noise((9600, 2), "float32")
        for source in ["flt", "fltp"]:
            for target in ["dbl", "dblp"]:
                got = list(process_frames(frames(x, source, "stereo", 48000), format=target, layout="mono", rate=16000))
                self.assertEqual({(f.format.name, f.layout.name, f.sample_rate, f.time_base) for f in got},
                                 {(target, "mono", 16000, Fraction(1, 16000))})
                expected = resample(convert(x, "float64", channels=1), 48000, 16000)
                self.same(joined(got), expected)
                at = 0
                for f in got:
                    self.assertEqual(f.pts, at)
                    at += f.samples

    def test_formats_and_layouts_of_pyav_are_their_names(self) -> None:
        x = noise((100, 2), "float32")
        frame = to_frame(x, av.AudioFormat("flt"), av.AudioLayout("stereo"), 48000)
        (made,) = process_frames([frame], format=av.AudioFormat("s16"), layout=av.AudioLayout("mono"))
        (named,) = process_frames([frame], format="s16", layout="mono")
        self.assertEqual((made.format.name, made.layout.name), ("s16", "mono"))
        self.same(to_array(made), to_array(named))

    def test_the_narrow_format_comes_last(self) -> None:
        x = noise((9600, 1), "float32")
        got = joined(process_frames(frames(x, "flt", "mono", 48000), format="s16", rate=16000, dither="none"))
        self.same(got, convert(resample(x, 48000, 16000), "int16", dither="none"))
        got = joined(process_frames(frames(convert(x, "uint8"), "u8", "mono", 48000), rate=16000, dither="none"))
        self.assertEqual(got.dtype, np.uint8)

    def test_frames_that_nothing_is_done_to_are_passed_on(self) -> None:
        source = frames(noise((5000, 2), "int16"), "s16p", "stereo", 44100)
        for wanted in [{}, {"format": "s16p", "layout": "stereo", "rate": 44100}]:
            for a, b in zip(source, process_frames(source, **wanted), strict=True):  # type: ignore[arg-type]
                self.assertIs(a, b)

    def test_planes_that_lie_apart_are_those_of_frames_in_one_piece(self) -> None:
        apart = decoded()
        starts = [plane.buffer_ptr for plane in apart[0].planes]
        self.assertNotEqual(starts[1] - starts[0], apart[0].samples * 4)
        together = [to_frame(to_array(f), f.format.name, f.layout.name, f.sample_rate, f.pts, f.time_base)
                    for f in apart]
        self.same(to_array(apart[1]), to_array(together[1]))
        for wanted in [{"format": "s16"}, {"format": "s32p"}, {"rate": 16000}, {"format": "s16p", "rate": 44100},
                       {"format": "flt", "rate": 16000}, {"layout": "mono", "rate": 8000}, {"layout": "mono"}]:
            got, expected = (list(process_frames(f, **wanted)) for f in (apart, together))  # type: ignore[arg-type]
            self.same(joined(got), joined(expected))
            self.assertEqual([f.pts for f in got], [f.pts for f in expected])
            self.assertGreater(abs(joined(got).astype("f8")).max(), 0.1)

    def test_input_frames_stay_as_they_are(self) -> None:
        source = frames(noise((5000, 2), "float32"), "fltp", "stereo", 48000)
        before = joined(source)

        def double(x: Any) -> Any:
            x *= 2
            return x

        got = list(process_frames(source, function=double))
        self.same(joined(source), before)
        self.same(joined(got), before * 2)

    @given(st.data())
    def test_however_a_stream_is_cut_it_comes_out_the_same(self, data: Any) -> None:
        x = noise((data.draw(st.integers(1, 6000)), 2), "float32")
        source, target = (data.draw(st.sampled_from(["u8", "s16p", "s32", "flt", "fltp", "dblp"])) for _ in range(2))
        wanted = {
            "format": target, "layout": data.draw(st.sampled_from(["mono", "stereo"])),
            "rate": data.draw(st.sampled_from([48000, 16000, 44100])), "dither": "none",
            "noise_shaping": data.draw(st.sampled_from(["none", "simple"])),
        }
        if target == "s16p":
            # The dither of what is resampled in 16 bits goes from plane to plane.
            wanted["rate"] = 48000
        samples = convert(x, _DTYPES[_packed(source)], dither="none")
        cut: List[Any] = []
        for size in data.draw(st.lists(st.integers(1, 3000), max_size=6)) + [6000]:
            at = sum(f.samples for f in cut)
            if at < len(x):
                cut += frames(samples[at:at + size], source, "stereo", 48000, size, at)
        whole = frames(samples, source, "stereo", 48000, 6000)
        got, expected = (joined(process_frames(f, **wanted)) for f in (cut, whole))
        self.same(got, expected)

    def test_the_noise_of_frames_differs(self) -> None:
        x = np.full((2048, 1), 0.4 / 32768, np.float32)
        a, b = process_frames(frames(x, "flt", "mono", 48000), format="s16")
        self.assertTrue((to_array(a) != to_array(b)).any())

    def test_a_gap_and_a_change_end_the_signal_before_them(self) -> None:
        x = noise((4800, 1), "float32")
        source = frames(x, "flt", "mono", 48000) + [None] + frames(x, "flt", "mono", 48000, pts=48000)
        source += frames(x, "flt", "mono", 24000, pts=72000)
        got = list(process_frames(source, rate=16000))
        one, slow = resample(x, 48000, 16000), resample(x, 24000, 16000)
        self.same(joined(got), np.concatenate([one, one, slow]))
        starts = [a.pts for a, b in zip(got, [None, *got]) if b is None or a.pts != b.pts + b.samples]
        self.assertEqual(starts, [0, 16000, 48000])

    def test_frames_without_pts(self) -> None:
        x = noise((4800, 1), "float32")
        source = frames(x, "flt", "mono", 48000)
        for f in source:
            f.pts = None
        got = list(process_frames(source, rate=16000))
        self.assertEqual({f.pts for f in got}, {None})
        self.same(joined(got), resample(x, 48000, 16000))

    def test_what_came_and_what_was_expected(self) -> None:
        x = noise((100, 2), "float32")
        self.raises(TypeError, "array: expected dtype int16 for format 's16', got float32",
                    lambda: to_frame(x, "s16", "stereo", 48000))
        self.raises(ValueError, "array: expected shape (2, samples) for 'fltp' and 'stereo', got (100, 2)",
                    lambda: to_frame(x, "fltp", "stereo", 48000))
        self.raises(ValueError, "format: expected one of 'u8', 'u8p', 's16', 's16p', 's32', 's32p', 'flt', 'fltp', "
                    "'dbl', 'dblp', got 's24'", lambda: to_frame(x, "s24", "stereo", 48000))
        self.raises(ValueError, "layout: 'stereo' to '4.0' needs a mix_matrix; without go 'mono', 'stereo', 'quad', "
                    "'5.1', '7.1'", lambda: list(process_frames(frames(x, "flt", "stereo", 48000), layout="4.0")))
        frame = to_frame(x, "flt", "stereo", 48000)
        for words, kind, options in [
            ("rate: expected 1 Hz to 2147483647 Hz, got 0", ValueError, {"rate": 0}),
            ("rate: expected 1 Hz to 2147483647 Hz, got -1", ValueError, {"rate": -1}),
            ("rate: expected a whole number of Hz, got '16000'", TypeError, {"rate": "16000"}),
            ("rate: expected a whole number of Hz, got 16000.0", TypeError, {"rate": 16000.0}),
            ("function: expected to return float32 of shape (100, 2), got NoneType", ValueError, {"function": lambda x: None}),
        ]:
            self.raises(kind, words, lambda options=options: list(process_frames([frame], **options)))
        self.raises(TypeError, "frames: expected av.AudioFrame, got ndarray", lambda: list(process_frames([x])))
        self.raises(ValueError, "rate: expected 1 Hz to 2147483647 Hz, got 0", lambda: to_frame(x, "flt", "stereo", 0))
        self.raises(TypeError, "array: expected dtype float32 for format 'flt', got float64",
                    lambda: to_frame([[0.0]], "flt", "mono", 8000))
        self.raises(ValueError, "function: expected to return float32 of shape (100, 2), got float32 of shape (2,)",
                    lambda: list(process_frames(frames(x, "flt", "stereo", 48000), function=lambda a: a[0])))


    def test_the_loop_of_the_page_makes_a_file(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "numpy.md").read_text(encoding="utf-8")
        [loop] = re.findall(r"```python\n(import av\n.*?)```", page, re.DOTALL)
        with tempfile.TemporaryDirectory() as folder:
            with av.open(f"{folder}/in.mp3", "w") as sink:
                track = sink.add_stream("mp3", rate=48000, layout="stereo")
                for frame in frames(noise((48000, 2), "float32"), "fltp", "stereo", 48000, 1152):
                    sink.mux(track.encode(frame))
                sink.mux(track.encode(None))
            exec(loop.replace('"in.mp3"', f'"{folder}/in.mp3"').replace('"out.flac"', f'"{folder}/out.flac"'), {})
            with av.open(f"{folder}/out.flac") as made:
                [stream] = made.streams
                self.assertEqual((stream.rate, stream.layout.name), (16000, "mono"))
                self.assertEqual(sum(frame.samples for frame in made.decode(audio=0)), 16000)

    def test_examples_in_the_documentation(self) -> None:
        found = doctest.testmod(pyav)
        self.assertEqual(found.failed, 0)
        self.assertGreater(found.attempted, 6)


class Pipeline(Case):
    def test_the_elements_make_the_same_bytes_of_a_file(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "in.wav"
            with wave.open(str(path), "wb") as f:
                f.setnchannels(2)
                f.setsampwidth(2)
                f.setframerate(44100)
                f.writeframes(noise((44100, 2), "int16").tobytes())
            env = {k: v for k, v in os.environ.items() if not k.startswith("GST_")}
            env |= {"GST_PLUGIN_PATH": str(gstrustaudio.plugin_path().parent), "GST_REGISTRY": f"{folder}/registry"}
            subprocess.run(
                ["gst-launch-1.0", "-q", "filesrc", f"location={path}", "!", "wavparse", "!", "rustaudioconvert", "!",
                 "audio/x-raw,format=F32LE,channels=1", "!", "rustresample", "!", "audio/x-raw,rate=16000", "!",
                 "filesink", f"location={folder}/out.raw"],
                env=env, check=True, timeout=60,
            )
            expected = np.fromfile(f"{folder}/out.raw", np.float32)
            with av.open(str(path)) as source:
                # What the element has by default: audioresample's quality, at its latency.
                got = joined(process_frames(source.decode(audio=0), format="flt", layout="mono", rate=16000,
                                            quality=4, engine="polyphase"))
        self.assertEqual(len(expected), 16000)
        self.same(got[:, 0], expected)


if __name__ == "__main__":
    unittest.main()
