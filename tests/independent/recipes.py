"""What a recipe's name says: the quantization_config and the tensors of its checkpoint."""

import re
from dataclasses import dataclass

from compressed_tensors.quantization import QuantizationArgs

NAME = re.compile(r"(fp8-(?:static|channel|dynamic|weight-only))(?:-kv-(e4m3|e5m2)(-head)?)?")


def fp8(strategy: str, dynamic: bool = False) -> QuantizationArgs:
    return QuantizationArgs(
        num_bits=8, type="float", symmetric=True, strategy=strategy, dynamic=dynamic
    )


@dataclass(frozen=True)
class Recipe:
    name: str
    weights: QuantizationArgs
    input_activations: QuantizationArgs | None  # None: BF16
    kv_cache: QuantizationArgs | None  # None: BF16

    @property
    def per_channel(self) -> bool:
        return self.weights.strategy == "channel"

    @property
    def static_input(self) -> bool:
        return self.input_activations is not None and not self.input_activations.dynamic

    @property
    def per_head(self) -> bool:
        return self.kv_cache is not None and self.kv_cache.strategy == "attn_head"

    @property
    def formats(self) -> tuple[str, ...]:
        """The names of the one format that compressed-tensors and vLLM take for it."""
        if self.input_activations is None:
            return ("naive-quantized", "float-quantized")
        return ("float-quantized",)


def parse_recipe(name: str) -> Recipe:
    """Raises ValueError for a name that is none, or has no place in compressed-tensors."""
    match = NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"recipe: expected fp8-..., perhaps with -kv-..., found '{name}'")
    linear, kv, head = match.groups()
    if kv == "e5m2":
        raise ValueError(
            f"recipe: '{name}': 8-bit floats of compressed-tensors are E4M3: no place for E5M2 keys"
        )
    inputs = {
        "fp8-static": fp8("tensor"),
        "fp8-channel": fp8("tensor"),
        "fp8-dynamic": fp8("token", dynamic=True),
        "fp8-weight-only": None,
    }
    return Recipe(
        name=name,
        weights=fp8("tensor" if linear == "fp8-static" else "channel"),
        input_activations=inputs[linear],
        kv_cache=fp8("attn_head" if head else "tensor") if kv else None,
    )
