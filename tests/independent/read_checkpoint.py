#!/usr/bin/env python3
"""Reads an FP8 checkpoint of fp8cal as others do, on CPU, with none of fp8cal's code.

Exit status: 0 if every check holds, 1 if one does not, 2 on bad usage.
"""

import argparse
import sys
import warnings
from pathlib import Path

import h5py
import torch
import transformers
from files import Checkpoint, check_config, check_index, check_tensors, read_checkpoint
from formulas import check_against_result, check_weights
from loading import check_cache, check_decompressed, check_dequantized, check_loaded, load
from modelopt import as_compressed_tensors, check_modelopt_config, is_modelopt
from perplexity import compare, evaluation_windows
from recipes import Recipe, parse_recipe
from report import Report

CACHE_TOKENS = 64


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the FP8 checkpoint")
    parser.add_argument("--model", type=Path, required=True, help="the BF16 checkpoint behind it")
    parser.add_argument("--result", type=Path, required=True, help="the result file behind it")
    parser.add_argument("--recipe", required=True, help="such as fp8-static-kv-e4m3")
    parser.add_argument("--windows", type=int, default=4, help="of the perplexity (4)")
    return parser.parse_args()


def open_result(path: Path, recipe: Recipe) -> h5py.File:
    """Raises ValueError if the result file lacks what is compared with."""
    result = h5py.File(path, "r")
    for name in ("job/evaluation_tokens", f"scales/{recipe.name}", f"perplexity/{recipe.name}/nll",
                 "perplexity/bf16/nll"):
        if name not in result:
            raise ValueError(f"{path}: expected {name}, found none")
    return result


def check_perplexity(
    checkpoint: Checkpoint,
    source: Checkpoint,
    recipe: Recipe,
    result: h5py.File,
    windows: int,
    report: Report,
) -> tuple[float, float]:
    """Loads the folder in both dtypes; returns transformers' and fp8cal's perplexity (bfloat16)."""
    measured = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = load(checkpoint.folder, dtype, report)
        check_loaded(model, checkpoint, recipe, report)
        check_decompressed(model, checkpoint, report)
        if dtype == torch.float32 and recipe.kv_cache is not None:
            tokens = evaluation_windows(result, 1)[0, :CACHE_TOKENS]
            check_cache(model, checkpoint, tokens, report)
        measured[dtype] = compare(model, recipe.name, result, windows, report)
    plain = load(source.folder, torch.bfloat16, report)
    compare(plain, "bf16", result, windows, report)
    return measured[torch.bfloat16]


def main() -> int:
    options = arguments()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    report = Report()
    try:
        recipe = parse_recipe(options.recipe)
        checkpoint = read_checkpoint(options.folder)
        source = read_checkpoint(options.model)
        result = open_result(options.result, recipe)
    except (OSError, ValueError) as error:
        print(f"read_checkpoint: {error}", file=sys.stderr)
        return 2
    with result:
        check_index(checkpoint, report)
        modelopt = is_modelopt(checkpoint)
        if modelopt:
            check_modelopt_config(checkpoint, source, recipe, report)
            checkpoint = as_compressed_tensors(checkpoint, recipe, report)
        else:
            check_config(checkpoint, source, recipe, report)
        check_tensors(checkpoint, source, recipe, report)
        if report.failed:  # what follows takes these for granted
            return verdict(report, options, ["-"] * 5)
        scales, codes = check_weights(checkpoint, source, recipe, report)
        check_against_result(checkpoint, recipe, result, report)
        if modelopt:
            return verdict(report, options, [scales, codes, "-", "-", "-"])
        weights = check_dequantized(checkpoint, report)
        theirs, ours = check_perplexity(
            checkpoint, source, recipe, result, options.windows, report
        )
    return verdict(report, options, [scales, codes, weights, f"{theirs:.4f}", f"{ours:.4f}"])


def verdict(report: Report, options: argparse.Namespace, cells: list[str]) -> int:
    print("| checkpoint | recipe | scales | FP8 bytes | BF16 weights | ppl transformers "
          "| ppl fp8cal | |")
    outcome = "holds" if not report.failed else f"FAILED: {', '.join(report.failed)}"
    print("| " + " | ".join([options.folder.name, options.recipe, *cells, outcome]) + " |")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
