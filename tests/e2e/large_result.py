"""A result of 70B's shape: 80 layers, made up but for its layout."""

import h5py
import numpy as np

from content_digest import content_digest

LAYERS, HIDDEN, INNER, KV = 80, 8192, 28672, 1024


def histogram(spread):
    """10^9 elements of a normal distribution."""
    bits = np.arange(1, 0x7F80, dtype=np.uint32) << 16
    magnitude = bits.view(np.float32).astype(np.float64)
    width = magnitude * 2.0**-8
    density = np.exp(-0.5 * (magnitude / spread) ** 2) * width / spread
    counts = np.zeros(32768, np.uint64)
    counts[1:0x7F80] = 10**9 * density
    return counts


def write_activation(file, name, channels, dice):
    counts = histogram(dice.uniform(0.05, 5))
    bits = np.array(np.flatnonzero(counts)[-1] << 16, np.uint32)
    amax = bits.view(np.float32)[()]
    tensor = file.create_group(f"activations/{name}")
    tensor.create_dataset("histogram", data=counts).attrs["units"] = np.bytes_("elements")
    tensor["amax"] = amax
    tensor["channel_amax"] = np.full(channels, amax, np.float32)
    tensor["amax_after"] = np.full(4, amax, np.float32)
    sequences = tensor.create_dataset("amax_after_sequences",
                                      data=np.array([32, 64, 128, 256], np.uint32))
    sequences.attrs["units"] = np.bytes_("sequences")


def write_layer(file, layer, dice):
    path = f"model.layers.{layer}."
    for module, channels in (
        ("self_attn.q_proj", HIDDEN), ("self_attn.o_proj", HIDDEN), ("mlp.gate_proj", HIDDEN),
        ("mlp.down_proj", INNER), ("self_attn.k", KV), ("self_attn.v", KV)):
        write_activation(file, path + module, channels, dice)
    for module, rows in (
        ("self_attn.q_proj", HIDDEN), ("self_attn.k_proj", KV), ("self_attn.v_proj", KV),
        ("self_attn.o_proj", HIDDEN), ("mlp.gate_proj", INNER), ("mlp.up_proj", INNER),
        ("mlp.down_proj", HIDDEN)):
        amax = dice.uniform(0.1, 0.2, rows).astype(np.float32)
        file[f"weights/{path}{module}/channel_amax"] = amax
        file[f"weights/{path}{module}/amax"] = amax.max()
    activations = file["activations"]
    for alias, name in (("self_attn.k_proj", "self_attn.q_proj"),
                        ("self_attn.v_proj", "self_attn.q_proj"),
                        ("mlp.up_proj", "mlp.gate_proj")):
        activations[path + alias] = activations[path + name]


def write_large_result(path):
    dice = np.random.default_rng(3)
    config = {"vocab_size": 128256, "hidden_size": HIDDEN, "head_dim": 128,
              "intermediate_size": INNER, "num_hidden_layers": LAYERS,
              "num_attention_heads": 64, "num_key_value_heads": 8, "tie_word_embeddings": 0}
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["format"] = np.bytes_("fp8cal")
        file.attrs["format_version"] = np.int64(1)
        file.create_group("provenance")
        job = file.create_group("job")
        for name, value in config.items():
            job.attrs["model." + name] = np.int64(value)
        job.attrs["scales.recipe"] = np.array([b"fp8-static", b"fp8-channel"])
        job["calibration_tokens"] = dice.integers(0, 128000, (256, 2048), np.uint32)
        job["evaluation_tokens"] = dice.integers(0, 128000, (141, 2048), np.uint32)
        job["sample_ids"] = np.arange(256, dtype=np.uint32)
        for layer in range(LAYERS):
            write_layer(file, layer, dice)
        file.attrs["content_digest"] = np.bytes_(content_digest(file))
