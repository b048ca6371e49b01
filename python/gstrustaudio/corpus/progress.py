# SPDX-License-Identifier: MIT
"""What a run says while it goes on: a bar on a terminal, nothing elsewhere."""
from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Optional

from .result import FAILED, SKIPPED, Result


class Progress:
    """A bar by tqdm with rate and time left. Nothing where ``quiet``, or standard error is no terminal."""

    def __init__(self, total: int, quiet: bool) -> None:
        self._bar: Optional[Any] = None
        self._failed = self._skipped = 0
        self._audio = 0.0
        if quiet or not sys.stderr.isatty():
            return
        try:
            tqdm = import_module("tqdm").tqdm
        except ImportError:
            print("gstrustaudio: pip install tqdm for a progress bar", file=sys.stderr)
            return
        self._bar = tqdm(total=total, unit="file", dynamic_ncols=True, smoothing=0.05)

    def add(self, result: Result) -> None:
        """A file has ended."""
        self._failed += result.status == FAILED
        self._skipped += result.status == SKIPPED
        self._audio += result.duration / 3.6e12
        if self._bar is not None:
            self._bar.set_postfix_str(f"{self._audio:.2f} h, {self._failed} failed, {self._skipped} skipped", refresh=False)
            self._bar.update()

    def say(self, text: str) -> None:
        """A line beside the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """The bar stays as it is."""
        if self._bar is not None:
            self._bar.close()
