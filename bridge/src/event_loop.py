# SPDX-License-Identifier: MIT
"""Runs what a node writes as `async def`: on an event loop and a thread of its own, kept from one
call to the next, so that connections and tasks of the node live on in between.

One module with texts.py, which goes before it, and node.py, which follows it.
"""

import atexit
import threading
import time
import traceback

import numpy as np

# Between two looks whether a call goes on; longest that it may take to end once it is cancelled. A
# worker has to answer before it would be killed (GRACE in worker/mod.rs).
_LOOK, _GRACE = 0.01, 1.5
# Longest `stop`, in ns.
_STOP = 10_000_000_000
# What the pipeline says of a call that runs.
_INTERRUPTED, _TOO_LATE = 1, 2

_exiting = False


def _exit():
    global _exiting
    _exiting = True


class Interrupted(BaseException):
    """The stream flushes or stops: nothing went wrong."""


class CallTimeout(TimeoutError):
    """The call took longer than `timeout`, and was cancelled."""

    retryable = True


def is_async(function):
    """Whether calling it gives what has to be awaited, as far as that can be told."""
    import inspect

    while hasattr(function, "func"):
        function = function.func
    return any(
        inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f)
        for f in (function, getattr(function, "__call__", None)))


def is_awaitable(made):
    return hasattr(made, "__await__") or hasattr(made, "__aiter__")


def _kept(item):
    """What a generator yields may change when it goes on."""
    if isinstance(item, (bytearray, memoryview)):
        return bytes(item)
    return np.array(item) if isinstance(item, np.ndarray) else item


async def _gather(made):
    result = made if hasattr(made, "__aiter__") else await made
    if hasattr(result, "__aiter__"):
        return [_kept(item) async for item in result]
    return result


class _Job:
    def __init__(self):
        self.done = threading.Lock()
        self.done.acquire()
        self.task = self.result = self.error = None


class EventLoop:
    """Of one node. Made when it is first needed."""

    def __init__(self, limits):
        # `over(elapsed, least)`, in ns: whether a call shall end, which may take `least` in any case.
        self.limits = limits
        self.loop = None

    def settle(self, made, least=0, stopping=False):
        """What a hook or a call returned, once it is there. What is `stopping` is not ended by a
        stop."""
        if not is_awaitable(made):
            return made
        job = _Job()
        self._open().call_soon_threadsafe(self._begin, made, job)
        self._wait(job, made, least, stopping)
        error, job.error = job.error, None
        if error is None:
            return job.result
        try:
            raise error
        finally:
            # Its frames, which keep the audio, go with it.
            del error, made

    def clear(self, tasks=None):
        """Cancels these tasks, or all that are left."""
        if self.loop is None:
            return
        try:
            self.settle(self._cancel(tasks), stopping=True)
        except BaseException:
            traceback.print_exc()

    def tasks(self):
        """The tasks that run now."""
        if self.loop is None:
            return []
        import asyncio

        return list(asyncio.all_tasks(self.loop))

    def close(self):
        """Ends the thread; for good."""
        loop, self.loop = self.loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _open(self):
        if self.loop is None:
            import asyncio

            # Last in, first out: before the bridge waits for calls in flight.
            atexit.unregister(_exit)
            atexit.register(_exit)
            self.loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=(self, self.loop), name="rustaudio-asyncio",
                             daemon=True).start()
        return self.loop

    def _begin(self, made, job):
        job.task = self.loop.create_task(_work(made, job))
        job.task.add_done_callback(lambda _: job.done.release())

    def _wait(self, job, made, least, stopping):
        began = time.monotonic_ns()
        while not job.done.acquire(timeout=_LOOK):
            elapsed = time.monotonic_ns() - began
            if stopping:
                why = _TOO_LATE if elapsed > _STOP else 0
            elif _exiting:
                why = _INTERRUPTED
            else:
                why = self.limits.over(elapsed, least)
            if why:
                break
        else:
            return
        self.loop.call_soon_threadsafe(_end, job)
        ended = job.done.acquire(timeout=_GRACE)
        if why == _INTERRUPTED:
            raise Interrupted("the stream flushes or stops")
        text = f"it took longer than {elapsed / 1e9:.3f} s and was cancelled"
        if not ended:
            text += "; it takes no notice and is left behind"
        # Where it was.
        cancelled, job.error = job.error, None
        try:
            raise CallTimeout(text).with_traceback(cancelled and cancelled.__traceback__)
        finally:
            del cancelled, made

    async def _cancel(self, tasks):
        import asyncio

        if tasks is None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
        tasks = [task for task in tasks if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_GRACE)


async def _work(made, job):
    try:
        job.result = await _gather(made)
    except BaseException as error:
        job.error = error
    finally:
        del made


def _end(job):
    if job.task is not None:
        job.task.cancel()


def _serve(owner, loop):
    import asyncio

    asyncio.set_event_loop(loop)
    while owner.loop is loop and not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException:
            # An exit in a task of the node's own.
            traceback.print_exc()
    loop.close()
