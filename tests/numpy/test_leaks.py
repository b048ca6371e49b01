from __future__ import annotations

import unittest

import leaks
from support import Case


class Leaks(Case):
    def test_no_call_leaves_anything_behind(self) -> None:
        calls = 1000
        for name, call in leaks.kinds().items():
            found = leaks.left(call, calls)
            # What one in twenty calls left would show; blocks come and go in Python's own caches.
            self.assertLess(found.bytes, 16 * calls / 20, name)
            self.assertLess(found.blocks, calls / 20, name)


if __name__ == "__main__":
    unittest.main()
