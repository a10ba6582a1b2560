"""The folder as users load it: AutoModelForCausalLM, which calls compressed-tensors."""

from pathlib import Path

import torch
from compressed_tensors.quantization import QuantizationStatus
from files import Checkpoint, same_bits, summary
from recipes import Recipe
from report import Report
from transformers import AutoModelForCausalLM, CompressedTensorsConfig, PreTrainedModel


def load(folder: Path, dtype: torch.dtype, report: Report) -> PreTrainedModel:
    """The model with its weights still in FP8: they are decompressed in its first forward."""
    model, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, output_loading_info=True
    )
    complaints = {kind: found for kind, found in info.items() if found}
    report.same(f"load in {name_of(dtype)}: keys missing or too many", {}, complaints)
    return model.eval()


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def check_loaded(
    model: PreTrainedModel, checkpoint: Checkpoint, recipe: Recipe, report: Report
) -> None:
    """Before the first forward: each linear has its scheme, FP8 bytes and scales."""
    name = f"loaded in {name_of(model.dtype)}"
    schemes = 0
    equal = {"weight": 0, "scales": 0}
    total = {"weight": 0, "scales": 0}
    for module in checkpoint.linears:
        linear = model.get_submodule(module)
        scheme = linear.quantization_scheme
        schemes += (
            summary(scheme.weights) == summary(recipe.weights)
            and summary(scheme.input_activations) == summary(recipe.input_activations)
            and linear.quantization_status == QuantizationStatus.COMPRESSED
        )
    report.equal(f"{name}: layers with the scheme", schemes, len(checkpoint.linears))
    parameters = dict(model.named_parameters())
    for tensor_name, tensor in checkpoint.tensors.items():
        if tensor.dtype == torch.float8_e4m3fn:
            kind, wanted = "weight", tensor
        elif tensor_name.endswith("_scale"):
            kind, wanted = "scales", tensor.to(model.dtype)
        else:
            continue
        equal[kind] += same_bits(parameters[tensor_name].data, wanted)
        total[kind] += tensor.numel()
    rounded = " after rounding to bfloat16" if model.dtype == torch.bfloat16 else ""
    report.equal(f"{name}: FP8 bytes", equal["weight"], total["weight"])
    report.equal(f"{name}: scales", equal["scales"], total["scales"], rounded)


@torch.no_grad()
def check_decompressed(model: PreTrainedModel, checkpoint: Checkpoint, report: Report) -> None:
    """After a first forward: weight = FP8 number x scale, in the model's dtype.

    transformers rounds the scales of the file to the model's dtype: in bfloat16 the weights are
    products of rounded scales, in float32 of the scales as they are.
    """
    model(torch.tensor([[0, 1]], device=model.device))
    equal = total = 0
    for module in checkpoint.linears:
        scale = checkpoint.tensors[f"{module}.weight_scale"].to(model.dtype)
        expected = checkpoint.tensors[f"{module}.weight"].to(model.dtype) * scale
        equal += same_bits(model.get_submodule(module).weight.data.cpu(), expected)
        total += expected.numel()
    report.equal(f"decompressed in {name_of(model.dtype)}: weight = FP8 x scale", equal, total)


def check_dequantized(checkpoint: Checkpoint, report: Report) -> str:
    """`dequantize=True`: BF16 weights, bit for bit those made by hand with unrounded scales."""
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint.folder,
        dtype=torch.bfloat16,
        quantization_config=CompressedTensorsConfig(dequantize=True),
    )
    equal = total = 0
    for module in checkpoint.linears:
        weight = checkpoint.tensors[f"{module}.weight"].float()
        expected = (weight * checkpoint.tensors[f"{module}.weight_scale"]).bfloat16()
        equal += same_bits(model.get_submodule(module).weight.data, expected)
        total += expected.numel()
    report.equal("dequantize=True: bfloat16(FP8 x float32 scale)", equal, total)
    return f"{equal}/{total}"


@torch.no_grad()
def check_cache(
    model: PreTrainedModel, checkpoint: Checkpoint, tokens: torch.Tensor, report: Report
) -> None:
    """The KV cache after a forward over tokens [length] holds FP8 numbers x scale, and no others.

    model: in float32, where quantizing such a product gives it back exactly.
    """
    cache = model(tokens[None], use_cache=True).past_key_values
    equal = total = 0
    for layer, attention in zip(cache.layers, checkpoint.attentions, strict=True):
        for states, kind in ((layer.keys, "k"), (layer.values, "v")):
            scale = checkpoint.tensors[f"{attention}.{kind}_scale"]
            codes = (states[0] / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
            equal += same_bits(states[0], codes.float() * scale)
            total += states.numel()
    report.equal("keys and values in the cache are FP8 x scale", equal, total)
