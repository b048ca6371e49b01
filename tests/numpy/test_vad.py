"""Speech detection of arrays."""
import copy
import doctest
import pickle
import signal
import sys
import threading
import unittest

import numpy as np

from gstrustaudio import SpeechDetector, probabilities, speech, speech_timestamps

RATE = 16_000
DETECTORS = ["silero", "neural", "spectral", "energy"]


def bursts(seconds=4, rate=RATE, seed=1):
    """Something like voiced speech: pulses through resonances, on and off, over faint noise."""
    rng = np.random.default_rng(seed)
    n = int(seconds * rate)
    t = np.arange(n) / rate
    phase = np.cumsum(120 * (1 + 0.05 * np.sin(2 * np.pi * 3 * t))) / rate
    voice = sum(a * np.sin(2 * np.pi * k * phase)
                for k, a in [(1, 0.5), (2, 0.8), (4, 1.0), (5, 0.7), (9, 0.3), (18, 0.15), (21, 0.1)])
    syllables = 0.5 * (1 - np.cos(2 * np.pi * 4 * t))
    on = (t % 2 >= 0.5) & (t % 2 < 1.5)
    return (0.08 * voice * syllables * on + 1e-4 * rng.standard_normal(n)).astype("f4")


def steps(*levels, rate=RATE):
    """Stretches of a tone: (seconds, amplitude)."""
    parts = [a * np.sin(2 * np.pi * 440 * np.arange(round(s * rate)) / rate) for s, a in levels]
    return np.concatenate(parts).astype("f4")


def heard(detector, chunks):
    told = [detector.push(chunk) for chunk in chunks] + [detector.flush()]
    return (np.concatenate([t.probabilities for t in told]), [e for t in told for e in t.edges])


def cut(x, sizes):
    at, chunks = 0, []
    for size in sizes:
        chunks.append(x[at:at + size])
        at += size
    return chunks + [x[at:]]


class Whole(unittest.TestCase):
    def test_one_probability_for_each_whole_10_ms(self):
        for rate in (8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000):
            for frames in (0, 1, rate // 100 - 1, rate // 100 + 1, rate, rate + rate // 200):
                for name in DETECTORS:
                    p = probabilities(np.zeros(frames, "f4"), rate, detector=name)
                    whole = next(n for n in range(200) if ((n + 1) * rate + 50) // 100 > frames)
                    self.assertEqual((p.shape, p.dtype), ((whole,), np.float32), (rate, frames, name))

    def test_all_formats_layouts_and_strides_are_the_same_audio(self):
        x = bursts(2)
        whole = np.round(x * 32768).astype("i2")
        exact = whole / 32768
        wide = np.zeros((len(x), 5), "f4")
        wide[:, 2] = exact
        forms = {
            "int16": whole, "int32": whole.astype("i4") << 16, "float64": exact, "big-endian": whole.astype(">i2"),
            "uint16": (whole.astype("i4") + 32768).astype("u2"), "one channel": exact[:, None],
            "strided": wide[:, 2], "backwards": exact[::-1].copy()[::-1], "list": exact.tolist(),
            "read-only": np.frombuffer(whole.tobytes(), "i2"),
        }
        for name in DETECTORS:
            expected = probabilities(exact.astype("f4"), RATE, detector=name)
            for form, array in forms.items():
                got = probabilities(array, RATE, detector=name)
                np.testing.assert_array_equal(got, expected, f"{name} {form}")

    def test_channels_are_heard_by_their_mean_however_they_lie(self):
        x = bursts(2)
        stereo = np.stack([x, 0.25 * x[::-1]], 1)
        for name in ("silero", "spectral"):
            expected = probabilities(stereo.mean(1), RATE, detector=name)
            got = probabilities(stereo, RATE, detector=name)
            np.testing.assert_allclose(got, expected, atol=1e-4)
            for form, array in {
                "Fortran": np.asfortranarray(stereo), "planes apart": np.zeros((3, 2, len(x)), "f4"),
                "planes backwards": np.stack([stereo[:, 1], stereo[:, 0]]).T[:, ::-1],
                "every other frame": np.repeat(stereo, 2, axis=0)[::2],
            }.items():
                if form == "planes apart":
                    array[1] = stereo.T
                    array = array[1].T
                np.testing.assert_array_equal(probabilities(array, RATE, detector=name), got, form)

    def test_long_recordings_are_heard_to_their_end_in_every_layout(self):
        x = bursts(23, 8000)
        stereo = np.stack([x, 0.5 * x], 1)
        expected = probabilities(stereo, 8000, detector="spectral")
        for form, array in {"Fortran": np.asfortranarray(stereo), "gaps": np.repeat(stereo, 3, axis=1)[:, ::3]}.items():
            np.testing.assert_array_equal(probabilities(array, 8000, detector="spectral"), expected, form)

    def test_speech_is_heard_and_silence_is_not(self):
        p = probabilities(bursts(4), RATE, detector="spectral")
        self.assertGreater(p[70:140].mean(), 0.8)
        self.assertLess(p[170:240].mean(), 0.3)

    def test_nan_counts_as_nothing_and_infinity_as_loud(self):
        x = bursts(1)
        broken = x.copy()
        broken[100], broken[9000], broken[200] = np.nan, np.inf, -np.inf
        mended = np.clip(np.nan_to_num(broken, nan=0, posinf=1e9, neginf=-1e9), -16, 16)
        for name in DETECTORS:
            np.testing.assert_array_equal(
                probabilities(broken, RATE, detector=name), probabilities(mended, RATE, detector=name), name)

    def test_the_array_is_not_written_to(self):
        x = bursts(1)
        before = x.copy()
        probabilities(x, RATE)
        speech_timestamps(x, RATE)
        np.testing.assert_array_equal(x, before)

    def test_look_ahead_moves_no_probability_in_time(self):
        x = steps((0.5, 0), (0.5, 0.5), (0.5, 0))
        for ahead in (0, 30, 100):
            p = probabilities(x, RATE, detector="energy", look_ahead_ms=ahead)
            np.testing.assert_array_equal(np.flatnonzero(np.diff(p)), [49, 99])

    def test_signals_are_seen_to_within_a_long_recording(self):
        handled, done = [], threading.Event()
        seen = threading.Semaphore(0)

        def handler(number, frame):
            handled.append(number)
            seen.release()

        def send():
            # The next one when the last was seen to.
            while not done.is_set():
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
                seen.acquire()

        before = signal.signal(signal.SIGUSR1, handler)
        thread = threading.Thread(target=send)
        try:
            thread.start()
            probabilities(np.zeros(RATE * 600, "i2"), RATE)
        finally:
            done.set()
            seen.release()
            thread.join()
            signal.signal(signal.SIGUSR1, before)
        self.assertGreater(len(handled), 5)

    def test_what_a_callback_raises_ends_a_long_recording(self):
        class Enough(Exception):
            pass

        told = []

        def progress(percent):
            told.append(percent)
            if len(told) == 2:
                raise Enough

        with self.assertRaises(Enough):
            speech_timestamps(np.zeros(RATE * 40, "i2"), RATE, progress_tracking_callback=progress)
        self.assertEqual(told, [25, 50])


class Timestamps(unittest.TestCase):
    def times(self, x, **kwargs):
        found = speech_timestamps(x, RATE, detector="energy", **kwargs)
        return [(s["start"], s["end"]) for s in found]

    def test_samples_or_seconds(self):
        x = steps((1, 0), (1, 0.5), (1.005, 0))
        self.assertEqual(self.times(x), [(RATE - 480, 2 * RATE + 480)])
        self.assertEqual(self.times(x, return_seconds=True), [(1.0, 2.0)])
        self.assertEqual(self.times(x, return_seconds=True, time_resolution=3), [(0.97, 2.03)])

    def test_the_end_of_the_recording_ends_the_last_segment(self):
        x = steps((0.5, 0), (0.565, 0.5))
        self.assertEqual(self.times(x), [(8000 - 480, len(x))])
        # No end beyond that of the recording.
        self.assertEqual(self.times(x, return_seconds=True, time_resolution=1), [(0.5, 1.065)])

    def test_short_speech_is_dropped_and_short_silence_bridged(self):
        x = steps((0.5, 0), (0.2, 0.5), (0.5, 0), (0.3, 0.5), (0.09, 0), (0.3, 0.5), (0.5, 0))
        first, second = (8000, 11_200), (19_200, 30_240)
        self.assertEqual(self.times(x, speech_pad_ms=0), [second])
        self.assertEqual(self.times(x, speech_pad_ms=0, min_speech_duration_ms=190), [first, second])
        split = self.times(x, speech_pad_ms=0, min_silence_duration_ms=80)
        self.assertEqual(split, [(19_200, 24_000), (25_440, 30_240)])

    def test_long_speech_is_cut_at_its_longest_silence(self):
        x = steps((0.5, 0), (1, 0.5), (0.15, 0), (0.5, 0.5), (0.12, 0), (2, 0.5), (0.5, 0))
        rules = dict(speech_pad_ms=0, min_silence_duration_ms=200, max_speech_duration_s=2.5)
        self.assertEqual(self.times(x, **rules)[0], (8000, 24_000))
        last = self.times(x, use_max_poss_sil_at_max_speech=False, **rules)
        self.assertEqual(last[0], (8000, 34_400))

    def test_the_first_hop_between_the_thresholds_goes_on(self):
        x = steps((0.5, 0), (0.5, 0.5), (0.5, 0))
        # The energy detector knows nothing between 0 and 1.
        self.assertEqual(self.times(x, threshold=1.0, neg_threshold=1.0), self.times(x))

    def test_other_rates_give_the_same_times(self):
        for rate in (8000, 44_100, 48_000):
            x = steps((1, 0), (1, 0.5), (1, 0), rate=rate)
            [found] = speech_timestamps(x, rate, detector="energy")
            self.assertEqual(found, {"start": rate - int(rate * 0.03 + 0.5), "end": int(2 * rate + rate * 0.03)})


class Streams(unittest.TestCase):
    def test_however_a_stream_is_cut_it_is_heard_the_same(self):
        rng = np.random.default_rng(7)
        for rate, dtype, channels in [(16_000, "f4", 1), (48_000, "i2", 2), (44_100, "f8", 1)]:
            x = bursts(3, rate)
            if dtype == "i2":
                x = np.round(x * 32768)
            x = np.stack([x] * channels, 1).astype(dtype) if channels > 1 else x.astype(dtype)
            for name in DETECTORS:
                make = lambda: SpeechDetector(rate, channels, detector=name, max_speech_duration_s=0.6)
                expected, edges = heard(make(), [x])
                for sizes in [[1] * 500, [rate // 100] * 200, [0, 5, 0, 7000], rng.integers(0, 3000, 40)]:
                    got, found = heard(make(), cut(x, sizes))
                    np.testing.assert_array_equal(got, expected, f"{rate} {name}")
                    self.assertEqual(found, edges)

    def test_it_hears_what_the_whole_signal_function_hears(self):
        x = bursts(3)
        for name in ("silero", "neural", "spectral"):
            for ahead in (0, 30, 100):
                got, _ = heard(SpeechDetector(RATE, detector=name, look_ahead_ms=ahead), cut(x, [777] * 30))
                np.testing.assert_array_equal(got, probabilities(x, RATE, detector=name, look_ahead_ms=ahead))

    def test_edges_are_in_order_padded_and_know_their_segment(self):
        x = steps((0.5, 0), (0.5, 0.5), (0.5, 0), (0.505, 0.5))
        _, edges = heard(SpeechDetector(RATE, detector="energy"), cut(x, [1000] * 20))
        self.assertEqual([(e.speech, e.sample, e.segment, e.start) for e in edges],
                         [(True, 7520, 1, 7520), (False, 16_480, 1, 7520), (True, 23_520, 2, 23_520),
                          (False, len(x), 2, 23_520)])
        self.assertEqual([e.time for e in edges], [e.sample / RATE for e in edges])
        self.assertEqual([e.segment_level is None for e in edges], [True, False, True, False])
        self.assertAlmostEqual(edges[0].level, -9.03, delta=0.1)
        self.assertEqual(edges[0].probability, 1.0)

    def test_an_edge_comes_as_soon_as_it_is_certain(self):
        x = steps((0.5, 0), (0.5, 0.5), (0.5, 0))
        detector = SpeechDetector(RATE, detector="energy", min_speech_duration_ms=30, min_silence_duration_ms=100)
        came = {}
        for n in range(0, len(x), 160):
            for edge in detector.push(x[n:n + 160]).edges:
                came[edge.speech] = n + 160
            self.assertLessEqual(detector.position - detector.decided, detector.delay + 160)
        self.assertEqual(came, {True: 8000 + 3 * 160, False: 16_000 + 10 * 160})
        self.assertFalse(detector.speech)

    def test_flush_starts_another_recording_and_reset_forgets(self):
        x = steps((0.5, 0), (0.5, 0.5))
        detector = SpeechDetector(RATE, detector="energy")
        _, first = heard(detector, [x])
        _, second = heard(detector, [(x * 32767).astype("i2")])
        self.assertEqual([(e.sample, e.segment) for e in first + second],
                         [(7520, 1), (16_000, 1), (7520, 2), (16_000, 2)])
        detector.push(x[:-100])
        detector.reset()
        self.assertEqual((detector.position, detector.decided, detector.speech), (0, 0, False))
        _, third = heard(detector, [x])
        self.assertEqual([e.segment for e in third], [1, 1])

    def test_a_stream_has_one_detector(self):
        for copies in (copy.copy, copy.deepcopy, pickle.dumps):
            with self.assertRaisesRegex(TypeError, "cannot be copied or pickled: make another one"):
                copies(SpeechDetector(RATE))

    def test_a_second_thread_gets_an_error(self):
        detector = SpeechDetector(RATE, detector="neural")
        x = np.zeros(RATE * 20, "f4")
        errors, running = [], threading.Event()

        def hear():
            running.set()
            detector.push(x)

        for _ in range(100):
            running.clear()
            thread = threading.Thread(target=hear)
            thread.start()
            running.wait(30)
            while thread.is_alive() and not errors:
                try:
                    detector.position
                except RuntimeError as error:
                    errors.append(str(error))
            thread.join()
            if errors:
                break
        self.assertIn("another thread uses this SpeechDetector", errors[0])
        self.assertEqual(detector.position % len(x), 0)

    def test_other_threads_run_meanwhile(self):
        x = np.zeros(RATE * 60, "f4")
        counted, done = [0], threading.Event()

        def hear():
            probabilities(x, RATE, detector="neural")
            done.set()

        interval = sys.getswitchinterval()
        # A thread that holds the lock would keep it.
        sys.setswitchinterval(1000)
        try:
            thread = threading.Thread(target=hear)
            thread.start()
            while not done.is_set():
                counted[0] += 1
                done.wait(0.0001)
            thread.join()
        finally:
            sys.setswitchinterval(interval)
        self.assertGreater(counted[0], 10)


class Errors(unittest.TestCase):
    def test_what_came_and_what_was_expected(self):
        x = np.zeros(1600, "f4")
        used = SpeechDetector(RATE)
        used.push(x)
        for call, kind, text in [
            (lambda: probabilities(x, 7999), ValueError, "rate: expected 8000 to 768000 Hz, got 7999"),
            (lambda: probabilities(x.astype("c8"), RATE), TypeError, "x: expected samples of"),
            (lambda: probabilities(x.astype("f2"), RATE), TypeError, "float16: x.astype('float32') is of one of them"),
            (lambda: probabilities("text", RATE), TypeError, "x: expected"),
            (lambda: probabilities(x.reshape(2, 2, 400), RATE), ValueError,
             "x: expected shape (frames,) or (frames, channels), got (2, 2, 400)"),
            *[(lambda function=function: function(np.zeros((1, 1600)), RATE), ValueError, "x: expected at most 1024 channels, "
               "got 1600 by shape (1, 1600): if channels come first, pass x.T") for function in (probabilities, speech_timestamps)],
            (lambda: probabilities(np.zeros((5, 0)), RATE), ValueError, "got (5, 0)"),
            (lambda: probabilities(x, RATE, detector="webrtc"), ValueError,
             "detector: expected 'silero', 'neural', 'spectral' or 'energy', got 'webrtc'"),
            (lambda: probabilities(x, RATE, look_ahead_ms=50), ValueError,
             "look_ahead_ms: expected 0, 30, 60 or 100 for detector='neural', got 50"),
            (lambda: probabilities(x, RATE, detector="spectral", look_ahead_ms=60), ValueError,
             "look_ahead_ms: expected 0, 30 or 100 for detector='spectral', got 60"),
            (lambda: speech_timestamps(x, RATE, threshold=1.5), ValueError, "threshold: expected 0 to 1, got 1.5"),
            (lambda: speech_timestamps(x, RATE, neg_threshold=-1), ValueError, "neg_threshold: expected 0 to 1, got -1"),
            (lambda: speech_timestamps(x, RATE, speech_pad_ms=-1), ValueError, "speech_pad_ms: expected 0 or more"),
            (lambda: speech_timestamps(x, RATE, max_speech_duration_s=float("nan")), ValueError,
             "max_speech_duration_s: expected 0 or more, got nan"),
            (lambda: SpeechDetector(RATE, 0), ValueError, "channels: expected 1 to 1024, got 0"),
            (lambda: SpeechDetector(RATE, -1), ValueError, "channels: expected 1 to 1024, got -1"),
            (lambda: SpeechDetector(-1), ValueError, "rate: expected 8000 to 768000 Hz, got -1"),
            (lambda: speech_timestamps(x, 10**30), ValueError, f"rate: expected 8000 to 768000 Hz, got {10**30}"),
            *[(lambda name=name, ms=ms: SpeechDetector(RATE, **{name: ms}), ValueError,
               f"{name}: expected 0 to 60000 ms, got {ms}")
              for name in ("min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms")
              for ms in (float("inf"), float("nan"), 1e13, 60001, 10**400)],
            (lambda: speech_timestamps(x, RATE, look_ahead_ms=-1), ValueError,
             "look_ahead_ms: expected 0, 30, 60 or 100 for detector='neural', got -1"),
            (lambda: probabilities(x, RATE, look_ahead_ms=30.5), TypeError, "look_ahead_ms: expected an int, got float"),
            (lambda: probabilities(x, RATE, look_ahead_ms=10**5000), ValueError, "got a number of 16610 bits"),
            *[(lambda db=db: SpeechDetector(RATE, detector="energy", energy_threshold=db), ValueError,
               f"energy_threshold: expected -120 to 0 dBFS, got {said}")
              for db, said in ((float("nan"), "NaN"), (1, "1"), (-121, "-121"))],
            (lambda: probabilities(x, RATE, detector="energy", energy_threshold="x"), TypeError,
             "energy_threshold: expected a number, got str"),
            (lambda: SpeechDetector(RATE, 2).push(x), ValueError, "x: expected 2 channels, got shape (1600,)"),
            (lambda: used.push(np.zeros((10, 2), "f4")), ValueError, "x: expected 1 channel, got shape (10, 2)"),
            (lambda: used.push(x.astype("i2")), TypeError,
             "x: expected dtype float32 as before, got int16; reset() starts another recording"),
        ]:
            with self.subTest(text=text), self.assertRaises(kind) as caught:
                call()
            self.assertIn(text, str(caught.exception))

    def test_numbers_of_any_size_are_times(self):
        # The longest that there are; the rest is none at all.
        for seconds in (1e9, 1e300, float("inf"), 10**400):
            detector = SpeechDetector(RATE, detector="energy", min_speech_duration_ms=60_000, min_silence_duration_ms=60_000,
                                      speech_pad_ms=60_000, max_speech_duration_s=seconds)
            self.assertEqual(detector.push(steps((1, 0.5))).edges, [])
            self.assertEqual(speech_timestamps(steps((1, 0), (1, 0.5)), RATE, detector="energy", speech_pad_ms=seconds),
                             [{"start": 0, "end": 2 * RATE}])

    def test_examples_in_the_documentation(self):
        failed, tried = doctest.testmod(speech)
        self.assertEqual(failed, 0)
        self.assertGreater(tried, 10)


if __name__ == "__main__":
    unittest.main()
