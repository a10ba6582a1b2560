"""The folder as files: the index, and name, dtype, shape and bytes of every tensor."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus
from recipes import Recipe
from report import Report
from safetensors import safe_open

LINEAR = tuple(f"{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down"))
INDEX = "model.safetensors.index.json"


@dataclass
class Checkpoint:
    folder: Path
    config: dict
    tensors: dict[str, torch.Tensor]
    file_of: dict[str, str]
    metadata: list[dict]  # of each file

    @property
    def linears(self) -> list[str]:
        """Paths of the linear layers that FP8 recipes quantize."""
        names = (name.removesuffix(".weight") for name in self.tensors if name.endswith(".weight"))
        return sorted(name for name in names if name.endswith(LINEAR))

    @property
    def attentions(self) -> list[str]:
        return [f"model.layers.{n}.self_attn" for n in range(self.config["num_hidden_layers"])]


def read_checkpoint(folder: Path) -> Checkpoint:
    """Raises ValueError if two files hold one name."""
    checkpoint = Checkpoint(folder, json.loads((folder / "config.json").read_text()), {}, {}, [])
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            checkpoint.metadata.append(file.metadata() or {})
            for name in file.keys():
                if name in checkpoint.tensors:
                    raise ValueError(f"{path}: {name} is also in {checkpoint.file_of[name]}")
                checkpoint.tensors[name] = file.get_tensor(name)
                checkpoint.file_of[name] = path.name
    return checkpoint


def same_bits(left: torch.Tensor, right: torch.Tensor) -> int:
    """How many elements have the same bits; 0 if dtype or shape differ."""
    if left.dtype != right.dtype or left.shape != right.shape:
        return 0
    width = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[left.element_size()]
    return int((left.contiguous().view(width) == right.contiguous().view(width)).sum())


def check_index(checkpoint: Checkpoint, report: Report) -> None:
    path = checkpoint.folder / INDEX
    files = set(checkpoint.file_of.values())
    bytes_held = sum(t.numel() * t.element_size() for t in checkpoint.tensors.values())
    if path.exists():
        index = json.loads(path.read_text())
        held = set(checkpoint.file_of.items())
        mapped = set(index["weight_map"].items())
        wrong = sorted(name for name, _ in held ^ mapped)
        report.check("index", held == mapped, f"{len(held)} tensors in {len(files)} files"
                     + (f", not as mapped: {wrong[:3]}" if wrong else ""))
        report.same("index total_size", bytes_held, index["metadata"]["total_size"])
    else:
        report.same("one file without index", {"model.safetensors"}, files)
    marks = {metadata.get("format") for metadata in checkpoint.metadata}
    report.same("metadata format", {"pt"}, marks)


def expected_tensors(
    source: Checkpoint, recipe: Recipe
) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """What compressed-tensors 0.20 and transformers want of the recipe's checkpoint."""
    wanted = {name: (t.dtype, tuple(t.shape)) for name, t in source.tensors.items()}
    for module in source.linears:
        rows, columns = source.tensors[f"{module}.weight"].shape
        wanted[f"{module}.weight"] = (torch.float8_e4m3fn, (rows, columns))
        scale_shape = (rows, 1) if recipe.per_channel else (1,)
        wanted[f"{module}.weight_scale"] = (torch.float32, scale_shape)
        if recipe.static_input:
            wanted[f"{module}.input_scale"] = (torch.float32, (1,))
    if recipe.kv_cache is not None:
        heads = source.config["num_key_value_heads"]
        shape = (heads, 1, 1) if recipe.per_head else (1,)
        for attention in source.attentions:
            wanted[f"{attention}.k_scale"] = (torch.float32, shape)
            wanted[f"{attention}.v_scale"] = (torch.float32, shape)
    return wanted


def check_tensors(
    checkpoint: Checkpoint, source: Checkpoint, recipe: Recipe, report: Report
) -> None:
    wanted = expected_tensors(source, recipe)
    found = {name: (t.dtype, tuple(t.shape)) for name, t in checkpoint.tensors.items()}
    wrong = sorted(
        f"{name}: expected {wanted.get(name, 'no tensor')}, found {found.get(name, 'none')}"
        for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    figures = f"{len(wanted) - len(wrong)} of {len(wanted)}"
    report.check("names, dtypes, shapes", not wrong, "; ".join([figures, *wrong[:3]]))
    quantized = {f"{module}.weight" for module in source.linears}
    copied = [name for name in source.tensors if name not in quantized]
    equal = sum(
        same_bits(checkpoint.tensors[name], source.tensors[name]) == source.tensors[name].numel()
        for name in copied if name in checkpoint.tensors
    )
    report.equal("tensors copied unchanged", equal, len(copied))
    infinite = [n for n, t in checkpoint.tensors.items() if not bool(t.float().isfinite().all())]
    report.same("tensors with NaN or infinity", [], infinite[:3])


def check_config(
    checkpoint: Checkpoint, source: Checkpoint, recipe: Recipe, report: Report
) -> None:
    """config.json: the source's, with the recipe's quantization_config."""
    changed = [key for key, value in source.config.items() if checkpoint.config.get(key) != value]
    report.same("config.json: keys of the model changed", [], changed)
    stored = checkpoint.config.get("quantization_config", {})
    try:
        config = QuantizationConfig.model_validate(stored)
    except ValueError as error:
        report.check("quantization_config", False, " ".join(str(error).split()))
        return
    report.same("quant_method", "compressed-tensors", stored.get("quant_method"))
    report.check("format", config.format in recipe.formats, config.format)
    report.same("quantization_status", QuantizationStatus.COMPRESSED, config.quantization_status)
    report.same("ignore", ["lm_head"], config.ignore)
    report.same("config groups", 1, len(config.config_groups))
    group = next(iter(config.config_groups.values()))
    report.same("targets", ["Linear"], group.targets)
    for name, expected, found in (
        ("weights", recipe.weights, group.weights),
        ("input_activations", recipe.input_activations, group.input_activations),
        ("output_activations", None, group.output_activations),
        ("kv_cache_scheme", recipe.kv_cache, config.kv_cache_scheme),
    ):
        report.same(f"scheme of {name}", summary(expected), summary(found))


def summary(args: object) -> str:
    """The fields of QuantizationArgs that say how to quantize."""
    if args is None:
        return "none"
    return (f"{args.type} {args.num_bits} {args.strategy}, symmetric {args.symmetric}, "
            f"dynamic {args.dynamic}")
