# SPDX-License-Identifier: MIT
"""What programs still need of the module that left Python with 3.13: the same names, the same bytes.

    from gstrustaudio import audioop"""
from __future__ import annotations

from ._native import AudioopError as error
from ._native import byteswap, lin2lin, ratecv, tomono, tostereo

__all__ = ["byteswap", "error", "lin2lin", "ratecv", "tomono", "tostereo"]
