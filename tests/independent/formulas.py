"""Scales and FP8 bytes, computed anew from the BF16 weights by compressed-tensors."""

from collections import defaultdict

import h5py
import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams
from files import Checkpoint, same_bits
from recipes import Recipe
from report import Report

# Engines fuse these: with a scale a tensor they share one.
FUSED = {"q_proj": "qkv", "k_proj": "qkv", "v_proj": "qkv", "gate_proj": "gate_up",
         "up_proj": "gate_up"}


def group_of(module: str) -> str:
    parent, name = module.rsplit(".", 1)
    return f"{parent}.{FUSED.get(name, name)}"


def library_scales(
    source: Checkpoint, recipe: Recipe
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """module -> (scale by calculate_qparams, amax), both float32 [1] or [rows, 1]."""
    lowest: dict[str, list[torch.Tensor]] = defaultdict(list)
    highest: dict[str, list[torch.Tensor]] = defaultdict(list)
    key_of = {m: m if recipe.per_channel else group_of(m) for m in source.linears}
    for module in source.linears:
        weight = source.tensors[f"{module}.weight"].float()
        whole = weight if recipe.per_channel else weight.reshape(1, -1)
        low, high = torch.aminmax(whole, dim=1, keepdim=recipe.per_channel)
        lowest[key_of[module]].append(low)
        highest[key_of[module]].append(high)
    scales = {}
    for module in source.linears:
        low = torch.stack(lowest[key_of[module]]).amin(dim=0)
        high = torch.stack(highest[key_of[module]]).amax(dim=0)
        scale, _ = calculate_qparams(low, high, recipe.weights)
        scales[module] = (scale, torch.maximum(low.abs(), high.abs()))
    return scales


def check_weights(
    checkpoint: Checkpoint, source: Checkpoint, recipe: Recipe, report: Report
) -> tuple[str, str]:
    """Every weight scale and every FP8 byte; returns "equal of total" of both."""
    equal_scales = scales = zeros = equal_bytes = elements = 0
    for module, (expected, amax) in library_scales(source, recipe).items():
        # Of a row of zeros compressed-tensors says 2^-23 (its guard against a division by zero),
        # fp8cal 1; the bytes are zeros either way.
        zeros += int((amax == 0).sum())
        expected = torch.where(amax == 0, torch.ones_like(expected), expected)
        stored = checkpoint.tensors[f"{module}.weight_scale"]
        equal_scales += same_bits(stored, expected)
        scales += expected.numel()
        equal_bytes += same_bits(checkpoint.tensors[f"{module}.weight"],
                                 library_quantize(source.tensors[f"{module}.weight"], stored,
                                                  recipe.weights))
        elements += source.tensors[f"{module}.weight"].numel()
    remark = f" ({zeros} with amax 0, taken as 1)" if zeros else ""
    report.equal("weight scales are calculate_qparams'", equal_scales, scales, remark)
    report.equal("FP8 bytes are quantize's", equal_bytes, elements)
    return f"{equal_scales}/{scales}", f"{equal_bytes}/{elements}"


def library_quantize(
    weight: torch.Tensor, scale: torch.Tensor, args: QuantizationArgs
) -> torch.Tensor:
    """weight [rows, columns] bf16 -> E4M3: divided, clamped and rounded in float32."""
    return quantize(weight.float(), scale, None, args, dtype=torch.float8_e4m3fn)


def check_against_result(
    checkpoint: Checkpoint, recipe: Recipe, result: h5py.File, report: Report
) -> None:
    """The checkpoint's scales and the result file's: the same set, the same bits."""
    stored: dict[str, np.ndarray] = {}
    group = result.get(f"scales/{recipe.name}", {})
    for module in group:
        for kind in group[module]:
            stored[f"{module}.{kind}"] = group[module][kind][()]
    for kind in ("weight_scale", "input_scale", "k_scale", "v_scale"):
        names = {n for n in stored if n.endswith(f".{kind}")}
        held = {n for n in checkpoint.tensors if n.endswith(f".{kind}")}
        if not names and not held:
            continue
        equal = total = 0
        for name in names | held:
            ours = torch.from_numpy(stored[name]).flatten() if name in names else torch.empty(0)
            tensor = checkpoint.tensors.get(name, torch.empty(0)).flatten()
            equal += same_bits(tensor, ours)
            total += max(tensor.numel(), ours.numel())
        report.equal(f"{kind} of the result file", equal, total, f" in {len(names | held)} modules")
