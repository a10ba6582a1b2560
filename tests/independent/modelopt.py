"""A folder in the format of NVIDIA ModelOpt: other names and shapes for the same numbers.

Nothing on PyPI loads it on a CPU, so it is checked by its files and formulas alone.
"""

import json

import torch
from files import Checkpoint
from recipes import Recipe
from report import Report

# ModelOpt has no name for the other recipes.
ALGORITHMS = {"fp8-static": "FP8", "fp8-dynamic": "FP8_PER_CHANNEL_PER_TOKEN"}
KV_SCALES = {"k_scale": "k_proj.k_scale", "v_scale": "v_proj.v_scale"}


def is_modelopt(checkpoint: Checkpoint) -> bool:
    return checkpoint.config.get("quantization_config", {}).get("quant_method") == "modelopt"


def check_modelopt_config(
    checkpoint: Checkpoint, source: Checkpoint, recipe: Recipe, report: Report
) -> None:
    """config.json and hf_quant_config.json, as vLLM and TensorRT-LLM read them."""
    changed = [key for key, value in source.config.items() if checkpoint.config.get(key) != value]
    report.same("config.json: keys of the model changed", [], changed)
    algorithm = ALGORITHMS.get(recipe.name.split("-kv-")[0], "none: not in this format")
    kv = "FP8" if recipe.kv_cache is not None else None
    inline = checkpoint.config["quantization_config"]
    report.same("config.json quant_algo", algorithm, inline.get("quant_algo"))
    report.same("config.json ignore", ["lm_head"], inline.get("ignore"))
    scheme = {"dynamic": False, "num_bits": 8, "type": "float"} if kv else None
    report.same("config.json kv_cache_scheme", scheme, inline.get("kv_cache_scheme"))
    report.same("keys and values a head", False, recipe.per_head)
    file = json.loads((checkpoint.folder / "hf_quant_config.json").read_text())
    details = file["quantization"]
    # Engines know the file as ModelOpt's by this name.
    report.same("hf_quant_config.json producer", "modelopt", file["producer"]["name"])
    report.same("hf_quant_config.json quant_algo", algorithm, details["quant_algo"])
    report.same("hf_quant_config.json kv_cache_quant_algo", kv, details["kv_cache_quant_algo"])
    report.same("hf_quant_config.json exclude_modules", ["lm_head"], details["exclude_modules"])


def as_compressed_tensors(checkpoint: Checkpoint, recipe: Recipe, report: Report) -> Checkpoint:
    """The same tensors by compressed-tensors' names and shapes.

    weight_scale: [] or [rows]; input_scale, k_scale, v_scale: [].
    """
    tensors: dict[str, torch.Tensor] = {}
    wrong = []
    for name, tensor in checkpoint.tensors.items():
        for own, theirs in KV_SCALES.items():
            name = name.replace(f".{theirs}", f".{own}")
        if name.endswith("_scale"):
            rows = recipe.per_channel and name.endswith("weight_scale")
            if tensor.dim() != (1 if rows else 0):
                wrong.append(f"{name} {tuple(tensor.shape)}")
            tensor = tensor.reshape((-1, 1) if rows else (-1,))
        tensors[name] = tensor
    report.same("scales of another shape than ModelOpt's", [], wrong[:3])
    return Checkpoint(
        checkpoint.folder, checkpoint.config, tensors, checkpoint.file_of, checkpoint.metadata
    )
