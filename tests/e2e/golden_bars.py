"""How far a result may be from what Hugging Face transformers computes.

    golden_bars.py GOLDEN.h5 RESULT.h5    prints the figures; exit code 1 where one misses its bar

The result must come from the golden file's calibration_tokens and its first 16 windows of
test_tokens, on any backend.
"""

import sys

import h5py
import numpy as np


def mean_difference(a, b):
    return float(np.abs(a - b).mean())


def perplexity_figures(golden, result):
    """Yields (what, figure, largest allowed)."""
    expected = {name: golden[name][:].astype(float) for name in golden if "nll" in name}
    found = {name: group["nll"][:].astype(float) for name, group in result["perplexity"].items()}
    yield ("mean |NLL bf16 - fp32|", mean_difference(found["bf16"], expected["nll_fp32"]),
           1.25 * mean_difference(expected["nll_bf16"], expected["nll_fp32"]))
    nll_bar = 1.5 * mean_difference(expected["nll_fp8_static"], expected["nll_bf16"])
    for recipe in ("fp8-static", "fp8-dynamic"):
        reference = expected["nll_" + recipe.replace("-", "_")]
        ppl = np.exp(found[recipe].mean()) / np.exp(reference.mean()) - 1
        yield f"{recipe}: relative perplexity difference", abs(float(ppl)), 0.005
        yield (f"{recipe}: mean |NLL difference|", mean_difference(found[recipe], reference),
               nll_bar)


def amax_figures(golden, result):
    errors = {}
    for key, expected in golden.attrs.items():
        module = key.removeprefix("amax_fp32/")
        if module != key and module != "lm_head":
            errors[module] = abs(float(result[f"activations/{module}/amax"][()]) / expected - 1)
    layers = {module.split(".")[2] for module in errors}
    assert len(errors) == 7 * len(layers) > 0
    yield f"amax of {len(errors)} modules: largest relative error", max(errors.values()), 0.03
    beyond = float(np.mean([error > 0.01 for error in errors.values()]))
    yield "share of modules beyond 1 %", beyond, 0.1


def misses(golden_path, result_path):
    """Prints every figure; returns those that miss their bar."""
    missed = []
    with h5py.File(golden_path) as golden, h5py.File(result_path) as result:
        for what, figure, bar in [*perplexity_figures(golden, result),
                                  *amax_figures(golden, result)]:
            print(f"{what}: {figure:.5f}, at most {bar:.5f}")
            if not figure <= bar:
                missed.append(what)
    return missed


if __name__ == "__main__":
    sys.exit(bool(misses(*sys.argv[1:])))
