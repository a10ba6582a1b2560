#!/usr/bin/env python3
"""Loads a large FP8 checkpoint of fp8cal on a GPU as others do, and lets it predict and generate.

A synthetic checkpoint will do. Its weights are random, so two correct computations of one token's
log-likelihood lie far apart; they are compared by their mean and its standard error.

Exit status: 0 if every check holds, 1 if one does not, 2 on bad usage.
"""

import argparse
import math
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import torch
import transformers
from files import read_checkpoint
from loading import check_decompressed, load
from perplexity import evaluation_windows
from report import Report
from transformers import PreTrainedModel

PROMPT_TOKENS = 64
NEW_TOKENS = 32
STANDARD_ERRORS = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the FP8 checkpoint")
    parser.add_argument("--result", type=Path, required=True, help="the result file behind it")
    parser.add_argument("--recipe", required=True, help="such as fp8-static-kv-e4m3")
    parser.add_argument("--windows", type=int, default=8, help="to predict (8)")
    return parser.parse_args()


@torch.no_grad()
def check_generation(model: PreTrainedModel, prompt: torch.Tensor, report: Report) -> None:
    """prompt [tokens]."""
    prompt = prompt[None].to(model.device)
    logits = model(prompt).logits
    finite = int(logits.isfinite().sum())
    report.equal("finite logits", finite, logits.numel())
    generated = model.generate(
        prompt, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
    )
    report.equal("generated tokens", generated.shape[1] - prompt.shape[1], NEW_TOKENS)


@torch.no_grad()
def negative_log_likelihoods(model: PreTrainedModel, windows: torch.Tensor) -> np.ndarray:
    """[windows, length - 1], natural logarithm."""
    rows = []
    for window in windows.to(model.device):
        logits = model(window[None], use_cache=False).logits[0, :-1].float()
        rows.append(torch.nn.functional.cross_entropy(logits, window[1:], reduction="none"))
    return torch.stack(rows).double().cpu().numpy()


def check_predictions(
    model: PreTrainedModel, result: h5py.File, options: argparse.Namespace, report: Report
) -> None:
    theirs = negative_log_likelihoods(model, evaluation_windows(result, options.windows))
    ours = result[f"perplexity/{options.recipe}/nll"][: options.windows].astype(np.float64)
    difference = (theirs - ours).ravel()
    error = difference.std() / math.sqrt(difference.size)
    report.check(
        "mean NLL",
        abs(difference.mean()) <= STANDARD_ERRORS * error,
        f"transformers {theirs.mean():.5f}, fp8cal {ours.mean():.5f}, difference "
        f"{difference.mean():+.5f} nats, standard error {error:.5f} ({difference.size} tokens)",
    )


def main() -> int:
    options = arguments()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    report = Report()
    checkpoint = read_checkpoint(options.folder)
    # In float32, where the scales of the file are not rounded.
    model = load(options.folder, torch.float32, report).cuda()
    check_decompressed(model, checkpoint, report)
    with h5py.File(options.result, "r") as result:
        check_generation(model, evaluation_windows(result, 1)[0, :PROMPT_TOKENS], report)
        check_predictions(model, result, options, report)
    print(f"{torch.cuda.get_device_name()}: {torch.cuda.max_memory_allocated() >> 20} MiB at most")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
