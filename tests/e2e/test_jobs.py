"""The job files in jobs/ are planned for the clusters that they are made for."""

import json
import re
import struct
import unittest

import numpy as np

import harness

TOKENS = 256 * 2048
SHAPES = {  # Llama 3.1
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
           "num_attention_heads": 32},
    "70b": {"hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80,
            "num_attention_heads": 64},
}
COMMON = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
    "num_key_value_heads": 8, "vocab_size": 128256, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
    "max_position_embeddings": 131072, "tie_word_embeddings": False, "torch_dtype": "bfloat16",
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
}


def tensor_shapes(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for name, rows in (("q", hidden), ("k", kv), ("v", kv), ("o", hidden)):
            yield f"{at}self_attn.{name}_proj.weight", (rows, hidden)
        for name, rows, columns in (("gate", inner, hidden), ("up", inner, hidden),
                                    ("down", hidden, inner)):
            yield f"{at}mlp.{name}_proj.weight", (rows, columns)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{at}{name}.weight", (hidden,)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (config["vocab_size"], hidden)


def write_hollow_model(folder, config):
    """A checkpoint whose tensors are a hole in a sparse file: enough to plan with."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    header, end = {}, 0
    for name, shape in tensor_shapes(config):
        begin, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


class JobFilesTest(harness.TempFolderTest):
    # file: model, ranks, the partition, and whether weights are streamed
    EXPECTED = {
        "llama-3.1-8b-24gb.ini": ("8b", 1, "single", True),
        "llama-3.1-8b-80gb.ini": ("8b", 1, "single", False),
        "llama-3.1-8b-141gb.ini": ("8b", 1, "single", False),
        "llama-3.1-70b-1x8.ini": ("70b", 8, "layers:8", False),
        "llama-3.1-70b-2x4.ini": ("70b", 8, "layers:2+tensor:4", False),
        "seeds-by-datasets.ini": ("8b", 1, "single", False),
    }

    def test_all_are_expected(self):
        found = {file.name for file in (harness.SOURCE / "jobs").glob("*.ini")}
        self.assertEqual(found, set(self.EXPECTED))

    def test_plans(self):
        tokens = self.folder / "tokens.u32"
        tokens.write_bytes(bytes(4 * TOKENS))
        for name, shape in SHAPES.items():
            write_hollow_model(self.folder / name, COMMON | shape)
        for file, (model, ranks, partition, streamed) in self.EXPECTED.items():
            with self.subTest(file=file):
                keys = {"model.path": self.folder / model, "calibration.dataset": tokens,
                        "evaluation.dataset": tokens}
                done = harness.run(["plan", str(harness.SOURCE / "jobs" / file), "--ranks",
                                    str(ranks), *harness.options_of(keys)], env=harness.ALONE)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, rf"(?m)^partition +{re.escape(partition)} on {ranks} ")
                self.assertRegex(done.stdout, r"(?m)^work +calibrate 256 x 2048 tokens")
                self.assertEqual(bool(re.search("(?m)^weights +streamed", done.stdout)), streamed)


if __name__ == "__main__":
    unittest.main()
