"""What the tests share. Run them as scripts/test.sh does, in a virtualenv with the wheel."""
from __future__ import annotations

import os
import signal
import sys
import threading
import unittest
from typing import Any, Callable, Tuple

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

#: Random cases of each property: GSTRUSTAUDIO_EXAMPLES=100000 for a long run.
EXAMPLES = int(os.environ.get("GSTRUSTAUDIO_EXAMPLES", "150"))

settings.register_profile("numpy", max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES < 1000)
settings.load_profile("numpy")


def noise(shape: Tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    """Samples over three quarters of full scale."""
    dtype = np.dtype(dtype)
    x = np.random.default_rng(seed).uniform(-0.75, 0.75, shape)
    if dtype.kind == "f":
        return x.astype(dtype)
    if dtype.kind == "u":
        return np.rint((x + 1) * 2 ** (8 * dtype.itemsize - 1)).astype(dtype)
    return np.rint(x * 2 ** (8 * dtype.itemsize - 1)).astype(dtype)


@st.composite
def same_elsewhere(draw: Any, x: Any) -> Any:
    """The array `x` with other strides: another order of axes, gaps, backwards, swapped bytes, unaligned."""
    order = draw(st.permutations(range(x.ndim)))
    y = np.array(x.transpose(order), order="C").transpose(np.argsort(order))
    for axis in range(x.ndim):
        step = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        shape = list(y.shape)
        shape[axis] = max(shape[axis] * abs(step), 1)
        room = np.ones(shape, y.dtype)
        view = room[(slice(None),) * axis + (slice(None, None, step),)]
        view = view[(slice(None),) * axis + (slice(0, y.shape[axis]),)]
        view[...] = y
        y = view
    if draw(st.booleans()):
        y = y.astype(y.dtype.newbyteorder())
    if draw(st.integers(0, 7)) == 0:
        room = np.zeros(y.size * y.itemsize + 1, np.uint8)
        z = room[1:].view(y.dtype).reshape(y.shape)
        z[...] = y
        y = z
    np.testing.assert_array_equal(x, y)
    return y


class Case(unittest.TestCase):
    def raises(self, kind: type, words: str, function: Callable[[], Any]) -> None:
        """`function` raises exactly `kind` and says `words`."""
        with self.assertRaises(kind) as caught:
            function()
        self.assertIs(type(caught.exception), kind)
        self.assertEqual(str(caught.exception), words)

    def interrupts(self, work: Callable[[], object], done: Callable[[], Tuple[bool, bool]]) -> None:
        """A signal that comes during `work` ends it. `done` tells whether its beginning and its end were done."""

        class Signalled(Exception):
            pass

        def heard(*_: object) -> None:
            raise Signalled

        main, interval, before = threading.get_ident(), sys.getswitchinterval(), signal.signal(signal.SIGUSR1, heard)
        # No other thread runs before `work` gives the lock away.
        sys.setswitchinterval(1000)
        try:
            for _ in range(20):
                begun = threading.Event()
                other = threading.Thread(target=lambda: begun.wait() and signal.pthread_kill(main, signal.SIGUSR1))
                other.start()
                try:
                    with self.assertRaises(Signalled):
                        begun.set()
                        work()
                finally:
                    other.join()
                if done() == (True, False):
                    return
            self.fail("it went on to its end")
        finally:
            sys.setswitchinterval(interval)
            signal.signal(signal.SIGUSR1, before)

    def same(self, a: Any, b: Any) -> None:
        """Equal dtype but for byte order, shape and bits."""
        self.assertEqual(a.dtype.newbyteorder("="), b.dtype.newbyteorder("="))
        self.assertEqual(a.shape, b.shape)
        a, b = (np.ascontiguousarray(v.astype(v.dtype.newbyteorder("="))) for v in (a, b))
        np.testing.assert_array_equal(a.view(np.uint8), b.view(np.uint8))
