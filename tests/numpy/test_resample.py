from __future__ import annotations

import gc
import threading
import tracemalloc
import unittest
from typing import Any, Callable, List

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import gstrustaudio
from gstrustaudio import ResampleStream, resample
from support import Case, noise, same_elsewhere

try:
    import soxr
except ImportError:
    soxr = None

DTYPES = ["int16", "int32", "float32", "float64"]
RATES = [(48000, 16000), (16000, 48000), (44100, 48000), (48000, 44100), (8000, 44100), (44100, 16000), (7, 5)]


def tone(rate: int, frames: int, hertz: float = 440) -> Any:
    return np.sin(2 * np.pi * hertz / rate * np.arange(frames))


class Whole(Case):
    def test_a_tone_stays_that_tone_and_in_time(self) -> None:
        for a, b in RATES[:-1]:
            for dtype, most in [("float32", 3e-6), ("float64", 3e-6), ("int16", 2.5 / 32768), ("int32", 3e-6)]:
                scale = 1.0 if dtype[0] == "f" else 2.0 ** (8 * np.dtype(dtype).itemsize - 1) - 1
                x = (tone(a, a) * scale * 0.9).astype(dtype)
                y = resample(x, a, b)
                self.assertEqual((y.dtype, y.shape), (x.dtype, (b,)))
                inner = slice(b // 4, -b // 4)
                worst = np.abs(y / scale - tone(b, b) * 0.9)[inner].max()
                self.assertLess(worst, most, (a, b, dtype))

    def test_as_long_as_its_input_says_and_halves_as_libsoxr_has_them(self) -> None:
        for a, b, n, length in [(48000, 16000, 100, 33), (48000, 16000, 101, 34), (2, 1, 1, 1), (2, 1, 3, 2),
                                (44100, 48000, 441, 480), (12000, 176400, 15, 220), (12000, 176400, 5, 74),
                                (16000, 48000, 7, 21), (3, 2, 0, 0), (48000, 44100, 1, 1), (48000, 8000, 2, 0)]:
            x = np.zeros(n, np.float32)
            self.assertEqual(len(resample(x, a, b)), length, (a, b, n))
            stream = ResampleStream(a, b, 1)
            parts = [stream.resample_chunk(x[:n // 2]), stream.resample_chunk(x[n // 2:], last=True)]
            self.assertEqual(sum(map(len, parts)), length, (a, b, n))

    @given(st.data())
    def test_as_long_as_python_soxr(self, data: Any) -> None:
        if soxr is None:
            self.assertLess(np.__version__, "2", "soxr is in newest.txt")
            return
        usual = [1, 3, 5, 7, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 37800, 44056, 44100, 47952, 48000, 88200,
                 96000, 176400, 192000]
        a, b = data.draw(st.sampled_from(usual)), data.draw(st.one_of(st.sampled_from(usual), st.integers(1, 200_000)))
        if b / a > 300 or a / b > 3000:
            return
        most = int(100_000 * min(1, a / b))
        n = data.draw(st.one_of(st.integers(0, 60), st.integers(0, most)))
        # And the nearest length whose exact result ends in a half, if there is one.
        tie = next((m for m in range(n, most) if 2 * m * b % (2 * a) == a), n)
        for frames in {n, tie}:
            x = np.zeros(frames, np.float32)
            expected = len(soxr.resample(x, a, b, "QQ"))
            self.assertEqual(len(resample(x, a, b, 0, engine="polyphase")), expected, (a, b, frames))

    def test_every_engine_and_quality_does_it(self) -> None:
        x = tone(48000, 9600).astype(np.float32)
        qualities: List[Any] = [*range(11), "QQ", "LQ", "MQ", "HQ", "VHQ", gstrustaudio.HQ]
        for engine in ["auto", "polyphase", "fft", "sinc", "rubato-fft", "rubato-sinc"]:
            for quality in qualities:
                y = resample(x, 48000, 16000, quality, engine=engine)
                self.assertLess(np.abs(y - tone(16000, 3200))[800:-800].max(), 2e-3, (engine, quality))

    def test_names_of_qualities_are_numbers(self) -> None:
        x = noise((4000,), "float32")
        for name, number in [("QQ", 0), ("LQ", 6), ("MQ", 7), ("HQ", 8), ("hq", 8), ("VHQ", 10)]:
            self.same(resample(x, 3, 2, name), resample(x, 3, 2, number))
            self.assertEqual(getattr(gstrustaudio, name.upper()), number)
        self.same(resample(x, 3, 2), resample(x, 3, 2, "HQ"))

    def test_rates_need_be_no_whole_numbers(self) -> None:
        x = noise((4410,), "float32")
        self.same(resample(x, 44100.5, 48000), resample(x, 88201, 96000))
        self.same(resample(x, 44100.0, 48000.0), resample(x, 44100, 48000))
        self.same(resample(x, 0.5, 1.5), resample(x, 1, 3))

    def test_a_correction_makes_more_frames(self) -> None:
        x = tone(48000, 48000).astype(np.float32)
        y = resample(x, 48000, 16000, rate_correction=1.01)
        self.assertEqual(len(y), 16160)
        self.assertLess(np.abs(y - tone(16160, 16160))[2000:-2000].max(), 1e-4)

    def test_nothing_in_nothing_out(self) -> None:
        for shape, expected in [((0,), (0,)), ((0, 2), (0, 2)), ((6, 0), (2, 0)), ((6, 0, 2), (2, 0, 2))]:
            self.assertEqual(resample(np.zeros(shape), 3, 1).shape, expected)

    def test_what_is_no_array_but_holds_samples(self) -> None:
        x = noise((100,), "float64")
        expected = resample(x, 3, 2)
        self.same(resample(list(x), 3, 2), expected)
        self.same(resample(memoryview(x), 3, 2), expected)

        class Exported:
            def __dlpack__(self, **arguments: Any) -> Any:
                return x.__dlpack__(**arguments)

            def __dlpack_device__(self) -> Any:
                return x.__dlpack_device__()

        self.same(resample(Exported(), 3, 2), expected)

    def test_out_is_written_and_returned(self) -> None:
        x = noise((3, 300, 2), "int16")
        expected = resample(x, 3, 2, axis=1)
        for order in "CF":
            out = np.empty((3, 200, 2), np.int16, order=order)
            self.assertIs(resample(x, 3, 2, axis=1, out=out), out)
            self.same(out, expected)
        big = np.zeros((6, 400, 2), np.int16)
        resample(x, 3, 2, axis=1, out=big[::2, ::-2])
        self.same(big[::2, ::-2], expected)
        self.assertFalse(big[1::2].any() or big[:, ::2].any())

    def test_what_came_and_what_was_expected(self) -> None:
        x = noise((300, 2), "float32")
        cases = [
            (TypeError, "x: expected samples of int8, uint8, int16, uint16, int32, uint32, float32 or float64, got "
             "dtype float16: x.astype('float32') is of one of them", lambda: resample(x.astype("f2"), 3, 2)),
            (TypeError, "x: expected samples of int8, uint8, int16, uint16, int32, uint32, float32 or float64, got "
             "dtype int64: divide x by its full scale, which such a dtype does not tell", lambda: resample([1, 2], 3, 2)),
            (TypeError, "x: expected samples of int8, uint8, int16, uint16, int32, uint32, float32 or float64, got "
             "dtype object", lambda: resample(None, 3, 2)),
            (TypeError, "x: expected dtype int16, int32, float32 or float64, got uint8",
             lambda: resample(x.astype("u1"), 3, 2)),
            (ValueError, "x: expected an array of at least one axis, got a single number", lambda: resample(1.0, 3, 2)),
            (ValueError, "axis: expected one of -2 to 1 for x of shape (300, 2), got 2",
             lambda: resample(x, 3, 2, axis=2)),
            (ValueError, f"axis: expected one that x has, got {10**30}", lambda: resample(x, 3, 2, axis=10**30)),
            (ValueError, "in_rate: expected Hz from above 0 to 4294967295, got 0", lambda: resample(x, 0, 2)),
            (ValueError, "in_rate: a number of 1329 bits is beyond all that fits", lambda: resample(x, 10**400, 2)),
            (ValueError, "out_rate: a number of 1329 bits is beyond all that fits", lambda: ResampleStream(3, 10**400, 1)),
            (TypeError, "in_rate: expected a number, got str", lambda: resample(x, "3", 2)),
            (ValueError, "rate_correction: a number of 16610 bits is beyond all that fits",
             lambda: resample(x, 3, 2, rate_correction=10**5000)),
            (ValueError, "quality: expected a number from 0 to 10, got a number of 1329 bits",
             lambda: resample(x, 3, 2, 10**400)),
            (ValueError, "out_rate: expected Hz from above 0 to 4294967295, got NaN",
             lambda: resample(x, 3, float("nan"))),
            (ValueError, "quality: expected one of 'QQ', 'LQ', 'MQ', 'HQ', 'VHQ' or a number from 0 to 10, got 'XX'",
             lambda: resample(x, 3, 2, "XX")),
            (ValueError, "quality: expected a number from 0 to 10, got 11", lambda: resample(x, 3, 2, 11)),
            (TypeError, "quality: expected a str or an int, got float", lambda: resample(x, 3, 2, 1.5)),
            (ValueError, "engine: expected one of 'auto', 'polyphase', 'fft', 'sinc', 'rubato-fft', 'rubato-sinc', "
             "got 'x'",
             lambda: resample(x, 3, 2, engine="x")),
            (TypeError, "out: expected a numpy array to write to, got list", lambda: resample(x, 3, 2, out=[1.0])),
            (TypeError, "out: expected dtype float32, got float64", lambda: resample(x, 3, 2, out=np.zeros((200, 2)))),
            (ValueError, "out: expected shape (200, 2), got (200,)",
             lambda: resample(x, 3, 2, out=np.zeros(200, np.float32))),
            (ValueError, "out: shares memory with x", lambda: resample(x, 3, 2, out=x[:200])),
        ]
        for kind, words, function in cases:
            self.raises(kind, words, function)
        out = np.zeros((200, 2), np.float32)
        out.flags.writeable = False
        self.raises(ValueError, "out: is read-only", lambda: resample(x, 3, 2, out=out))
        with self.assertRaisesRegex(ValueError, "^rate_correction: expected a number from"):
            resample(x, 3, 2, rate_correction=0)

    def test_a_signal_ends_a_long_call(self) -> None:
        for channels in (1, 2):
            frames = (1 << 26) // channels
            y = np.full((round(frames / 6), channels), np.nan, np.float32)
            long = np.broadcast_to(np.float32(0.25), (frames, channels))
            self.interrupts(lambda: resample(long, 6, 1, "QQ", out=y),
                            lambda: (not np.isnan(y[0, 0]), not np.isnan(y[-1, 0])))

    def test_pieces_of_a_long_call_make_what_chunks_make(self) -> None:
        x = noise((5_000_000,), "int16")
        stream = ResampleStream(48000, 44100, 1, "int16", "LQ")
        parts = [stream.resample_chunk(part, last=i == 6) for i, part in enumerate(np.array_split(x, 7))]
        self.same(resample(x, 48000, 44100, "LQ"), np.concatenate(parts))

    def test_one_frame_and_sixty_five_channels(self) -> None:
        for dtype in DTYPES:
            for shape in [(1,), (1, 65), (4800, 65), (1, 3, 65)]:
                x = noise(shape, dtype)
                axis = len(shape) // 2 if len(shape) == 3 else 0
                y = resample(x, 48000, 16000, axis=axis)
                expected = list(shape)
                expected[axis] = round(shape[axis] / 3)
                self.assertEqual((y.shape, y.dtype), (tuple(expected), x.dtype))
                self.assertEqual(resample(x, 16000, 48000, axis=axis).shape[axis], 3 * shape[axis])
        x = noise((4800, 65), "float32")
        stream = ResampleStream(48000, 16000, 65)
        self.same(np.concatenate([stream.resample_chunk(x[:7]), stream.resample_chunk(x[7:], last=True)]),
                  resample(x, 48000, 16000))
        self.same(resample(x, 48000, 16000)[:, 64], resample(x[:, 64], 48000, 16000))

    def test_nan_stays_in_its_channel(self) -> None:
        x = noise((9600, 2), "float32")
        clean = resample(x, 48000, 16000)
        x[4800, 1] = np.nan
        for engine in ["auto", "polyphase", "sinc", "rubato-sinc"]:
            y = resample(x, 48000, 16000, engine=engine)
            self.assertTrue(np.isnan(y[1600, 1]))
            self.assertFalse(np.isnan(y[:, 0]).any())
        self.same(resample(x, 48000, 16000)[:, 0], clean[:, 0])

    def test_another_byte_order_is_the_same_signal(self) -> None:
        # Samples of 16 bits are filtered in integers where that is fast.
        x = noise((400,), "int16")
        for quality in [0, 4, 8]:
            self.same(resample(x.astype(">i2"), 16000, 48000, quality), resample(x, 16000, 48000, quality))
        stream = ResampleStream(3, 2, 1, ">i2")
        self.same(stream.resample_chunk(x.astype(">i2"), last=True), resample(x, 3, 2))

    @given(st.data())
    def test_strides_order_and_bytes_change_nothing(self, data: Any) -> None:
        dtype = data.draw(st.sampled_from(DTYPES))
        shape = tuple(data.draw(st.lists(st.integers(1, 4), max_size=2)))
        axis = data.draw(st.integers(0, len(shape)))
        frames = data.draw(st.one_of(st.integers(0, 40), st.integers(0, 9000)))
        shape = (*shape[:axis], frames, *shape[axis:])
        a, b = data.draw(st.sampled_from(RATES))
        engine = data.draw(st.sampled_from(["auto", "polyphase", "fft", "sinc", "rubato-fft", "rubato-sinc"]))
        quality = data.draw(st.integers(0, 10))
        x = noise(shape, dtype, frames)
        expected = resample(x, a, b, quality, axis, engine=engine)
        elsewhere = data.draw(same_elsewhere(x))
        self.same(resample(elsewhere, a, b, quality, axis - len(shape), engine=engine), expected)
        # Signals of a batch depend on nothing else in it.
        if x.ndim > 1 and axis != 0:
            self.same(resample(x[0], a, b, quality, axis - 1, engine=engine), expected[0])
        if x.ndim == 2 and axis == 0 and dtype[0] == "f":
            for channel in range(x.shape[1]):
                alone = resample(x[:, channel], a, b, quality, engine=engine)
                if engine == "rubato-sinc":
                    # It adds up one channel in another order than several.
                    np.testing.assert_allclose(alone, expected[:, channel], rtol=0, atol=1e-6)
                else:
                    self.same(alone, expected[:, channel])


class Stream(Case):
    @given(st.data())
    def test_chunks_give_what_the_whole_gives(self, data: Any) -> None:
        dtype = data.draw(st.sampled_from(DTYPES))
        channels = data.draw(st.integers(1, 3))
        frames = data.draw(st.one_of(st.integers(0, 40), st.integers(0, 9000)))
        a, b = data.draw(st.sampled_from(RATES))
        engine = data.draw(st.sampled_from(["auto", "polyphase", "fft", "sinc", "rubato-fft", "rubato-sinc"]))
        x = noise((frames,) if channels == 1 else (frames, channels), dtype, frames)
        cuts = sorted(data.draw(st.lists(st.integers(0, frames), max_size=8)))
        stream = ResampleStream(a, b, channels, dtype, engine=engine)
        expected = resample(x, a, b, engine=engine)
        for _ in range(2):
            chunks = np.split(x, cuts)
            parts = [stream.resample_chunk(c, i == len(cuts))
                     for i, c in enumerate(chunks)]
            self.same(np.concatenate(parts), expected)
            self.assertEqual(stream.delay(), 0)
            stream.clear()

    def test_strided_chunks_are_those_samples(self) -> None:
        x = noise((3000, 4), "float32")
        stream = ResampleStream(3, 2, 2)
        y = stream.resample_chunk(x[::-2, 1::2], last=True)
        self.same(y, resample(np.ascontiguousarray(x[::-2, 1::2]), 3, 2))

    def test_delay_is_what_is_not_given_yet(self) -> None:
        stream = ResampleStream(48000, 16000, 1)
        self.assertEqual(stream.delay(), 0)
        given = len(stream.resample_chunk(np.zeros(4800, np.float32)))
        self.assertAlmostEqual(stream.delay(), 1600 - given, places=6)
        stream.clear()
        self.assertEqual(stream.delay(), 0)

    def test_a_bound_on_latency_holds(self) -> None:
        free, bound = ResampleStream(48000, 16000, 1), ResampleStream(48000, 16000, 1, max_latency=200)
        self.assertLessEqual(bound.latency, 200)
        self.assertGreater(free.latency, 200)
        x = np.zeros(480, np.float32)
        self.assertGreaterEqual(len(bound.resample_chunk(x)), (480 - bound.latency) // 3)

    def test_the_ratio_follows_a_clock(self) -> None:
        stream = ResampleStream(48000, 16000, 1)
        frames = 0
        for correction in [1.0, 1.001, 0.999, 1.0]:
            stream.rate_correction = correction
            self.assertEqual(stream.rate_correction, correction)
            frames += len(stream.resample_chunk(noise((48000,), "float32")))
        frames += len(stream.resample_chunk(np.zeros(0, np.float32), last=True))
        self.assertAlmostEqual(frames, 64000, delta=2)
        with self.assertRaisesRegex(ValueError, "^rate_correction: expected a number"):
            stream.rate_correction = -1.0

    def test_a_correction_that_ended_counts_where_it_was(self) -> None:
        stream = ResampleStream(48000, 16000, 1)
        tone = np.sin(2 * np.pi * 440 / 48000 * np.arange(48000), dtype=np.float32)
        for correction in [1.05, 0.95]:
            stream.rate_correction = correction
            y = [stream.resample_chunk(tone[:24000])]
            stream.rate_correction = 1.0
            y += [stream.resample_chunk(tone[24000:], last=True)]
            # What waits goes by the new ratio.
            frames = sum(map(len, y))
            self.assertAlmostEqual(frames, 8000 + 8000 * correction, delta=0.05 * stream.latency / 3)
            # To its end it is the tone, not silence.
            self.assertGreater(np.abs(y[-1][-20:]).max(), 0.9)
            stream.clear()
        # A signal without any is as long as ever.
        self.assertEqual(len(stream.resample_chunk(tone[:15], last=True)), 5)

    def test_what_came_and_what_was_expected(self) -> None:
        stream = ResampleStream(3, 2, 2)
        self.raises(TypeError, "x: expected dtype float32, as this stream was made for, got float64",
                    lambda: stream.resample_chunk(np.zeros((4, 2))))
        for shape in [(4,), (4, 3), (4, 2, 1)]:
            self.raises(ValueError, f"x: expected shape (frames, 2), got {shape}",
                        lambda: stream.resample_chunk(np.zeros(shape, np.float32)))
        stream.resample_chunk(np.zeros((4, 2), np.float32), last=True)
        self.raises(RuntimeError, "input after the last chunk: call clear() before another signal",
                    lambda: stream.resample_chunk(np.zeros((4, 2), np.float32)))
        for channels in (-1, 0, 65_537, 10**10, 10**30):
            self.raises(ValueError, f"num_channels: expected 1 to 65536, got {channels}",
                        lambda: ResampleStream(3, 2, channels))
        self.raises(ValueError, "max_latency: expected 0 to 18446744073709551615, got -1",
                    lambda: ResampleStream(3, 2, 1, max_latency=-1))
        self.raises(ValueError, "x: expected at most 65536 channels, got 65537 by shape (2, 65537): is time the other "
                    "axis? Name it by axis=, or transpose x", lambda: resample(np.zeros((2, 65_537), "f4"), 3, 2))
        self.raises(TypeError, "x: expected dtype int16, int32, float32 or float64, got uint8",
                    lambda: ResampleStream(3, 2, 1, "uint8"))
        self.assertEqual(repr(stream), "ResampleStream(3, 2, 2, dtype='float32', quality=8)")


class Machine(Case):
    def test_the_gil_is_free_meanwhile(self) -> None:
        x = np.zeros(60 * 48000, np.float32)
        counted, running = 0, threading.Event()

        def work() -> None:
            running.set()
            resample(x, 48000, 44100)
            running.clear()

        thread = threading.Thread(target=work)
        thread.start()
        running.wait()
        # With the GIL held throughout, this loop would get to run once in a switch interval at best.
        while running.is_set():
            counted += 1
        thread.join()
        self.assertGreater(counted, 1000)

    def test_two_threads_on_one_stream_get_an_error_or_take_turns(self) -> None:
        stream = ResampleStream(48000, 44100, 2)
        x = noise((480_000, 2), "float32")
        errors: List[RuntimeError] = []
        uses: List[Callable[[], object]] = [
            stream.delay, stream.clear, lambda: stream.engine, lambda: stream.latency, lambda: repr(stream),
            lambda: stream.resample_chunk(x[:480]), lambda: setattr(stream, "rate_correction", 1.0),
        ]
        for use in uses:
            errors.clear()
            # Until one met the other.
            for _ in range(1000):
                thread = threading.Thread(target=stream.resample_chunk, args=(x,))
                thread.start()
                while thread.is_alive() and not errors:
                    try:
                        use()
                    except RuntimeError as error:
                        errors.append(error)
                thread.join()
                if errors:
                    break
            self.assertEqual([str(e) for e in errors],
                             ["another thread uses this ResampleStream: give each stream one of its own"])

    def test_threads_get_what_one_gets(self) -> None:
        x = [noise((20000,), d, i) for i, d in enumerate(DTYPES * 2)]
        expected = [resample(v, 44100, 16000) for v in x]
        found: List[Any] = [None] * len(x)

        def work(i: int) -> None:
            found[i] = resample(x[i], 44100, 16000)

        for _ in range(5):
            threads = [threading.Thread(target=work, args=(i,)) for i in range(len(x))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            for a, b in zip(found, expected):
                self.same(a, b)

    def test_nothing_is_copied_on_the_way_in(self) -> None:
        # 64 MB in, 0.8 kB out: a copy would show, in numpy's own count or in the process's.
        x = np.zeros((1_000_000, 16), np.float32)
        resample(x[:1000], 100000, 1)
        before = _resident()
        tracemalloc.start()
        resample(x, 100000, 1, quality=0, engine="sinc")
        resample(np.asfortranarray(x[:10]), 100000, 1, quality=0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertLess(peak, 1_000_000)
        self.assertLess(_resident() - before, 64_000_000)

    def test_calls_leave_nothing(self) -> None:
        x = noise((480, 2), "float32")
        stream = ResampleStream(48000, 16000, 2)

        def calls() -> None:
            for _ in range(3000):
                stream.resample_chunk(x)
                resample(x, 48000, 16000)
                try:
                    stream.resample_chunk(x[0])
                except ValueError:
                    pass
            gc.collect()

        calls()
        tracemalloc.start()
        calls()
        before = tracemalloc.get_traced_memory()[0]
        calls()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        self.assertLess(after - before, 20_000)


def _resident() -> int:
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


if __name__ == "__main__":
    unittest.main()
