"""Trains the network on what make.py wrote.

    python train.py DATA_DIR NAME [--epochs N] [--stop-after N] [--from NAME] [--rate R] [--unspoken W]
        [--seed N]

The loss is the mean of what the heads say and of what is told of it, as of speech that needs no raising. The last
chunk of each seed is kept for validation. Writes DATA_DIR/model/NAME.pt and prints the loss and the area under the
ROC curve of each head, beside Silero's own.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from model import LOOK_AHEADS, Net, newest_windows, predict, settled

BATCH = 48
#: Frames of one step of truncated backpropagation.
SPAN = 304
RATE = 4e-3

Chunk = dict[str, np.ndarray]


def chunks(data_dir: Path) -> tuple[list[Chunk], list[Chunk]]:
    """Chunks for training and for validation."""
    by_seed: dict[str, list[Path]] = {}
    for path in sorted((data_dir / "set").glob("[0-9]*_[0-9][0-9][0-9].npz")):
        by_seed.setdefault(path.stem.split("_")[0], []).append(path)
    load = lambda path: dict(np.load(path))
    training = [load(p) for paths in by_seed.values() for p in paths[:-1]]
    return training, [load(paths[-1]) for paths in by_seed.values()]


def targets(label: np.ndarray) -> torch.Tensor:
    """[streams, frames, heads] from labels [streams, frames]: what each head is to say, -1 where it
    has nothing to say yet."""
    y = label.astype(np.float32)
    late = [np.pad(y, ((0, 0), (d, 0)), constant_values=-1)[:, : y.shape[1]] for d in LOOK_AHEADS]
    return torch.from_numpy(np.stack(late, 2))


def area(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve."""
    order = np.empty(len(score))
    order[np.argsort(score, kind="stable")] = np.arange(len(score))
    ones = truth.sum()
    return float((order[truth].sum() - ones * (ones - 1) / 2) / max(ones * (len(truth) - ones), 1))


def batches(data: list[Chunk], rng: np.random.Generator) -> Iterator[Chunk]:
    """Streams in a random order, BATCH at a time."""
    places = [(i, j) for i, chunk in enumerate(data) for j in range(len(chunk["label"]))]
    order = rng.permutation(len(places))
    for at in range(0, len(order) - BATCH + 1, BATCH):
        picked = [places[i] for i in order[at : at + BATCH]]
        yield {k: np.stack([data[i][k][j] for i, j in picked])
               for k in ("own", "logit", "hidden", "clear", "label", "spoken")}


def loss_of(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Cross-entropy over what is known, streams weighted by `weight`."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, target.clamp(min=0), reduction="none")
    known = (target >= 0).float()
    return (loss * known * weight[:, None, None]).sum() / known.sum()


def validate(net: Net, data: list[Chunk]) -> str:
    """Areas of the heads in streams with speech, shares at or above one half in those without."""
    net.eval()
    heads: list[list[np.ndarray]] = [[] for _ in LOOK_AHEADS]
    truth, plain, quiet, quiet_plain = [], [], [], []
    for chunk in data:
        logits, spoken = predict(net, chunk), chunk["spoken"]
        label = chunk["label"][spoken].astype(np.float32)
        truth.append((label[:, : -max(LOOK_AHEADS)] >= 0.5).ravel())
        window, _ = newest_windows(label.shape[1])
        silero = chunk["logit"].astype(np.float32)[:, np.maximum(window, 0)]
        plain.append(silero[spoken][:, 6 : 6 + label.shape[1] - max(LOOK_AHEADS)].ravel())
        without = ~spoken & (chunk["label"].max(1) == 0)
        quiet.append((logits[without] >= 0).mean((0, 1)))
        quiet_plain.append((silero[without] >= 0).mean())
        for d, head, out in zip(LOOK_AHEADS, heads, logits[spoken].transpose(2, 0, 1)):
            head.append(out[:, d : d + label.shape[1] - max(LOOK_AHEADS)].ravel())
    net.train()
    known = np.concatenate(truth)
    parts = [f"{d * 10} ms {area(np.concatenate(h), known):.4f}" for d, h in zip(LOOK_AHEADS, heads)]
    return (" ".join(parts) + f" (Silero behind the tracker {area(np.concatenate(plain), known):.4f})"
            f" without speech {np.mean(quiet, 0).round(4)} (Silero {np.mean(quiet_plain):.4f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("name")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--stop-after", type=int, help="epochs, where not all of the schedule")
    parser.add_argument("--from", dest="start", help="a model to go on from")
    parser.add_argument("--rate", type=float, default=RATE, help="the highest learning rate")
    parser.add_argument("--unspoken", type=float, default=1.0, help="weight of streams without speech")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    training, validation = chunks(arguments.data_dir)
    streams = sum(len(c["label"]) for c in training)
    net = Net()
    some = np.concatenate([c["own"][::8].reshape(-1, c["own"].shape[2]) for c in training[:20]])
    net.mean.copy_(torch.from_numpy(some.mean(0, dtype=np.float32)))
    net.deviation.copy_(torch.from_numpy(some.astype(np.float32).std(0) + 1e-3))
    model = arguments.data_dir / "model"
    model.mkdir(exist_ok=True)
    if arguments.start:
        net.load_state_dict(torch.load(model / f"{arguments.start}.pt"))
    print(f"{streams} streams of 12 s, {sum(p.numel() for p in net.parameters())} parameters", flush=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=arguments.rate)
    steps, step, start = arguments.epochs * (streams // BATCH), 0, time.process_time()
    for epoch in range(arguments.stop_after or arguments.epochs):
        losses = []
        for batch in batches(training, rng):
            own, logits, hidden, clear = (torch.from_numpy(batch[k].astype(np.float32))
                                          for k in ("own", "logit", "hidden", "clear"))
            target, state = targets(batch["label"]), None
            spoken = torch.from_numpy(batch["spoken"])
            weight = torch.where(spoken, 1.0, arguments.unspoken)
            warm = min(1.0, (step + 1) / 20)
            for group in optimiser.param_groups:
                group["lr"] = arguments.rate * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))
            for at in range(0, own.shape[1], SPAN):
                part = slice(at, at + SPAN)
                out, state = net(net.inputs(own, logits), hidden, part, state)
                told = settled(out, own, logits, clear, part)
                loss = (loss_of(out, target[:, part], weight) + loss_of(told, target[:, part], weight)) / 2
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                state = (state[0].detach(), state[1].detach())
                losses.append(loss.item())
            step += 1
        torch.save(net.state_dict(), model / f"{arguments.name}.pt")
        print(f"epoch {epoch + 1} loss {np.mean(losses):.4f} cpu {time.process_time() - start:.0f} s\n ",
              validate(net, validation), flush=True)


if __name__ == "__main__":
    main()
