"""Byte by byte what `audioop` makes: the standard library's up to Python 3.12, audioop-lts from 3.13 on."""
from __future__ import annotations

import unittest
import warnings
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gstrustaudio import audioop
from support import Case

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import audioop as stock

widths = st.integers(1, 4)
factors = st.one_of(st.sampled_from([0.5, 1, -1, 2, 0]), st.floats(-3, 3))


@st.composite
def fragments(draw: Any, frame: int = 1) -> Any:
    width = draw(widths)
    n = width * frame * draw(st.integers(0, 40))
    return draw(st.binary(min_size=n, max_size=n)), width


class Audioop(Case):
    @given(fragments(), widths)
    def test_lin2lin(self, fragment: Any, new: int) -> None:
        data, width = fragment
        self.assertEqual(audioop.lin2lin(data, width, new), stock.lin2lin(data, width, new))

    @given(fragments())
    def test_byteswap(self, fragment: Any) -> None:
        self.assertEqual(audioop.byteswap(*fragment), stock.byteswap(*fragment))

    @given(fragments(2), factors, factors)
    def test_tomono(self, fragment: Any, left: float, right: float) -> None:
        self.assertEqual(audioop.tomono(*fragment, left, right), stock.tomono(*fragment, left, right))

    @given(fragments(), factors, factors)
    def test_tostereo(self, fragment: Any, left: float, right: float) -> None:
        self.assertEqual(audioop.tostereo(*fragment, left, right), stock.tostereo(*fragment, left, right))

    @given(st.data())
    def test_ratecv_from_fragment_to_fragment(self, data: Any) -> None:
        width, channels = data.draw(widths), data.draw(st.integers(1, 3))
        rates = data.draw(st.tuples(st.integers(1, 50), st.integers(1, 50)))
        weights = data.draw(st.tuples(st.integers(1, 9), st.integers(0, 9)))
        ours = theirs = None
        for _ in range(3):
            n = width * channels * data.draw(st.integers(0, 30))
            fragment = data.draw(st.binary(min_size=n, max_size=n))
            a, ours = audioop.ratecv(fragment, width, channels, *rates, ours, *weights)
            b, theirs = stock.ratecv(fragment, width, channels, *rates, theirs, *weights)
            self.assertEqual((a, ours), (b, theirs))
        # A state of either goes into the other.
        self.assertEqual(audioop.ratecv(b"", width, channels, *rates, theirs),
                         stock.ratecv(b"", width, channels, *rates, ours))

    def test_states_that_owe_output(self) -> None:
        state = (5, ((100 << 16, 200 << 16),))
        self.assertEqual(audioop.ratecv(bytes(8), 2, 1, 3, 7, state), stock.ratecv(bytes(8), 2, 1, 3, 7, state))

    def test_any_buffer(self) -> None:
        data = bytes(range(12))
        for other in [bytearray(data), memoryview(data)]:
            self.assertEqual(audioop.lin2lin(other, 2, 3), stock.lin2lin(data, 2, 3))

    def test_errors_are_the_same(self) -> None:
        calls = [
            ("lin2lin", (b"123", 2, 1)), ("lin2lin", (b"12", 5, 1)), ("lin2lin", (b"12", 2, 0)),
            ("byteswap", (b"123", 2)), ("tomono", (b"123456", 2, 1, 1)), ("tomono", (b"12", 0, 1, 1)),
            ("tostereo", (b"123", 2, 1, 1)), ("ratecv", (b"", 2, 0, 1, 1, None)), ("ratecv", (b"", 2, 1, 0, 1, None)),
            ("ratecv", (b"1", 2, 1, 1, 1, None)), ("ratecv", (b"", 2, 1, 1, 1, None, 0)),
        ]
        for name, arguments in calls:
            with self.assertRaises(stock.error) as theirs:
                getattr(stock, name)(*arguments)
            with self.assertRaises(audioop.error) as ours:
                getattr(audioop, name)(*arguments)
            self.assertEqual(str(ours.exception), str(theirs.exception), (name, arguments))
        self.raises(TypeError, "state must be a tuple or None, not int",
                    lambda: audioop.ratecv(b"", 2, 1, 1, 1, 5))  # type: ignore[arg-type]
        big = 2**40
        for state in [(0, ()), (0, (5,)), (0, ((1,),)), (0, ((1, 2, 3),)), (0, ((1, "a"),)), (0, [(1, 2)]), (0.5, ((1, 2),)),
                      (big, ((1, 2),)), (-big, ((1, 2),)), (0, ([1, 2],)), (0, ((1, 2),), 3), (0, ((1, 2), (3, 4))), (0,),
                      (0, ((big, 2),)), (0, ((1, -big),)), (2**70, ((1, 2),)), ("a", 5), (0, (None,)), (0, ("ab",))]:
            with self.assertRaises(Exception) as theirs:
                stock.ratecv(bytes(8), 2, 1, 1, 1, state)
            kind = type(theirs.exception)
            self.raises(audioop.error if kind is stock.error else kind, str(theirs.exception),
                        lambda state=state: audioop.ratecv(bytes(8), 2, 1, 1, 1, state))


if __name__ == "__main__":
    unittest.main()
