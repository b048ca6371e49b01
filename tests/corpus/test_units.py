"""Single steps of a corpus run, with what is around them made up."""
import hashlib
import os
import sys
import types
import unittest
from unittest import mock

from support import InFolder

from gstrustaudio.corpus import cluster
from gstrustaudio.corpus.options import Options, node_source
from gstrustaudio.corpus.padding import Padding
from gstrustaudio.corpus.pool import RunError
from gstrustaudio.corpus.result import DONE, Result, Segment


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


class NodeSource(InFolder):
    def test_a_module_in_nested_folders_without_init_is_found(self):
        (self.folder / "outer" / "inner" / "own").mkdir(parents=True)
        path = self.node("class N: pass\n", "outer/inner/own/mine.py")
        self.assertEqual(node_source("outer.inner.own.mine:N", str(self.folder)), checksum(path))
        for missing in ("outer.inner.own.other", "outer.inner.own", "outer.none.own.mine", "outer..own", "."):
            self.assertEqual(node_source(f"{missing}:N", str(self.folder)), "", missing)

    def test_it_does_not_depend_on_how_the_command_was_started(self):
        path = self.node("class N: pass\n", "here_only.py")
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        # As a script has it, and `python3 -m`.
        for first in ("/usr/bin", str(self.folder)):
            with mock.patch.object(sys, "path", [first, *sys.path]):
                self.assertEqual(node_source("here_only:N", ""), checksum(path))
        # A folder that is given comes before.
        (self.folder / "given").mkdir()
        other = self.node("class N: x = 1\n", "given/here_only.py")
        self.assertEqual(node_source("here_only:N", str(self.folder / "given")), checksum(other))


class Padded(unittest.TestCase):
    def test_a_segment_behind_the_audio_is_none(self):
        second = 10**9
        result = Result(DONE, source_frames=16000 + 1000, source_rate=16000)
        result.segments = [Segment(index=i + 1, start=start, end=end, level=0.0, noise_floor=0.0, probability=1.0)
                           for i, (start, end) in enumerate([(0, second // 2), (second * 9 // 10, second * 21 // 20),
                                                             (second, second * 21 // 20), (second * 21 // 20, second * 22 // 20)])]
        Padding(1152, 0, 16000, False).leave_out(result)
        self.assertEqual([(s.index, s.start, s.end) for s in result.segments],
                         [(1, 0, second // 2), (2, second * 9 // 10, second)])


class RayError(Exception):
    pass


class RayTaskError(RayError):
    cause = RunError("the node does not load")


class _Ray:
    """Ray, whose tasks end as ``ends`` says, one after the other: an answer, an exception, or None for not at all."""

    def __init__(self, ends):
        self.exceptions = types.SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.ends, self.sent, self.cancelled = ends, [], []

    def remote(self, *_):
        self.sent.append(len(self.sent))
        return self.sent[-1]

    def wait(self, tasks, num_returns, timeout):
        return ([], tasks) if self.ends[tasks[0]] is None else (tasks, [])

    def get(self, task):
        if isinstance(self.ends[task], Exception):
            raise self.ends[task]
        return self.ends[task]

    def cancel(self, task, force):
        self.cancelled.append(task)


class ClusterCheck(unittest.TestCase):
    def check(self, ends, stop=None):
        ray = _Ray(ends)
        pool = cluster.RayPool.__new__(cluster.RayPool)
        pool._ray = pool._task = ray
        pool._options, pool._out, pool._scratch, pool._say = Options(), "", "", lambda _: None
        try:
            pool.check(stop)
        finally:
            self.sent, self.cancelled = len(ray.sent), ray.cancelled

    def test_a_check_whose_tasks_are_lost_does_not_pass(self):
        with self.assertRaises(RunError) as caught:
            self.check([RayError()] * 100)
        self.assertIn("lost 10 times, last by RayError", str(caught.exception))
        self.assertEqual(self.sent, 10)
        self.check([RayError(), RayError(), []])
        self.assertEqual(self.sent, 3)

    def test_what_the_worker_says_ends_it_at_once(self):
        with self.assertRaises(RunError) as caught:
            self.check([RayTaskError()] * 100)
        self.assertEqual((str(caught.exception), self.sent), ("the node does not load", 1))

    def test_ctrl_c_ends_a_check_that_waits_for_room(self):
        self.check([None], types.SimpleNamespace(asked=1))
        self.assertEqual((self.sent, self.cancelled), (1, [0]))


if __name__ == "__main__":
    unittest.main()
