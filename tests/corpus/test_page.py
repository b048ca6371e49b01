"""The page of a run in a real browser, and the document beside it."""
import json
import re
import shutil
import unittest
from html import unescape

from support import CLIP, CLIPS, InFolder, corpus, rows

from browser import chromium

#: Loads all players of the page and says in its title how many could and how long they play. The page bears no
#: script: this one is the test's.
PLAY = """<script>
const all = [...document.querySelectorAll("audio")], told = [];
const tell = (audio, text) => { told.push(text); document.title = told.length + " of " + all.length + ": " + told.join(" "); };
for (const audio of all) {
  audio.onloadedmetadata = () => tell(audio, audio.duration.toFixed(2));
  audio.onerror = () => tell(audio, "error");
  audio.preload = "metadata"; audio.load();
}
</script></body>"""


class Page(InFolder):
    def setUp(self):
        super().setUp()
        for clip in CLIPS.glob("*_*.wav"):
            shutil.copy(clip, self.sounds)
        (self.sounds / "<img src=x>.wav").write_bytes(b"no <b>audio</b> at all")
        (self.sounds / "empty.wav").touch()

    def test_figures_failures_and_players(self):
        node = self.node("class N:\n    def process(self, audio, ctx):\n        if len(audio) == 10400:\n"
                         "            raise ValueError('<script>alert(1)</script>')\n"
                         "        ctx.post('t', text=f'<b>{len(audio)}')\n")
        done = corpus(self.sounds, "--out", self.out, "--audio", "segments", "--node", f"{node}:N")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files, segments = rows(self.out, "files"), rows(self.out, "segments")
        failed = [f for f in files if f["status"] == "failed"]
        self.assertEqual(sorted(f["kind"] for f in failed), ["empty", "node", "not-media"])
        page = self.out / "report.html"
        html = page.read_text()
        self.assertNotIn("<script", html)
        self.assertNotIn("<img", html)
        dom = chromium(page, "--dump-dom")
        text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", dom)))
        for words in ["finished", "Files done 7", "Failed 3", f"Segments {len(segments)}", "failed node: 1", "failed empty: 1",
                      "ValueError: <script>alert(1)</script>", "Traceback (most recent call last)", "<img src=x>.wav",
                      "the file is empty", "Slowest files", "rustvad", "gstrustaudio corpus"]:
            self.assertIn(words, text)
        # What its last file cost counts, too.
        nodes = {n["id"]: n for n in json.loads((self.out / "corpus.json").read_text())["pipeline_execution"]["nodes"]}
        self.assertEqual((nodes["node"]["failures"], nodes["node"]["status"]), (1, "degraded"))
        self.assertIn("ValueError: <script>alert(1)</script>", nodes["node"]["last_error"])
        self.assertRegex(text, r"Text .*<b>\d+")
        bars = [int(n) for n in re.findall(r"<g><title>[^:<]*: (\d+)</title>", dom)]
        self.assertEqual(sum(bars), len(segments))
        self.assertEqual(bars[2], sum(0.5 <= s["duration"] < 1 for s in segments))
        # Under the page's own policy, the test's script allowed.
        playing = self.out / "playing.html"
        playing.write_text(html.replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
                           .replace("</body>", PLAY))
        title = re.search(r"<title>(.*?)</title>", chromium(playing, "--dump-dom", "--virtual-time-budget=20000")).group(1)
        players = html.count("<audio ")
        self.assertRegex(title, rf"^{players} of {players}:")
        self.assertNotIn("error", title)
        lengths = {f"{s['duration']:.2f}" for s in segments}
        self.assertLessEqual(set(title.split(": ")[1].split()), lengths)

    def test_without_audio_of_its_own_the_originals_play(self):
        corpus(self.sounds, "--out", self.out)
        html = (self.out / "report.html").read_text()
        self.assertRegex(html, r'src="file:///[^"]*/sounds/[A-Za-z_]+\.wav#t=\d+\.\d+,\d+\.\d+"')
        self.assertNotIn("src=x", re.sub(r"&lt;.*?&gt;", "", html))

    def test_is_drawn_in_light_and_dark_within_its_width(self):
        corpus(self.sounds, "--out", self.out)
        shots = []
        for scheme in (1, 0):
            shot = self.folder / f"{scheme}.png"
            chromium(self.out / "report.html", f"--blink-settings=preferredColorScheme={scheme}", f"--screenshot={shot}",
                     "--window-size=1250,2000")
            shots.append(shot.read_bytes())
        self.assertNotEqual(*shots)
        wide = self.out / "wide.html"
        wide.write_text((self.out / "report.html").read_text()
                        .replace("default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';")
                        .replace("</body>", "<script>document.title = document.documentElement.scrollWidth <= innerWidth</script></body>"))
        self.assertIn("<title>true</title>", chromium(wide, "--dump-dom", "--window-size=1250,2000"))

    def test_the_document_adds_up_all_files(self):
        corpus(self.sounds, "--out", self.out)
        document = json.loads((self.out / "corpus.json").read_text())
        nodes = {n["id"]: n for n in document["pipeline_execution"]["nodes"]}
        self.assertEqual({n: v["type"] for n, v in nodes.items()},
                         {"convert": "rustaudioconvert", "resample": "rustresample", "vad": "rustvad"})
        files = rows(self.out, "files")
        done = [f for f in files if f["status"] == "done"]
        self.assertEqual(document["corpus"]["files"], {"pending": 0, "done": 8, "failed": 2, "skipped": 0})
        self.assertAlmostEqual(document["corpus"]["audio_s"], sum(f["duration"] for f in done), places=5)
        self.assertAlmostEqual(document["corpus"]["speech_s"], sum(f["speech"] for f in done), places=5)
        for node in nodes.values():
            self.assertGreater(node["buffers"], 8)
            self.assertLessEqual(node["p50_ms"], node["p99_ms"])
            self.assertLessEqual(node["p99_ms"], node["max_ms"] * 1.03)
            self.assertLess(node["real_time_factor"], 0.1)


if __name__ == "__main__":
    unittest.main()
