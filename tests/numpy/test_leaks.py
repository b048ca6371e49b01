from __future__ import annotations

import unittest

import leaks
from support import Case


class Leaks(Case):
    def test_no_call_leaves_anything_behind(self) -> None:
        calls = 1000
        for name, call in leaks.kinds().items():
            # What one in twenty calls left would show. Blocks come and go in Python's own caches, which may
            # grow at any time, but not each time.
            for _ in range(3):
                found = leaks.left(call, calls)
                if found.bytes < 16 * calls / 20 and found.blocks < calls / 20:
                    break
            else:
                self.fail(f"{name}: {calls} calls left {found}, as did those before")


if __name__ == "__main__":
    unittest.main()
