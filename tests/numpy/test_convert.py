from __future__ import annotations

import subprocess
import sys
import unittest
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gstrustaudio import convert
from support import Case, noise, same_elsewhere

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32"]
DTYPES = [*INTEGERS, "float32", "float64"]


def as_float(x: Any) -> Any:
    """Full scale as -1 to 1, in numpy."""
    if x.dtype.kind == "f":
        return x.astype("f8")
    half = 2.0 ** (8 * x.dtype.itemsize - 1)
    return (x.astype("f8") - (half if x.dtype.kind == "u" else 0)) / half


class Formats(Case):
    def test_every_pair_to_within_half_a_last_bit(self) -> None:
        for a in DTYPES:
            x = noise((1000,), a)
            for b in DTYPES:
                y = convert(x, b, dither="none")
                self.assertEqual((y.dtype, y.shape), (np.dtype(b), x.shape))
                bits = 24 if "float32" in (a, b) else 31
                step = 2.0 ** -min(bits, 8 * np.dtype(b).itemsize - 1)
                self.assertLessEqual(np.abs(as_float(y) - as_float(x)).max(), step / 2 * 1.0001, (a, b))

    def test_what_is_widened_comes_back(self) -> None:
        for a in INTEGERS:
            x = noise((1000,), a)
            self.same(convert(convert(x, "float64"), a, dither="none"), x)
            self.same(convert(convert(x, "int32"), a, dither="none"), x)

    def test_clipping_and_nan(self) -> None:
        x = np.array([2.0, -2.0, np.inf, -np.inf, np.nan, 1.0])
        self.same(convert(x, "int16", dither="none"), np.array([32767, -32768, 32767, -32768, 0, 32767], np.int16))

    def test_packed_bytes_of_24_bits(self) -> None:
        x = noise((500, 2), "int32")
        packed = convert(x, "S24LE")
        self.assertEqual((packed.dtype, packed.shape), (np.dtype(np.uint8), (500, 2, 3)))
        expected = np.clip((x.astype(np.int64) + 128) >> 8, -2**23, 2**23 - 1).astype("<i4")
        self.same(packed, np.ascontiguousarray(expected.view(np.uint8).reshape(500, 2, 4)[..., :3]))
        self.same(convert(packed, "S24_32LE", format="S24LE"), expected)
        self.same(convert(packed, "int32", format="S24LE"), expected << 8)
        self.same(convert(packed, "S24BE", format="S24LE"), packed[..., ::-1])
        mono = convert(packed, "float32", channels=1, format="S24LE")
        self.assertLess(np.abs(mono[:, 0] - as_float(x).mean(1)).max(), 2e-7)
        # As they come from a file.
        self.same(convert(np.frombuffer(packed.tobytes(), np.uint8).reshape(-1, 3), "int32", format="S24LE"),
                  (expected << 8).ravel())

    def test_dither_takes_the_signal_out_of_the_error(self) -> None:
        x = np.full(100_000, 0.3 / 32768)
        self.assertEqual(np.unique(convert(x, "int16", dither="none")).tolist(), [0])
        self.assertEqual(np.unique(convert(x, "int16", dither=None)).tolist(), [0])
        y = convert(x, "int16")
        self.assertAlmostEqual(y.mean(), 0.3, delta=0.01)
        self.assertAlmostEqual(y.var(), 0.25 + 0.3 * 0 + 0.25, delta=0.3)
        self.same(convert(x, "int16"), y)
        self.assertTrue((convert(x, "int16", seed=1) != y).any())
        self.assertEqual(np.unique(convert(x, "S24LE", dither_threshold=20).reshape(-1, 3)[:, 0]).tolist(), [77])

    def test_whole_numbers_that_do_not_fit_are_told_by_name(self) -> None:
        for name, most, unit in [("seed", 2**64 - 1, ""), ("channels", 2**64 - 1, ""), ("rate", 2**32 - 1, " Hz"),
                                 ("dither_threshold", 2**32 - 1, "")]:
            for value in (-1, most + 1):
                self.raises(ValueError, f"{name}: expected 0 to {most}{unit}, got {value}",
                            lambda: convert(np.zeros(4), "int16", **{name: value}))
            self.raises(TypeError, "'str' object cannot be interpreted as an integer",
                        lambda: convert(np.zeros(4), "int16", **{name: "3"}))
        self.same(convert(np.zeros(99), "int16", seed=np.int64(3)), convert(np.zeros(99), "int16", seed=3))

    def test_noise_shaping_moves_the_noise_up(self) -> None:
        x = 0.1 * np.sin(np.arange(1 << 16) * 0.1)
        low = {}
        for shaping in ["none", "error-feedback", "simple", "medium", "high"]:
            y = convert(x, "int16", noise_shaping=shaping, rate=48000)  # type: ignore[arg-type]
            spectrum = np.abs(np.fft.rfft((y / 32768 - x) * np.hanning(len(x)))) ** 2
            low[shaping] = spectrum[2000:5461].mean()
        for shaping in ["error-feedback", "simple", "medium", "high"]:
            self.assertLess(low[shaping], low["none"] / 1.5, low)


class Channels(Case):
    def test_stereo_and_mono(self) -> None:
        x = noise((100, 2), "float32")
        np.testing.assert_allclose(convert(x, "float32", channels=1)[:, 0], x.mean(1), rtol=0, atol=1e-7)
        self.same(convert(x[:, 0], "float32", channels=2), np.repeat(x[:, :1], 2, 1))
        self.assertEqual(convert(x, "float32", channels=6).shape, (100, 6))

    def test_a_mix_matrix(self) -> None:
        x = noise((100, 3), "float64")
        m = noise((2, 3), "float32", 1)
        np.testing.assert_allclose(convert(x, "float64", mix_matrix=m), x @ m.T.astype("f8"), rtol=0, atol=1e-15)
        np.testing.assert_allclose(convert(x.T, "float64", mix_matrix=m.tolist(), axis=1), m.astype("f8") @ x.T,
                                   rtol=0, atol=1e-15)

    def test_planes_and_frames(self) -> None:
        x = noise((100, 2), "int16")
        self.same(convert(x, "int16", planar=True), np.ascontiguousarray(x.T))
        self.same(convert(x.T, "int16", axis=1, planar=False), x)
        self.same(convert(x.T, "int32", axis=-1), np.ascontiguousarray(convert(x, "int32").T))
        self.assertEqual(convert(x, "S24LE", planar=True).shape, (2, 100, 3))

    def test_sixty_five_channels_and_one_frame(self) -> None:
        for frames in (0, 1, 700):
            x = noise((frames, 65), "int16")
            self.same(convert(x, "float32", planar=True), np.ascontiguousarray((x / np.float32(32768)).T.astype("f4")))
            mono = convert(x, "float64", mix_matrix=np.full((1, 65), 1 / 128))
            np.testing.assert_allclose(mono[:, 0], x.sum(1, dtype="f8") / 128 / 32768, rtol=0, atol=1e-9)

    def test_any_shape_where_only_the_format_changes(self) -> None:
        x = noise((3, 4, 5), "float32")
        self.same(convert(x, "int32"), convert(x.ravel(), "int32").reshape(3, 4, 5))
        self.assertEqual(convert(np.float32(0.5), "int16", dither="none").tolist(), 16384)
        # As channels they would make a mix of 10^11 coefficients.
        for x, options in [(noise((2, 300_000), "float32"), {}), (noise((300_000, 2), "float32"), {"axis": 1}),
                           (noise((600_000, 2), "float32").T[:, ::2], {}), (noise((2, 1025), "int16"), {"channels": 1025})]:
            expected = convert(x.ravel(), "int16").reshape(x.shape)
            self.same(convert(x, "int16", **options), expected)
            self.same(convert(x, "S24LE", out=np.empty((*x.shape, 3), np.uint8), **options),
                      convert(x.ravel(), "S24LE").reshape(*x.shape, 3))

    def test_what_does_not_lie_side_by_side_is_copied_once(self) -> None:
        code = """
import resource, numpy as np
from gstrustaudio import convert
x = np.ones((2, 8_000_000), np.float32)
out = np.ones((8_000_000, 1), np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert(x.T, np.float32, channels=1, out=out)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, x.nbytes // 1024)
"""
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        grown, kib = map(int, found.stdout.split())
        self.assertLess(grown, 1.5 * kib)

    @given(st.data())
    def test_strides_order_and_bytes_change_nothing(self, data: Any) -> None:
        a, b = data.draw(st.sampled_from(DTYPES)), data.draw(st.sampled_from([*DTYPES, "S24LE", ">i2", ">f8"]))
        shape = tuple(data.draw(st.lists(st.integers(0, 5), max_size=1)))
        axis = data.draw(st.integers(0, len(shape)))
        frames = data.draw(st.one_of(st.integers(0, 40), st.integers(0, 3000)))
        shape = (*shape[:axis], frames, *shape[axis:])
        x = noise(shape, a, frames)
        options: Any = {
            "axis": axis, "planar": data.draw(st.sampled_from([None, True, False])),
            "dither": data.draw(st.sampled_from(["none", "rpdf", "tpdf", "tpdf-hf"])),
            "noise_shaping": data.draw(st.sampled_from(["none", "none", "simple", "high"])),
        }
        if len(shape) == 2 and data.draw(st.booleans()):
            options["mix_matrix"] = noise((data.draw(st.integers(1, 3)), shape[1 - axis]), "float32")
            if shape[1 - axis] == 0:
                del options["mix_matrix"]
        expected = convert(x, b, **options)
        self.same(convert(data.draw(same_elsewhere(x)), b, **options), expected)
        out = np.empty_like(expected)
        self.assertIs(convert(x, b, out=out, **options), out)
        self.same(out, expected)


class Errors(Case):
    def test_what_came_and_what_was_expected(self) -> None:
        x = noise((100, 2), "float32")
        cases: Any = [
            *[(TypeError, "dtype: expected int8, uint8, int16, uint16, int32, uint32, float32, float64 or, of convert, a "
               f"format such as 'S24LE', got {name}", lambda name=name: convert(x, name)) for name in ("float16", "s24le", "S25LE")],
            (ValueError, "format: expected a name such as 'S16LE', 'S24LE', 'S24_32LE' or 'F32LE', got 'S25LE'",
             lambda: convert(x, "int16", format="S25LE")),
            (TypeError, "x: expected dtype uint8 for format S24LE, got float32",
             lambda: convert(x, "int16", format="S24LE")),
            (ValueError, "x: expected a last axis of 3 adjacent bytes for format S24LE, got shape (100, 2)",
             lambda: convert(x.astype("u1"), "int16", format="S24LE")),
            (ValueError, "channels: expected 1, 2, 4, 6 or 8 on both sides, got 3; any others by mix_matrix",
             lambda: convert(x, "int16", channels=3)),
            (ValueError, "channels: expected 1, 2, 4, 6 or 8 on both sides, got 1000000000; any others by mix_matrix",
             lambda: convert(x[:, :1], "int16", channels=10**9)),
            (ValueError, "mix_matrix: the mix matrix has 2 rows of 1 columns where 1000000000 output channels of 1 input "
             "channels are mixed", lambda: convert(x[:, 0], "int16", channels=10**9, mix_matrix=[[1], [1]])),
            (ValueError, "mix_matrix: expected at most 1024 rows, one per output channel, got 1025",
             lambda: convert(x[:, 0], "int16", mix_matrix=np.ones((1025, 1)))),
            (ValueError, "mix_matrix: the mix matrix has 1 rows of 3 columns where 1 output channels of 2 input "
             "channels are mixed", lambda: convert(x, "int16", mix_matrix=[[1, 2, 3]])),
            *[(ValueError, "x: expected at most 1024 channels, got 1025 by shape (2, 1025): is time the other axis? Name it "
               "by axis=, or transpose x", lambda options=options: convert(np.zeros((2, 1025)), "int16", **options))
              for options in ({"planar": True}, {"channels": 1}, {"mix_matrix": np.eye(1025)}, {"noise_shaping": "high"})],
            (ValueError, "axis: expected 0, 1, -1 or -2, got 2", lambda: convert(x, "int16", axis=2)),
            (ValueError, f"axis: expected one that x has, got {-10**30}", lambda: convert(x, "int16", axis=-10**30)),
            (ValueError, "seed: expected 0 to 18446744073709551615, got a number of 16610 bits",
             lambda: convert(x, "int16", seed=10**5000)),
            (ValueError, "rate: expected 0 to 4294967295 Hz, got a number of 1329 bits",
             lambda: convert(x, "int16", rate=10**400)),
            (ValueError, "dither: expected one of 'none', 'rpdf', 'tpdf', 'tpdf-hf', got 'x'",
             lambda: convert(x, "int16", dither="x")),
            (ValueError, "out: expected a contiguous array that shares no memory with x",
             lambda: convert(x, "float32", out=x)),
            (TypeError, "out: expected dtype int16, got float32", lambda: convert(x, "int16", out=x)),
            (ValueError, "x: expected (frames,) or (frames, channels) where channels are mixed, got (1, 100, 2)",
             lambda: convert(x[None], "int16", channels=2)),
        ]
        for kind, words, function in cases:
            self.raises(kind, words, function)
        with self.assertRaisesRegex(TypeError, "^mix_matrix: expected rows of numbers"):
            convert(x, "int16", mix_matrix="x")

    def test_a_signal_ends_a_long_call(self) -> None:
        n = 1 << 26
        for shape, options in [((n,), {}), ((n // 2, 2), {"planar": True}), ((2, n // 2), {"axis": 1})]:
            x = np.broadcast_to(np.float32(0.25), shape)
            whole = np.ascontiguousarray(x) if options.get("planar") else x
            y = np.zeros(shape[::-1] if "planar" in options else shape, np.int8)
            ends = lambda: (y.flat[0] != 0, y.flat[-1] != 0)
            # What is copied first is not written to before.
            done = ends if whole is not x else lambda: (True, y.flat[-1] != 0)
            self.interrupts(lambda: convert(whole, np.int8, dither="none", out=y, **options), done)


class Pieces(Case):
    """Long arrays are converted a piece at a time, which must not be heard."""

    def test_noise_goes_on_from_piece_to_piece(self) -> None:
        # Pieces of other lengths: of three channels, of two planes, of one.
        n = 4200 * 1024
        for dither in ("rpdf", "tpdf"):
            x = noise((n, 3), "float32")
            self.same(convert(x, "int16", dither=dither).ravel(), convert(x.ravel(), "int16", dither=dither))
            planes = noise((2, n), "float32")
            self.same(convert(planes, "int16", dither=dither, axis=1).ravel(), convert(planes.ravel(), "int16", dither=dither))

    def test_what_comes_later_changes_nothing(self) -> None:
        # So much of two channels is one piece.
        n, short = 4_300_001, 1_500_000
        x = noise((n, 2), "float32")
        planes, strided = np.ascontiguousarray(x.T), np.zeros((n, 4), np.float32)[:, ::2]
        strided[...] = x
        for dither, shaping in [("tpdf", "none"), ("tpdf-hf", "none"), ("tpdf", "high"), ("none", "simple")]:
            for array, axis in [(x, 0), (strided, 0), (planes, 1), (strided.T, 1)]:
                for planar in (False, True):
                    options = {"dither": dither, "noise_shaping": shaping, "axis": axis, "planar": planar}
                    whole = convert(array, "int16", **options)
                    part = convert(array[:short] if axis == 0 else array[:, :short], "int16", **options)
                    frames = whole.T if planar else whole
                    self.assertLess(np.abs(as_float(frames) - x).max(), 1e-3)
                    if axis == 1 and planar and (dither, shaping) == ("tpdf", "none"):
                        # Noise is drawn plane by plane.
                        whole, part = whole[:1], part[:1]
                    self.same(whole[:, :short] if planar else whole[:short], part)
        mono = convert(x, "float64", channels=1)
        self.assertLess(np.abs(mono[:, 0] - x.mean(1)).max(), 1e-6)
        # Planes of the result lie apart only where there is more.
        x = noise((17_000_001, 2), "int16")
        self.same(convert(x, "int16", planar=True), np.ascontiguousarray(x.T))
        self.same(np.ascontiguousarray(convert(x, "int8", planar=True)[:, :short]), convert(x[:short], "int8", planar=True))

if __name__ == "__main__":
    unittest.main()
