"""The same work on Ray: a cluster of two nodes on this machine, of which one goes in mid-run."""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

from ray.cluster_utils import Cluster

from support import CLIPS, PATIENCE, Gate, InFolder, corpus, environment, rows, start

#: Ray says where it keeps a token, and that there is no GPU.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
#: Workers of a cluster that is started here find the package as other processes of the tests do.
os.environ["PYTHONPATH"] = environment()["PYTHONPATH"]


def ancestors(pid):
    """Processes above ``pid``, nearest first."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


class OnRay(InFolder):
    def setUp(self):
        super().setUp()
        self.gate = Gate(self.folder)
        for clip in CLIPS.glob("*.wav"):
            for i in range(3):
                (self.sounds / f"{clip.stem}{i}.wav").symlink_to(clip)
        (self.sounds / "empty.wav").touch()
        self.words = [self.sounds, "--node", f"{self.node(self.gate.code())}:Waits"]

    def tables(self, out):
        return [(out / f"{name}.parquet").read_bytes() for name in ("files", "segments")]

    def local(self):
        """The tables of a run of the pool of this machine."""
        self.gate.passed.mkdir(exist_ok=True)
        out = self.folder / "local"
        corpus(*self.words, "--out", out)
        return self.tables(out)

    def test_a_node_of_the_cluster_goes_in_mid_run_and_nothing_is_lost(self):
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.addCleanup(cluster.shutdown)
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        raylets = {info.process.pid: node for node in nodes for infos in [node.all_processes["raylet"]] for info in infos}
        run = start(*self.words, "--out", self.out, "--ray", cluster.address)
        waiting = self.gate.arrival()
        lost = next(p for p in ancestors(waiting.pid) if p in raylets)
        cluster.remove_node(raylets[lost], allow_graceful=False)
        waiting.gone()
        out, err = run.communicate(timeout=100)
        self.assertEqual(run.returncode, 1, err)
        self.assertIn("a task was lost", err)
        self.assertIn("27 done, 1 failed, 0 skipped;", out)
        self.assertEqual(self.tables(self.out), self.local())
        self.assertEqual(len({r["path"] for r in rows(self.out, "files")}), 28)

    def test_a_cluster_of_its_own_and_an_error_of_the_settings(self):
        self.gate.passed.mkdir()
        done = corpus(*self.words, "--out", self.out, "--ray")
        self.assertIn("27 done, 1 failed, 0 skipped;", done.stdout, done.stderr)
        self.assertEqual(self.tables(self.out), self.local())
        self.node("import there_is_no_such_module")
        other = corpus(*self.words, "--out", self.folder / "other", "--ray")
        self.assertEqual(other.returncode, 2, other.stderr)
        self.assertIn("there_is_no_such_module", other.stderr)

    def test_an_actor_that_is_lost_in_mid_stream_is_a_transient_failure(self):
        done = subprocess.run([sys.executable, Path(__file__).with_name("actor_pool.py"), "100", "30"], env=environment(),
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout.splitlines()[-1])
        # Nothing is lost, doubled or out of order, and each chunk is that of its time.
        self.assertEqual(told["values"], [i * 0.5 for i in range(100)])
        self.assertEqual(told["times"], [i * 10_000_000 for i in range(100)])
        self.assertTrue(told["whole"])
        self.assertEqual([(e.rpartition(".")[2], a) for e, a in told["failures"]], [("ActorLost", "retry")])


if __name__ == "__main__":
    unittest.main()
