"""Tensors of torch, as users pass them; in a virtualenv of their own, as torch brings a numpy along."""
from __future__ import annotations

import re
import unittest
from typing import Any

import numpy as np
import torch

from gstrustaudio import ResampleStream, SpeechDetector, convert, probabilities, resample, speech_timestamps


def noise(shape: Any, dtype: str) -> Any:
    x = np.random.default_rng(0).uniform(-0.75, 0.75, shape)
    return torch.from_numpy((x * 32767 if dtype[0] == "i" else x).astype(dtype))


def resident() -> int:
    with open("/proc/self/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


class Tensors(unittest.TestCase):
    def test_every_function_takes_them_as_the_arrays_that_they_are(self) -> None:
        functions = {
            "resample": lambda x: resample(x, 48000, 16000),
            "along the last axis": lambda x: resample(x, 3, 2, axis=-1),
            "resample_chunk": lambda x: ResampleStream(3, 2, 2, str(np.asarray(x).dtype)).resample_chunk(x, last=True),
            "convert": lambda x: convert(x, np.int32, channels=1),
            "probabilities": lambda x: probabilities(x, 16_000, detector="spectral"),
            "push": lambda x: SpeechDetector(16_000, 2, detector="energy").push(x).probabilities,
            "timestamps": lambda x: speech_timestamps(x, 16_000, detector="energy"),
        }
        for dtype in ("int16", "int32", "float32", "float64"):
            tensor = noise((6000, 2), dtype)
            for form, x in {"contiguous": tensor, "planes": tensor.T.contiguous().T, "every other": tensor[::2],
                            "backwards": tensor.flip(0), "a view": noise((6000, 4), dtype)[:, 1:3]}.items():
                for name, function in functions.items():
                    with self.subTest(dtype=dtype, form=form, name=name):
                        np.testing.assert_array_equal(function(x), function(x.numpy()))

    def test_as_torchaudio_shapes_it(self) -> None:
        waveform = noise((2, 4410), "float32")
        y = torch.from_numpy(resample(waveform, 44100, 16000, axis=-1))
        self.assertEqual((tuple(y.shape), y.dtype), ((2, 1600), torch.float32))
        batch = noise((3, 2, 4410), "float32")
        self.assertTrue(torch.equal(torch.from_numpy(resample(batch, 44100, 16000, axis=-1))[1],
                                    torch.from_numpy(resample(batch[1], 44100, 16000, axis=-1))))

    def test_a_tensor_takes_over_the_result_without_a_copy(self) -> None:
        y = resample(noise((4800,), "float32"), 48000, 16000)
        tensor = torch.from_numpy(y)
        self.assertEqual(tensor.data_ptr(), y.__array_interface__["data"][0])
        self.assertEqual(torch.from_dlpack(y).data_ptr(), tensor.data_ptr())
        del y
        self.assertTrue(bool(torch.isfinite(tensor).all()))

    def test_a_tensor_is_not_copied(self) -> None:
        # 64 MB in, 0.8 kB out.
        x = torch.zeros((1_000_000, 16))
        resample(x[:1000], 100000, 1, quality=0)
        before = resident()
        resample(x, 100000, 1, quality=0, engine="sinc")
        probabilities(x, 16_000, detector="energy")
        self.assertLess(resident() - before, 40_000_000)

    def test_the_memory_of_a_tensor_is_written_to(self) -> None:
        x = noise((4800, 2), "float32")
        out = torch.zeros((1600, 2))
        resample(x, 48000, 16000, out=out.numpy())
        np.testing.assert_array_equal(out.numpy(), resample(x, 48000, 16000))
        with self.assertRaisesRegex(TypeError, "^out: expected a numpy array to write to, got Tensor$"):
            resample(x, 48000, 16000, out=out)

    def test_what_cannot_be_read_is_told(self) -> None:
        x = noise((480,), "float32")
        cases = [
            (x.clone().requires_grad_(), TypeError, "got Tensor: .*grad"),
            (x.to(torch.bfloat16), TypeError, "got Tensor: |got dtype"),
            (x.to(torch.float16), TypeError, "x: expected samples of .* got dtype float16"),
            (x.to(torch.complex64), TypeError, "x: expected samples of .* got dtype complex64"),
            (x.to(torch.int64), TypeError, "x: expected samples of .* got dtype int64"),
            (x.to("meta"), TypeError, "x: expected a numpy array or what numpy makes one of, got Tensor: "),
            (x.to_sparse(), TypeError, "x: expected a numpy array or what numpy makes one of, got Tensor: "),
        ]
        for tensor, kind, words in cases:
            with self.assertRaises(kind) as caught:
                resample(tensor, 48000, 16000)
            self.assertTrue(re.search(words, str(caught.exception)), str(caught.exception))


if __name__ == "__main__":
    unittest.main()
