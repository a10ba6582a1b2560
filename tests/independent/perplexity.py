"""Perplexity as transformers computes it, and as fp8cal wrote it down."""

import math

import h5py
import numpy as np
import torch
from loading import name_of
from report import Report
from transformers import PreTrainedModel

TOLERANCE = 0.005  # relative


def evaluation_windows(result: h5py.File, windows: int) -> torch.Tensor:
    """The first `windows` of the result's evaluation tokens, int64 [windows, length]."""
    tokens = result["job/evaluation_tokens"][:windows]
    if len(tokens) < windows:
        raise ValueError(f"{result.filename}: expected {windows} windows, found {len(tokens)}")
    return torch.from_numpy(tokens.astype(np.int64))


@torch.no_grad()
def measure(model: PreTrainedModel, windows: torch.Tensor) -> float:
    """exp of the mean negative log-likelihood of every token but the first of a window."""
    total = 0.0
    for window in windows:
        logits = model(window[None], use_cache=False).logits[0, :-1].float()
        nll = torch.nn.functional.cross_entropy(logits, window[1:], reduction="none")
        total += nll.double().sum().item()
    return math.exp(total / (windows.shape[0] * (windows.shape[1] - 1)))


def recorded(result: h5py.File, variant: str, windows: int) -> float:
    return math.exp(result[f"perplexity/{variant}/nll"][:windows].astype(np.float64).mean())


def compare(
    model: PreTrainedModel, variant: str, result: h5py.File, windows: int, report: Report
) -> tuple[float, float]:
    """Returns what transformers and fp8cal measured."""
    ours = recorded(result, variant, windows)
    theirs = measure(model, evaluation_windows(result, windows))
    difference = theirs / ours - 1
    report.check(
        f"perplexity of {variant} in {name_of(model.dtype)}",
        abs(difference) <= TOLERANCE,
        f"transformers {theirs:.5f}, fp8cal {ours:.5f}, {difference:+.4%} ({windows} windows)",
    )
    return theirs, ours
