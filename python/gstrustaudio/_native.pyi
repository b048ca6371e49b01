from typing import Any, Callable, List, Literal, Optional, Tuple, Union, final

from numpy import float32
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "HQ", "LQ", "MQ", "QQ", "VHQ", "AudioopError", "Breaker", "Caller", "Detector", "Line", "ResampleStream", "Work", "byteswap",
    "convert", "lin2lin", "probabilities", "ratecv", "resample", "speech_times", "tomono", "tostereo",
]

_Buffer = Union[bytes, bytearray, memoryview]
_Quality = Union[Literal["QQ", "LQ", "MQ", "HQ", "VHQ"], int]
_Engine = Literal["auto", "polyphase", "fft", "sinc", "rubato-fft", "rubato-sinc"]

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
    def engine(self) -> Literal["polyphase", "fft", "sinc", "rubato-fft", "rubato-sinc"]: ...
    @property
    def latency(self) -> int: ...
    @property
    def rate_correction(self) -> float: ...
    @rate_correction.setter
    def rate_correction(self, value: float) -> None: ...

_Side = Tuple[DTypeLike, int, bool]
_Rates = Tuple[float, float, _Quality, _Engine, DTypeLike]

@final
class Line:
    def __new__(
        cls,
        source: _Side,
        target: _Side,
        mix_matrix: Optional[ArrayLike],
        noise: Tuple[Optional[str], Optional[str], int],
        rates: Optional[_Rates],
        /,
    ) -> Line: ...
    def convert(self, planes: List[NDArray[Any]], out: NDArray[Any]) -> None: ...
    def push(self, planes: List[NDArray[Any]]) -> int: ...
    def finish(self) -> int: ...
    def pull(self, out: NDArray[Any]) -> None: ...

_Change = Tuple[str, str, int]

@final
class Breaker:
    def __new__(cls, threshold: int, cooldown: float) -> Breaker: ...
    @property
    def state(self) -> str: ...
    @property
    def failures(self) -> int: ...
    def retry_after(self, now: Optional[float]) -> float: ...
    def reset(self) -> Optional[_Change]: ...

@final
class Caller:
    def __new__(
        cls,
        max_retries: int,
        waits: Tuple[float, float, float, float],
        deadline: Optional[float],
        retry_on: str,
        breaker: Optional[Breaker],
        /,
    ) -> Caller: ...
    def begin(self, now: Optional[float]) -> Tuple[Optional[Work], Optional[_Change]]: ...
    def is_transient(
        self, types: List[str], message: str, retryable: Optional[bool], status: Optional[int], /
    ) -> bool: ...
    @property
    def last_error(self) -> str: ...
    def metrics(self, element: str, factory: str) -> str: ...

@final
class Work:
    @property
    def number(self) -> int: ...
    def again(self) -> None: ...
    def succeeded(self) -> Optional[_Change]: ...
    def failed(
        self, text: str, transient: bool, now: Optional[float], /
    ) -> Tuple[int, int, float, Optional[float], Optional[str], Optional[_Change]]: ...
    def abandon(self) -> None: ...

_Choice = Tuple[str, int, float]
_Rules = Tuple[float, float, float, float, float, float, float, bool]
_Edge = Tuple[bool, int, int, int, Optional[float], float, float, float]

def probabilities(x: ArrayLike, rate: int, choice: _Choice, /) -> NDArray[float32]: ...
def speech_times(
    x: ArrayLike,
    rate: int,
    choice: _Choice,
    rules: _Rules,
    progress: Optional[Callable[[float], object]],
    /,
) -> Tuple[int, List[Tuple[int, int]]]: ...

@final
class Detector:
    def __new__(
        cls,
        rate: int,
        channels: int,
        choice: _Choice,
        thresholds: Tuple[float, float],
        times: Tuple[int, int, int, int],
        /,
    ) -> Detector: ...
    def push(self, x: ArrayLike) -> Tuple[NDArray[float32], List[_Edge]]: ...
    def flush(self) -> Tuple[NDArray[float32], List[_Edge]]: ...
    def reset(self) -> None: ...
    def state(self) -> Tuple[int, int, bool, int]: ...

_Dither = Literal["none", "rpdf", "tpdf", "tpdf-hf"]
_Shaping = Literal["none", "error-feedback", "simple", "medium", "high"]

def convert(
    x: ArrayLike,
    dtype: DTypeLike,
    channels: Optional[int] = None,
    mix_matrix: Optional[ArrayLike] = None,
    dither: Optional[_Dither] = "tpdf",
    noise_shaping: Optional[_Shaping] = "none",
    *,
    axis: Literal[0, 1, -1, -2] = 0,
    planar: Optional[bool] = None,
    format: Optional[str] = None,
    rate: int = 48000,
    dither_threshold: int = 20,
    seed: int = 0,
    out: Optional[NDArray[Any]] = None,
) -> NDArray[Any]: ...

class AudioopError(Exception): ...

def lin2lin(fragment: _Buffer, width: int, newwidth: int, /) -> bytes: ...
def byteswap(fragment: _Buffer, width: int, /) -> bytes: ...
def tomono(fragment: _Buffer, width: int, lfactor: float, rfactor: float, /) -> bytes: ...
def tostereo(fragment: _Buffer, width: int, lfactor: float, rfactor: float, /) -> bytes: ...

_State = Tuple[int, Tuple[Tuple[int, int], ...]]

def ratecv(
    fragment: _Buffer,
    width: int,
    nchannels: int,
    inrate: int,
    outrate: int,
    state: Optional[_State],
    weightA: int = 1,
    weightB: int = 0,
    /,
) -> Tuple[bytes, _State]: ...
