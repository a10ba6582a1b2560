"""The job files in jobs/ are planned for the clusters that they are made for."""

import json
import re
import struct
import unittest

import h5py
import numpy as np

import harness
import slurm_fakes
from content_digest import content_digest

TOKENS = 512 * 2048
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


def write_stored_result(path, config):
    """What a rerun reads of a result: the job, and its tokens."""
    rope = config["rope_scaling"]
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file.attrs["format"] = np.bytes_("fp8cal")
        file.attrs["format_version"] = np.int64(1)
        file.create_group("provenance")
        job = file.create_group("job")
        for name in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                     "num_attention_heads", "num_key_value_heads"):
            job.attrs["model." + name] = np.int64(config[name])
        job.attrs["model.head_dim"] = np.int64(128)
        job.attrs["model.tie_word_embeddings"] = np.int64(0)
        job.attrs["model.rms_norm_eps"] = np.float64(config["rms_norm_eps"])
        job.attrs["model.rope_theta"] = np.float64(config["rope_theta"])
        job.attrs["model.rope_type"] = np.bytes_("llama3")
        for name in set(rope) - {"rope_type"}:
            job.attrs["model.rope_scaling." + name] = np.float64(rope[name])
        for name, value in {"samples": 256, "sequence_length": 2048, "seed": 1234}.items():
            job.attrs["calibration." + name] = np.int64(value)
        job.attrs["evaluation.compare"] = np.bytes_("yes")
        job.attrs["scales.policy"] = np.bytes_("amax")
        job.attrs["scales.recipe"] = np.array([b"fp8-static"])
        job.attrs["tokenizer_sha256"] = np.bytes_("")
        job["calibration_tokens"] = np.zeros((256, 2048), np.uint32)
        job["evaluation_tokens"] = np.zeros((141, 2048), np.uint32)
        job["sample_ids"] = np.arange(256, dtype=np.uint32)
        file.attrs["content_digest"] = np.bytes_(content_digest(file))


class JobFilesTest(harness.TempFolderTest):
    # file: nodes and ranks on each, the partition, whether weights are streamed, tasks
    EXPECTED = {
        "llama-3.1-8b-24gb.ini": (1, 1, "single", True, 1),
        "llama-3.1-8b-80gb.ini": (1, 1, "single", False, 1),
        "llama-3.1-8b-141gb.ini": (1, 1, "single", False, 1),
        "llama-3.1-70b-1x8.ini": (1, 8, "layers:8", False, 1),
        "llama-3.1-70b-2x4.ini": (2, 4, "layers:2+tensor:4", False, 1),
        "seeds-by-datasets.ini": (1, 1, "single", False, 9),
        "audit-rerun.ini": (1, 8, "layers:8", False, 1),
    }

    def test_all_are_expected(self):
        found = {file.name for file in (harness.SOURCE / "jobs").glob("*.ini")}
        self.assertEqual(found, set(self.EXPECTED))

    def prepare(self):
        """A cluster, and models, texts and a stored result in the place of those that the job files
        name."""
        self.slurm = slurm_fakes.FakeSlurm(self.folder / "slurm")
        for name, shape in SHAPES.items():
            write_hollow_model(self.folder / f"Llama-3.1-{name.upper()}", COMMON | shape)
        write_stored_result(self.folder / "llama-3.1-70b.h5", COMMON | SHAPES["70b"])
        for name in ("wikitext2-train", "wikitext2-test", "c4", "openorca"):
            (self.folder / f"{name}.u32").write_bytes(bytes(4 * TOKENS))

    def placed(self, text):
        return re.sub(r"/(models|data|scratch)/", f"{self.folder}/", text).replace(".txt", ".u32")

    def command_in(self, file):
        """The words after 'fp8cal submit' that the job file proposes for itself."""
        text = file.read_text()
        lines = re.search(r"(?m)^#   fp8cal submit ((?:.*\\\n#)*.*)$", text)[1]
        words = self.placed(lines.replace("\\\n#", "")).split()
        self.assertEqual(words[0], f"jobs/{file.name}")
        copy = self.folder / file.name
        copy.write_text(self.placed(text))
        return [str(copy), *words[1:]]

    def run_well(self, *words):
        done = harness.run(words, env=self.slurm.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_plans(self):
        self.prepare()
        for file, (nodes, ranks, partition, streamed, tasks) in self.EXPECTED.items():
            with self.subTest(file=file):
                words = self.command_in(harness.SOURCE / "jobs" / file)
                done = self.run_well("submit", *words, "--dry-run")
                plural = "" if nodes == 1 else "s"
                self.assertRegex(done.stderr, rf"(?m)^partition +{re.escape(partition)} on {nodes} "
                                              rf"node{plural} x {ranks} ")
                self.assertIn(f"#SBATCH --nodes={nodes}\n", done.stdout)
                self.assertIn(f"#SBATCH --gpus-per-node={ranks}\n", done.stdout)
                array = re.search(r"(?m)^#SBATCH --array=0-(\d+)$", done.stdout)
                self.assertEqual(int(array[1]) + 1 if array else 1, tasks)
                if "--rerun" in words or "--study" in words:
                    continue  # no job file by itself
                done = self.run_well("plan", words[0], "--ranks", nodes * ranks)
                self.assertRegex(done.stdout,
                                 rf"(?m)^partition +{re.escape(partition)} on {nodes * ranks} ")
                self.assertRegex(done.stdout, r"(?m)^work +calibrate 256 x 2048 tokens")
                self.assertEqual(bool(re.search("(?m)^weights +streamed", done.stdout)), streamed)


if __name__ == "__main__":
    unittest.main()
