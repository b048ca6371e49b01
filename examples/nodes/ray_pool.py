"""Work beyond one machine: each chunk goes to the next of several Ray actors.

... ! pypipelinenode module=examples/nodes/ray_pool.py class=RayPool \
    'kwargs={"actors": 4}' chunk=duration chunk-duration=1000000000 ! ...

Results come back in order, `actors` chunks late at most; `drain` hands over the last ones. So many are under way and no
more: the stream waits for the oldest. An actor that is lost (its process or its node died) is replaced and its chunks
are sent again; the call fails as a transient failure, which the element tries again and tells of. Needs
`pip install ray`. `address` joins a cluster; without it Ray starts one on this machine.
"""

from collections import deque

import numpy as np
import ray


@ray.remote(num_cpus=0.5)
class Work:
    def process(self, audio):
        # The heavy model goes here.
        return audio * np.float32(0.5)


class ActorLost(ConnectionError):
    """An actor died with a chunk; another one has it now."""


class RayPool:
    def __init__(self, actors=4, address=None):
        self.address = address
        self.count = actors
        self.actors = []
        # Of each chunk under way: number of its actor, the chunk in Ray's store, its result to be.
        self.pending = deque()
        self.next = 0
        # The call's audio is in `pending`, and it has not returned; the same of `drain`.
        self.handed = self.draining = False

    def start(self):
        # Comes again after `stop`, and for new caps without one.
        ray.init(address=self.address, ignore_reinit_error=True, log_to_driver=False,
                 include_dashboard=False)
        if not self.actors:
            self.actors = [Work.remote() for _ in range(self.count)]

    def process(self, audio, ctx):
        if ctx.attempt == 1:
            if self.draining:
                # What `drain` could not hand over is given up.
                self.pending.clear()
            self.handed = self.draining = False
        # A call that is tried again has handed its audio over already.
        if not self.handed:
            number = self.next % len(self.actors)
            self.next += 1
            # A copy, since the array is only lent; this process keeps it, whoever else dies.
            chunk = ray.put(audio)
            self.pending.append((number, chunk, self.actors[number].process.remote(chunk)))
            self.handed = True
        if len(self.pending) <= len(self.actors):
            self.handed = False
            return []
        # Taken off only when it has come: the next attempt asks again.
        done = self.result(self.pending[0])
        self.pending.popleft()
        self.handed = False
        return done

    def drain(self):
        if self.handed:
            # The last call failed for good: its audio goes past this node.
            self.pending.pop()
            self.handed = False
        self.draining = True
        done = [self.result(one) for one in self.pending]
        self.pending.clear()
        self.draining = False
        return done

    def result(self, one):
        """Waits for a chunk; where its actor has been lost, sends all that it had to a new one."""
        number, _, result = one
        try:
            return ray.get(result)
        except ray.exceptions.RayActorError as lost:
            actor = self.actors[number] = Work.remote()
            self.pending = deque((n, chunk, actor.process.remote(chunk)) if n == number else (n, chunk, r)
                                 for n, chunk, r in self.pending)
            raise ActorLost(f"actor {number} is lost, another one has its chunks") from lost

    def stop(self):
        self.pending.clear()
        self.handed = self.draining = False
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []
        ray.shutdown()
