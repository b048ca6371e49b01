from typing import Any, Optional

from numpy.typing import ArrayLike, NDArray

def resample(
    x: ArrayLike, in_rate: int, out_rate: int, *, out: Optional[NDArray[Any]] = None
) -> NDArray[Any]: ...
