"""Work beyond one machine: each chunk goes to the next of several Ray actors.

... ! pypipelinenode module=examples/nodes/ray_pool.py class=RayPool \
    'kwargs={"actors": 4}' chunk=duration chunk-duration=1000000000 ! ...

Results come back in order, `actors` chunks late at most; `drain` hands over the last ones. Needs
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


class RayPool:
    def __init__(self, actors=4, address=None):
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False,
                 include_dashboard=False)
        self.actors = [Work.remote() for _ in range(actors)]
        self.pending = deque()
        self.next = 0

    def process(self, audio, ctx):
        actor = self.actors[self.next % len(self.actors)]
        self.next += 1
        # The array is only lent: copied, since Ray reads it later.
        self.pending.append(actor.process.remote(audio.copy()))
        if len(self.pending) <= len(self.actors):
            return []
        return ray.get(self.pending.popleft())

    def drain(self):
        while self.pending:
            yield ray.get(self.pending.popleft())

    def stop(self):
        for actor in self.actors:
            ray.kill(actor)
        ray.shutdown()
