from typing import Any, Literal, Optional, Union, final

from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["HQ", "LQ", "MQ", "QQ", "VHQ", "ResampleStream", "resample"]

_Quality = Union[Literal["QQ", "LQ", "MQ", "HQ", "VHQ"], int]
_Engine = Literal["auto", "polyphase", "fft", "sinc"]

QQ: int
LQ: int
MQ: int
HQ: int
VHQ: int

def resample(
    x: ArrayLike,
    in_rate: float,
    out_rate: float,
    quality: _Quality = "HQ",
    axis: int = 0,
    out: Optional[NDArray[Any]] = None,
    *,
    engine: _Engine = "auto",
    rate_correction: float = 1.0,
) -> NDArray[Any]: ...
@final
class ResampleStream:
    def __new__(
        cls,
        in_rate: float,
        out_rate: float,
        num_channels: int,
        dtype: DTypeLike = "float32",
        quality: _Quality = "HQ",
        *,
        engine: _Engine = "auto",
        rate_correction: float = 1.0,
        max_latency: Optional[int] = None,
    ) -> ResampleStream: ...
    def resample_chunk(self, x: ArrayLike, last: bool = False) -> NDArray[Any]: ...
    def delay(self) -> float: ...
    def clear(self) -> None: ...
    @property
    def engine(self) -> Literal["polyphase", "fft", "sinc"]: ...
    @property
    def latency(self) -> int: ...
    @property
    def rate_correction(self) -> float: ...
    @rate_correction.setter
    def rate_correction(self, value: float) -> None: ...
