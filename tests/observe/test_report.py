"""The report page, as Chromium shows it."""
import html.parser
import re
import tempfile
import unittest

from support import METRICS, InFolder, cli, speech

from browser import chromium

from gstrustaudio import BreakerChange, Failure, Metrics, NodeFailure, Run, VadChange, VadFrame
from gstrustaudio.record import MAX_KEPT, MAX_WINDOWS
from gstrustaudio.report import html_report
from gstrustaudio.waveform import Envelope, Waveform, read_wave

S = 10**9
FLAKY = '''
class Flaky:
    def __init__(self):
        self.n = 0
    def process(self, audio, ctx):
        self.n += 1
        if self.n == 3 or 100 <= self.n:
            raise TimeoutError(f"no <answer> & {self.n}")
'''


class Shown(html.parser.HTMLParser):
    """The text of a page by section, its tables' rows and what it would load."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.titles, self.classes, self.loads, self.text = [], [], [], [], []
        self._row = self._title = None
        self._skip = False
        self.feed(page)
        self.text = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.classes.append((tag, attrs.get("class", "")))
        self.loads += [v for k, v in attrs.items() if k in ("src", "href", "xlink:href", "data")]
        if tag == "tr":
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._row.append("")
        elif tag == "title":
            self._title = ""
        self._skip = tag in ("style", "script")

    def handle_endtag(self, tag):
        if tag == "tr":
            self.rows.append([" ".join(c.split()) for c in self._row])
            self._row = None
        elif tag == "title":
            self.titles.append(self._title)
            self._title = None
        self._skip = False

    def handle_data(self, data):
        if self._skip:
            return
        if self._title is not None:
            self._title += data
        elif self._row:
            self._row[-1] += data + " "
        if self._title is None:
            self.text.append(data)

    def count(self, tag, name):
        return sum(1 for t, c in self.classes if t == tag and name in c.split())


def run_of_everything():
    run = Run(line="a ! b", pipeline="p<1>", total_time=1_500_000_000, outcome="failed")
    times = {"timestamp": 0, "stream-time": 0}
    for w in range(4):
        run.add(Metrics.from_fields({**METRICS, "running-time": w * S, "final": False}))
    run.add(Metrics.from_fields({**METRICS, "duration": 4 * S}))
    for speech_on, at in [(True, S // 2), (False, S), (True, 3 * S)]:
        run.add(VadChange.from_fields(
            {"speech": speech_on, "probability": 0.5, "level": -20.0, "noise-floor": -70.0, **times,
             "running-time": at, "duration": 0, "segment": 1 if at <= S else 2,
             "segment-level": None if speech_on else -25.0}, "vad0"))
    for at, was, state in [(S, "closed", "open"), (2 * S, "open", "half-open"), (3 * S, "half-open", "closed")]:
        run.add(BreakerChange.from_fields(
            {"state": state, "previous": was, "consecutive-failures": 5, **times, "running-time": at,
             "duration": 0}, "node0"))
    run.add(NodeFailure.from_fields(
        {"attempt": 1, "max-attempts": 4, "retryable": True, "exception": "E", "message": "<script>alert(1)</script>",
         "traceback": "</pre><img src=x>", "file": "f", "line": 1, "action": "retry", **times,
         "running-time": S, "duration": 0}, "node0"))
    run.errors.append(Failure("sink0", "it <b>broke</b>", "debug & text"))
    run.close()
    return run


def frame(element, at, probability, **scores):
    return VadFrame.from_fields(
        {"probability": probability, "speech": probability >= 0.5, "level": -20.0, "noise-floor": -70.0, "timestamp": 0,
         "stream-time": 0, "running-time": at, "duration": S // 100,
         **{f"score-{name}": value for name, value in scores.items()}}, element)


class Heard(unittest.TestCase):
    def test_courses_of_a_detector_are_drawn_with_their_gaps(self):
        run = Run()
        # Half a second of a ramp, a gap, and one second of half a probability.
        for i in range(50):
            # Half a nanosecond early, rounded down.
            run.add(frame("vad<0>", max(i * S // 100 - 1, 0), i / 50, logit=i / 5 - 5, **{"above-floor": 7.0}))
        for i in range(100, 200):
            run.add(frame("vad<0>", i * S // 100, 0.5, logit=0.0, **{"above-floor": float("inf")}))
        self.assertEqual(list(run.heard), ["vad<0>"])
        self.assertEqual(list(run.heard["vad<0>"]), ["probability", "logit", "above-floor"])
        page = html_report(run)
        shown = Shown(page)
        self.assertEqual(shown.loads, [])
        self.assertEqual(shown.count("polygon", "course"), 2 + 2 + 1)
        self.assertIn("What vad<0> heard", shown.titles)
        self.assertIn("probability 0.00 to 0.98; logit -5.00 to 4.80; above-floor 7.00 to 7.00", page)
        first, second = re.findall(r'class="course" points="([^"]+)"', page)[:2]
        points = [tuple(map(float, p.split(","))) for p in first.split()]
        self.assertEqual(len(points), 2 * 50)
        # The time axis is of 1.99 s and one nanosecond, 1000 units from 60 on; a strip is 44 high from 15 on.
        for i, (x, y) in enumerate(points[:50]):
            self.assertAlmostEqual(x, 60 + 1000 * (i + 0.5) / 199, delta=0.1)
            self.assertAlmostEqual(y, 15 + 44 * (1 - i / 50), delta=0.1)
        self.assertEqual({p.split(",")[1] for p in second.split()}, {"37.0"})

    def test_a_server_without_windows_keeps_no_courses(self):
        run = Run(max_windows=0)
        run.add(frame("vad0", 0, 0.5))
        self.assertEqual(run.heard, {})

    def test_an_envelope_tells_of_stretches_without_values(self):
        course = Envelope(width=10, limit=8)
        for i in range(16):
            if i not in (4, 5, 7):
                course.add(i * 10, i, i + 0.5)
        inf = float("inf")
        self.assertEqual(course.peaks(), [(0, 1.5), (2, 3.5), (inf, -inf), (6, 6.5), (8, 9.5), (10, 11.5), (12, 13.5), (14, 15.5)])


class Page(InFolder):
    def test_frames_of_a_real_run_are_drawn(self):
        speech(self.folder)
        page = self.folder / "run.html"
        done = cli(
            "run", "--html", str(page), "--", "filesrc", f"location={self.folder}/speech.wav", "!", "wavparse", "!",
            "rustaudioconvert", "!", "audio/x-raw,format=F32LE,channels=1", "!", "rustresample", "!",
            "audio/x-raw,rate=16000", "!", "rustvad", "name=a", "detector=neural", "post-frames=true", "!",
            "rustvad", "name=b", "detector=silero", "post-frames=true", "!", "rustvad", "name=c", "!", "fakesink")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        shown = Shown(chromium(page, "--dump-dom"))
        self.assertIn("What a heard", shown.titles)
        self.assertIn("What b heard", shown.titles)
        names = [n for n in ("probability", "logit", "silero-logit", "flux", "under-peak", "above-floor", "window-logit")]
        for name in names:
            self.assertIn(name, shown.text)
        self.assertEqual(shown.count("text", "course-name"), 6 + 3)
        self.assertGreaterEqual(shown.count("rect", "spoken"), 2)

    def test_a_real_run_in_the_browser(self):
        known = speech(self.folder)
        page = self.folder / "run.html"
        module = self.node("flaky.py", FLAKY)
        done = cli(
            "run", "--html", str(page), "--", "filesrc", f"location={self.folder}/speech.wav", "!", "wavparse", "!",
            "rustaudioconvert", "name=convert", "!", "audio/x-raw,format=F32LE,channels=1", "!", "rustresample", "name=resample", "!",
            "audio/x-raw,rate=16000", "!", "rustvad", "name=vad", "min-silence=500000000", "!",
            "pypipelinenode", "name=node", f"module={module}", "class=Flaky", "max-retries=1", "initial-backoff=1000", "breaker-threshold=4", "!",
            "fakesink")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        dom = chromium(page, "--dump-dom")
        shown = Shown(dom)
        self.assertEqual(shown.loads, [])
        self.assertIn("Run of pipeline0", shown.text)
        self.assertIn("rustvad name=vad min-silence=500000000", shown.text)
        # Speech: one shaded block and one row a segment, where the recording has it.
        self.assertEqual(shown.count("rect", "speech"), len(known))
        rows = [r for r in shown.rows if r[-1] == "vad" and re.match(r"\d+$", r[0])]
        self.assertEqual(len(rows), len(known))
        for row, (start, end) in zip(rows, known):
            self.assertLess(abs(float(row[1]) - start), 0.3)
            self.assertLess(abs(float(row[2]) - end), 0.3)
        # The waveform is that of the recording.
        points = re.search(r'class="wave" points="([^"]+)"', dom).group(1).split()
        self.assertGreater(len(points), 1000)
        inside = {i: [] for i in (0, 1)}
        xs = [tuple(map(float, p.split(","))) for p in points]
        audio = float(re.search(r"Audio ([\d.]+) s", shown.text).group(1))
        for x, y in xs:
            at = (x - 60) / 1000 * audio
            inside[any(a <= at <= b for a, b in known)].append(abs(y - 95))
        quiet = [v for v, (x, _) in ((abs(y - 95), (x, y)) for x, y in xs)
                 if not any(a - 0.1 <= (x - 60) / 1000 * audio <= b + 0.1 for a, b in known)]
        self.assertLess(max(quiet), 2)
        self.assertGreater(max(inside[1]), 60)
        # Elements, failures, breaker.
        rows = {r[0].split()[0]: r for r in shown.rows if len(r) == 13}
        self.assertLessEqual({"convert", "resample", "vad", "node"}, set(rows))
        self.assertEqual(rows["convert"][1], "ok")
        # One and its retry that works; then four calls with their retries, and the breaker opens.
        self.assertEqual((rows["node"][10], rows["node"][11]), ("5", "9"))
        self.assertIn("9 calls of Python nodes failed", shown.text)
        self.assertIn("no <answer> & 3", shown.text)
        self.assertIn("flaky.py", shown.text)
        self.assertIn("Traceback (most recent call last)", shown.text)
        self.assertGreaterEqual(shown.count("rect", "open"), 1)
        self.assertGreaterEqual(shown.count("path", "mark"), 2)

    def test_everything_of_a_run_is_shown_and_nothing_is_executed(self):
        page = self.folder / "all.html"
        page.write_text(html_report(run_of_everything()))
        dom = chromium(page, "--dump-dom")
        shown = Shown(dom)
        self.assertEqual(shown.loads, [])
        self.assertNotIn("<script>", dom)
        self.assertIn("Run of p<1>", shown.text)
        for text in ["it <b>broke</b>", "debug & text", "<script>alert(1)</script>", "</pre><img src=x>", "1 call of Python"]:
            self.assertIn(text, shown.text)
        for state, times in [("closed", 2), ("open", 1), ("half-open", 1)]:
            self.assertEqual(shown.count("rect", state), times, state)
        self.assertIn("node0: open from 1.000 to 2.000 s", shown.titles)
        self.assertIn("Segment 1: 0.500 to 1.000 s, -25.0 dBFS", shown.titles)
        self.assertIn("Segment 2: 3.000 until the end", shown.titles)
        self.assertEqual(shown.count("polyline", "line"), 1)
        row = next(r for r in shown.rows if r[0] == "vad0 rustvad")
        self.assertEqual(row, ["vad0 rustvad", "degraded", "100", "1235", "12.0", "20.0", "30.0", "40.5",
                               "0.12", "45", "3", "2", "5"])

    def test_a_number_and_the_text_beside_it_stand_apart(self):
        # The page itself bears no script: this one is the test's.
        script = """<script>
            const text = cell => { const r = document.createRange(); r.selectNodeContents(cell); return r.getBoundingClientRect(); };
            let least = 1000, pairs = 0;
            for (const cell of document.querySelectorAll("tr > .t")) {
                const left = cell.previousElementSibling;
                if (left === null || left.classList.contains("t")) continue;
                pairs += 1;
                least = Math.min(least, text(cell).left - text(left).right);
            }
            document.title = `${pairs} pairs, ${Math.floor(least)} px`;
        </script></body>"""
        page = self.folder / "all.html"
        html = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html_report(run_of_everything()))
        page.write_text(html.replace("</body>", script))
        dom = chromium(page, "--dump-dom", "--window-size=1250,1600")
        pairs, pixels = map(int, re.search(r"<title>(\d+) pairs, (-?\d+) px</title>", dom).groups())
        self.assertGreaterEqual(pairs, 7)
        self.assertGreaterEqual(pixels, 20)

    def test_is_drawn_in_light_and_dark(self):
        page = self.folder / "all.html"
        page.write_text(html_report(run_of_everything()))
        sizes = []
        for scheme in (1, 0):
            shot = self.folder / f"{scheme}.png"
            chromium(page, f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={shot}",
                     "--window-size=1200,1600")
            data = shot.read_bytes()
            self.assertEqual(data[:8], b"\x89PNG\r\n\x1a\n")
            sizes.append(data)
        self.assertNotEqual(*sizes)

    def test_is_well_formed_and_named_for_screen_readers(self):
        page = html_report(run_of_everything())
        void = {"meta", "br"}
        stack = []
        for close, tag, rest in re.findall(r"<(/?)([a-z0-9]+)((?:\s[^<>]*)?)>", page.split("<body>")[1].split("</body>")[0]):
            if close:
                self.assertEqual(stack.pop(), tag)
            elif tag not in void and not rest.endswith("/"):
                stack.append(tag)
        self.assertEqual(stack, [])
        self.assertIn('<html lang="en">', page)
        ids = re.findall(r' id="([^"]+)"', page)
        self.assertEqual(len(ids), len(set(ids)))
        for names in re.findall(r'aria-labelledby="([^"]+)"', page):
            self.assertLessEqual(set(names.split()), set(ids))
        self.assertEqual(page.count("<svg"), page.count('role="img"'))
        self.assertEqual(page.count("<table>"), page.count("<caption>"))

    def test_a_run_without_anything(self):
        shown = Shown(html_report(Run()))
        self.assertIn("No element sent metrics.", shown.text)


class Kept(unittest.TestCase):
    def test_memory_of_a_long_run_is_bounded_and_the_worst_is_kept(self):
        run = Run()
        for i in range(5 * MAX_WINDOWS):
            worst = 77_000 if i == 3 * MAX_WINDOWS + 1 else 1000
            run.add(Metrics.from_fields({**METRICS, "final": False, "running-time": i * S, "processing-time-p99": worst}))
        self.assertLessEqual(len(run.windows["vad0"]), MAX_WINDOWS)
        self.assertEqual(max(m.processing_time_p99 for m in run.windows["vad0"]), 77_000)
        self.assertEqual(run.latest["vad0"].running_time, (5 * MAX_WINDOWS - 1) * S)
        fields = {"attempt": 1, "max-attempts": 1, "retryable": False, "exception": "E", "message": "", "traceback": "",
                  "file": "", "line": 0, "action": "pass", "timestamp": 0, "stream-time": 0, "running-time": 0, "duration": 0}
        failure = NodeFailure.from_fields(fields, "p")
        for _ in range(MAX_KEPT + 5):
            run.add(failure)
        self.assertEqual((len(run.failures), run.num_failures), (MAX_KEPT, MAX_KEPT + 5))
        self.assertIn(f"{MAX_KEPT + 5} calls of Python nodes failed. The first {MAX_KEPT} are kept.", Shown(html_report(run)).text)

    def test_waveform_keeps_peaks_while_it_halves(self):
        waveform = Waveform(width=10, limit=8)
        for i in range(100):
            waveform.add(i * 10, -0.1, 0.9 if i == 70 else 0.1)
        self.assertLessEqual(len(waveform), 8)
        self.assertEqual(waveform.width, 160)
        self.assertEqual([high for _, high in waveform.peaks()].index(0.9), 70 * 10 // 160)
        self.assertEqual({low for low, _ in waveform.peaks()}, {-0.1})

    def test_waveform_of_samples(self):
        import array
        for name, letter, full in [("S16", "h", 2**15), ("S32", "i", 2**31), ("F32", "f", 1.0), ("F64", "d", 1.0)]:
            data = array.array(letter, [0] * 50 + [full // 2 if full > 1 else 0.5] + [0] * 49)
            waveform = Waveform(width=10)
            self.assertTrue(waveform.add_samples(0, 100, name, data.tobytes()))
            self.assertEqual([high for _, high in waveform.peaks()], [0.5 if i == 5 else 0 for i in range(10)], name)
        self.assertFalse(Waveform().add_samples(0, 10, "S24", b"\0" * 30))

    def test_waveform_of_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            from pathlib import Path
            known = speech(Path(folder))
            waveform = read_wave(f"{folder}/speech.wav")
            self.assertGreater(waveform.duration / 1e9, known[-1][1])
            self.assertIsNone(read_wave(f"{folder}/speech.csv"))
            with self.assertRaises(FileNotFoundError):
                read_wave(f"{folder}/missing.wav")


if __name__ == "__main__":
    unittest.main()
