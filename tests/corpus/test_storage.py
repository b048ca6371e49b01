"""Files that are elsewhere: servers on loopback of S3 (moto's), of Google's storage (an emulator) and of HTTP."""
import contextlib
import functools
import http.server
import io
import json
import os
import shutil
import threading
import unittest
import wave
from unittest import mock

import boto3
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

from support import CLIP, CLIPS, InFolder, corpus, lines, rows


class OnS3(InFolder):
    @classmethod
    def setUpClass(cls):
        cls.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        cls.server.start()
        host, port = cls.server.get_host_and_port()
        cls.env = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "none",
                   "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
        cls.s3 = boto3.client("s3", endpoint_url=cls.env["AWS_ENDPOINT_URL"], aws_access_key_id="none",
                              aws_secret_access_key="none", region_name="us-east-1")
        cls.s3.create_bucket(Bucket="speech")
        for clip in CLIPS.glob("*_*.wav"):
            cls.s3.upload_file(str(clip), "speech", f"in/{clip.stem.split('_')[0]}/{clip.name}")
        cls.s3.put_object(Bucket="speech", Key="in/empty.wav", Body=b"")
        cls.s3.put_object(Bucket="speech", Key="in/notes.md", Body=b"no audio")
        cls.s3.put_object(Bucket="speech", Key="in/list.txt",
                          Body=f"Front/{CLIP.name}\ns3://speech/in/gone.wav\n".encode())

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def run_corpus(self, *words):
        return corpus(*words, env=self.env)

    def keys(self, prefix):
        return {o["Key"] for o in self.s3.list_objects_v2(Bucket="speech", Prefix=prefix).get("Contents", [])}

    def test_from_there_to_there_as_from_here_to_here(self):
        work = self.folder / "work"
        words = ["s3://speech/in", "--out", "s3://speech/out", "--audio", "segments", "--audio-format", "flac"]
        done = self.run_corpus(*words, "--work", work)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertIn("8 done, 1 failed, 0 skipped;", done.stdout)
        self.assertEqual(set(os.listdir(self.folder)), {"sounds", "work"})
        for name in self.keys("out/"):
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self.s3.download_file("speech", name, str(path))
        segments = rows(self.out, "segments")
        # The same of local files, but for paths and ids.
        shutil.copytree(CLIPS, self.sounds, dirs_exist_ok=True)
        corpus(f"{self.sounds}/*_*.wav", "--out", self.folder / "local")
        told = lambda table: sorted((os.path.basename(s["path"]), s["index"], s["start"], s["end"], s["level"], s["probability"])
                                    for s in table)
        self.assertEqual(told(segments), told(rows(self.folder / "local", "segments")))
        self.assertEqual(self.keys("out/audio"), {"out/" + s["audio"] for s in segments})
        for row in lines(self.out / "nemo.jsonl"):
            self.assertIn(row["audio_filepath"].removeprefix("s3://speech/"), self.keys("out/audio"))
        # Nothing is done twice.
        again = self.run_corpus(*words, "--work", work, "--dry-run")
        self.assertIn("0 files to do", again.stdout)
        # The same place, and another one while there are results in the former.
        out, other = (["s3://speech/in/empty.wav", "--out", url, "--audio", "segments", "--audio-format", "flac", "--work", work]
                      for url in ("s3://speech/out/", "s3://speech/other"))
        self.assertEqual(self.run_corpus(*out).returncode, 1)
        done = self.run_corpus(*other)
        self.assertIn("is the ledger of the results in s3://speech/out: give another --work", done.stderr)
        for name in self.keys("out/"):
            self.s3.delete_object(Bucket="speech", Key=name)
        done = self.run_corpus(*other)
        self.assertEqual((done.returncode, done.stderr), (1, ""))

    def test_where_nothing_can_be_written_no_file_is_begun(self):
        work = self.folder / "work"
        done = self.run_corpus("s3://speech/in", "--out", "s3://no-such-bucket/out", "--work", work)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, "^gstrustaudio: s3://no-such-bucket/out/.*: cannot be written: .*bucket.*\n$")
        self.assertFalse(work.exists())

    def test_manifests_globs_and_what_is_not_there(self):
        done = self.run_corpus("s3://speech/in/list.txt", "s3://speech/in/Rear/*Left*", "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = {f["path"]: (f["status"], f["kind"]) for f in rows(self.out, "files")}
        self.assertEqual(files, {
            f"s3://speech/in/Front/{CLIP.name}": ("done", ""), "s3://speech/in/gone.wav": ("failed", "missing"),
            "s3://speech/in/Rear/Rear_Left.wav": ("done", "")})
        recordings = lines(self.out / "lhotse_recordings.jsonl")
        self.assertEqual({r["sources"][0]["type"] for r in recordings}, {"url"})
        other = self.run_corpus("s3://speech/nowhere", "--out", self.out)
        self.assertEqual(other.returncode, 2)
        self.assertIn("s3://speech/nowhere: there is no such file or folder", other.stderr)
        self.assertNotIn("Traceback", other.stderr)


class OnGcs(InFolder):
    def test_from_there_to_there_again_what_was_overwritten(self):
        server = create_server("127.0.0.1", 0, in_memory=True, default_bucket="speech")
        with contextlib.redirect_stderr(io.StringIO()):
            server.start()
        self.addCleanup(server.stop)
        # gcsfs asks gRPC, which the emulator does not speak, whether a bucket is hierarchical.
        env = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{server._api._httpd.server_port}",
               "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
        with mock.patch.dict(os.environ, env):
            import gcsfs

            fs = gcsfs.GCSFileSystem(token="anon")
            names = [f"speech/in/{i}.wav" for i in range(3)]
            for name in names:
                fs.put_file(str(CLIP), name)
            words = ["gs://speech/in", "--out", "gs://speech/out", "--work", self.folder / "work", "--audio", "segments"]
            done = corpus(*words, env=env)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("3 done, 0 failed, 0 skipped;", done.stdout)
            fs.invalidate_cache()
            (self.out / "kaldi").mkdir(parents=True)
            fs.get("speech/out/", str(self.out), recursive=True)
            segments = rows(self.out, "segments")
            self.assertEqual({s["path"] for s in segments}, {f"gs://{name}" for name in names})
            self.assertEqual(len(segments), 6)
            for s in segments:
                with wave.open(str(self.out / s["audio"])) as w:
                    self.assertEqual(w.getnframes(), round(s["end"] * 16000) - round(s["start"] * 16000))
            self.assertNotIn("file://", (self.out / "report.html").read_text())
            self.assertIn("0 files to do", corpus(*words, "--dry-run", env=env).stdout)
            # Of the same length, but another.
            fs.put_file(str(CLIP), names[1])
            self.assertIn("1 files to do", corpus(*words, "--dry-run", env=env).stdout)
            # Originals that no browser can read have no player.
            corpus("gs://speech/in", "--out", self.folder / "here", env=env)
            page = (self.folder / "here" / "report.html").read_text()
            self.assertNotIn("<audio ", page)
            self.assertIn("in storage that browsers cannot read", page)


class OverHttp(InFolder):
    def test_a_signed_url_and_a_manifest_behind_one(self):
        shutil.copy(CLIP, self.sounds / "a.wav")
        (self.sounds / "list.txt").write_text("a.wav?" + "signature=" + "x" * 300 + "\n")
        top = self.serve()
        done = corpus(f"{top}/list.txt?key=a/b", "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        (file,) = rows(self.out, "files")
        self.assertEqual((file["status"], file["num_segments"]), ("done", 2))

    def test_a_server_that_breaks_off_is_told_and_tried_again_when_asked(self):
        shutil.copy(CLIP, self.sounds / "a.wav")
        _Quiet.broken = True
        self.addCleanup(setattr, _Quiet, "broken", False)
        top = self.serve()
        done = corpus(f"{top}/a.wav", "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        (file,) = rows(self.out, "files")
        self.assertEqual((file["status"], file["kind"]), ("failed", "storage"), file)
        _Quiet.broken = False
        self.assertEqual(corpus("--out", self.out, "--retry-failed").returncode, 0)

    def serve(self):
        """The address of a server of the folder of sounds."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(self.sounds)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def test_urls_are_fetched(self):
        shutil.copy(CLIP, self.sounds / "a b.wav")
        top = self.serve()
        done = corpus(f"{top}/a%20b.wav", f"{top}/none.wav", "--out", self.out)
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        files = {f["path"]: (f["status"], f["kind"], f["num_segments"]) for f in rows(self.out, "files")}
        self.assertEqual(files, {f"{top}/a%20b.wav": ("done", "", 2), f"{top}/none.wav": ("failed", "missing", 0)})
        self.assertEqual(json.loads((self.out / "corpus.json").read_text())["corpus"]["segments"], 2)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    #: Whether it ends in the middle of each file.
    broken = False

    def copyfile(self, source, outputfile):
        outputfile.write(source.read(1000) if self.broken else source.read())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    unittest.main()
