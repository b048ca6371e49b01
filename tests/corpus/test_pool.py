"""How workers are judged, by workers that are made up and a clock that the test turns."""
import json
import types
import unittest
from multiprocessing import Pipe
from unittest import mock

import support  # noqa: F401

from gstrustaudio.corpus import pool
from gstrustaudio.corpus.options import Options
from gstrustaudio.corpus.result import DONE, Result


class _Worker:
    """Has the file ``key``; `say` is what its process does."""

    def __init__(self, key, heard):
        self.link, self._own = Pipe()
        self.key, self.ready, self.heard, self.pid = key, True, heard, 0
        self.killed = False

    def say(self, **answer):
        self._own.send_bytes(json.dumps(answer).encode())

    def give(self, key):
        self.key = key

    def kill(self):
        self.killed = True


class HeldUp(unittest.TestCase):
    def setUp(self):
        self.clock = 0.0
        stands_in = types.SimpleNamespace(monotonic=lambda: self.clock)
        patch = mock.patch.object(pool, "time", stands_in)
        patch.start()
        self.addCleanup(patch.stop)
        self.busy, self.other = [_Worker(key, self.clock) for key in ("busy", "other")]
        self.pool = pool.LocalPool.__new__(pool.LocalPool)
        self.pool._options, self.pool._count, self.pool._workers = Options(), 2, [self.busy, self.other]
        self.told = []
        self.pool._on_death = self.told.append
        self.pool.fill = lambda: self.pool._workers
        self.work = pool._Work(self.pool, iter(()), None)

    def held_up(self):
        """The results, with the driver held up for an hour while it takes the first one."""
        got = []
        self.busy.say(result=Result(DONE).to_json())
        for key, result in self.work.results():
            got.append((key, result.status))
            if len(got) == 1:
                self.clock += 3600
                yield
        self.got = got

    def test_a_driver_that_was_held_up_ends_nobody_who_has_answered(self):
        for _ in self.held_up():
            self.other.say(progress=1)
            self.other.say(result=Result(DONE).to_json())
        self.assertEqual(self.got, [("busy", DONE), ("other", DONE)])
        self.assertEqual((self.told, self.other.killed), ([], False))

    def test_a_worker_that_said_nothing_meanwhile_is_ended(self):
        for _ in self.held_up():
            pass
        self.assertEqual(self.got, [("busy", DONE), ("other", "failed")])
        self.assertIn("frozen", self.told[0])
        self.assertTrue(self.other.killed)


if __name__ == "__main__":
    unittest.main()
