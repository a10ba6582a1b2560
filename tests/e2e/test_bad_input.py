"""Bad input ends in one line that names what, where, what was expected and what was found."""

import json
import os
import resource
import struct
import unittest

import numpy as np

import harness

Q_PROJ = "model.layers.2.self_attn.q_proj.weight"
SHARD = "model-00002-of-00003.safetensors"


class CheckpointTest(harness.RefusalTest):
    def setUp(self):
        super().setUp()
        self.model = self.copy_of_nano()
        self.file = self.model / "model.safetensors"

    def refuse_model(self, texts, mode="auto", **keywords):
        arguments = ["run", *self.job(model__path=self.model, partition__mode=mode)]
        self.refuse(arguments, texts, **keywords)

    def change_config(self, **changes):
        file = self.model / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    def test_no_model(self):
        self.model = self.folder / "none"
        self.refuse_model([f"{self.model}/config.json", "No such file or directory"])

    def test_no_weights(self):
        self.file.unlink()
        self.refuse_model(
            [f"{self.model}: ", "expected model.safetensors or model.safetensors.index.json"])

    def test_missing_shard(self):
        harness.split_into_shards(self.model, 3)
        (self.model / SHARD).unlink()
        self.refuse_model(
            ["model.safetensors.index.json: shards missing", "all 3", f'found no "{SHARD}"'])

    def test_truncated_shard(self):
        harness.split_into_shards(self.model, 3)
        shard = self.model / SHARD
        blob = shard.read_bytes()
        (header,) = struct.unpack("<Q", blob[:8])
        shard.write_bytes(blob[:-1000])
        data = len(blob) - 8 - header
        self.refuse_model(
            [str(shard), "file truncated", f"expected {data} bytes", f"found {data - 1000}"])

    def test_shard_truncated_within_its_header(self):
        harness.split_into_shards(self.model, 3)
        shard = self.model / SHARD
        shard.write_bytes(shard.read_bytes()[:100])
        self.refuse_model([str(shard), "header length", "expected at most 92"], ranks=(1,))

    def test_shard_without_a_tensor_of_the_index(self):
        harness.split_into_shards(self.model, 3)
        shard = self.model / SHARD
        name = sorted(harness.read_tensors(shard))[0]
        harness.change_tensors(shard, {name: None})
        self.refuse_model([str(shard), "tensor missing", f'"{name}"'], ranks=(1,))

    def test_flipped_header_byte(self):
        blob = self.file.read_bytes()
        flips = [
            (b'{"', 0x01, ["header"]),  # the first brace
            (b'"BF16"', 0x20, ["JSON at byte"]),  # its quote
            (b'BF16"', 0x01, ["dtype", '"CF16"']),
            (b'lm_head', 0x01, ["tensor missing", '"lm_head.weight"']),
            (b'data_offsets', 0x01, ["data_offsets"]),
        ]
        for found, bit, texts in flips:
            at = blob.index(found, 8)
            self.file.write_bytes(blob[:at] + bytes([blob[at] ^ bit]) + blob[at + 1 :])
            self.refuse_model([str(self.model), *texts], ranks=(1,))
        for byte in range(8):
            self.file.write_bytes(blob[:byte] + bytes([blob[byte] ^ 0x40]) + blob[byte + 1 :])
            self.refuse_model([str(self.file)], ranks=(2,) if byte == 7 else (1,))

    def test_missing_tensor(self):
        harness.change_tensors(self.file, {Q_PROJ: None})
        self.refuse_model([str(self.model), "tensor missing", Q_PROJ])

    def test_wrong_shape(self):
        dtype, (rows, columns), blob = harness.read_tensors(self.file)[Q_PROJ]
        harness.change_tensors(self.file, {Q_PROJ: (dtype, [columns, rows], blob)})
        self.refuse_model([str(self.file), Q_PROJ, f"shape: expected [{rows}, {columns}], "
                                                   f"found [{columns}, {rows}]"])

    def test_wrong_dtype(self):
        _, (rows, columns), blob = harness.read_tensors(self.file)[Q_PROJ]
        harness.change_tensors(self.file, {Q_PROJ: ("I32", [rows, columns // 2], blob)})
        self.refuse_model([str(self.file), Q_PROJ, "dtype: expected BF16, F16 or F32, found I32"])

    def test_unknown_architecture(self):
        self.change_config(architectures=["GPT2LMHeadModel"])
        self.refuse_model(["config.json: architectures", "LlamaForCausalLM", "GPT2LMHeadModel"])

    def test_config_that_is_no_json(self):
        (self.model / "config.json").write_text('{"architectures": [')
        self.refuse_model(["config.json: JSON at byte", "expected valid JSON"], ranks=(1,))

    def test_vocabulary_larger_than_the_embedding(self):
        self.change_config(vocab_size=2048)
        self.refuse_model(
            ["model.embed_tokens.weight", "shape: expected [2048, 128], found [1024, 128]"])

    def test_text_beyond_the_vocabulary(self):
        self.change_config(vocab_size=512)
        self.refuse_model(["calibration.txt: token id at position 0", "below 512", "found 1008"])

    def plant(self, name, row, value):
        """A weight that is not finite, in the last column of a row."""
        dtype, shape, blob = harness.read_tensors(self.file)[name]
        values = harness.bf16_to_float(blob, shape).copy()
        values.reshape(-1, shape[-1])[row, -1] = value
        harness.change_tensors(self.file, {name: (dtype, shape, harness.float_to_bf16(values))})

    def test_weights_that_are_not_finite(self):
        for name, row, value, text in [
            (Q_PROJ, 387, np.nan, "found nan"),
            ("lm_head.weight", 1001, np.inf, "found inf"),
            ("model.layers.3.mlp.down_proj.weight", 0, -np.inf, "found inf"),
            ("model.norm.weight", 0, np.nan, "found nan"),
        ]:
            whole = harness.read_tensors(self.file)
            self.plant(name, row, value)
            for ranks, mode in [(1, "auto"), (2, "tensor"), (2, "layers"), (2, "sequences")]:
                self.refuse_model([name, f"row {row}", "finite", text], mode, ranks=(ranks,))
            harness.write_tensors(self.file, whole)

    def test_tokenizer(self):
        file = self.model / "tokenizer.json"
        text = file.read_text()
        file.unlink()
        self.refuse_model([str(file), "No such file or directory"])
        file.write_text(text[: len(text) // 2])
        self.refuse_model([str(file), "JSON at byte", "expected valid JSON"])
        file.write_text(text.replace('"BPE"', '"Unigram"'))
        self.refuse_model([str(file), "expected BPE", "Unigram"], ranks=(1,))


class DatasetTest(harness.RefusalTest):
    def refuse_dataset(self, name, content, texts, ranks=(1, 2), **changes):
        file = self.folder / name
        file.write_bytes(content)
        arguments = ["run", *self.job(calibration__dataset=file, **changes)]
        self.refuse(arguments, [str(file), *texts], ranks=ranks)

    def test_missing(self):
        file = self.folder / "none.txt"
        self.refuse(["run", *self.job(evaluation__dataset=file)],
                    [str(file), "No such file or directory"])

    def test_folder(self):
        self.refuse(["run", *self.job(evaluation__dataset=self.folder)],
                    [str(self.folder), "expected a regular file, found a folder"], ranks=(1,))

    def test_empty(self):
        self.refuse_dataset("empty.txt", b"", ["expected some text", "found an empty file"])

    def test_shorter_than_one_window(self):
        self.refuse_dataset("short.txt", b"hi",
                            ["text shorter than one window", "at least 64 tokens"])

    def test_not_utf8(self):
        self.refuse_dataset("bad.txt", b"plain text, \xff and more", ["UTF-8", "byte 12"],
                            ranks=(1,))

    def test_fewer_windows_than_samples(self):
        ids = np.arange(64 * 5, dtype="<u4")
        self.refuse_dataset("ids.u32", ids.tobytes(), ["windows of 64 tokens", "5", "8"])
        self.refuse(["run", *self.job(evaluation__windows=1000)],
                    ["evaluation.txt", "windows of 128 tokens", "383", "1000"])

    def test_token_ids(self):
        ids = np.zeros(64 * 8, dtype="<u4")
        ids[77] = 1024
        self.refuse_dataset("ids.u32", ids.tobytes(),
                            ["token id at position 77", "below 1024", "found 1024"])
        self.refuse_dataset("odd.u32", b"12345", ["a multiple of 4 bytes", "found 5"], ranks=(1,))
        self.refuse_dataset("ids.h5", b"no HDF5", ["expected", "found"], ranks=(1,))

    def test_json_lines(self):
        self.refuse_dataset("a.jsonl", b'{"text": "one"}\n{"body": "two"}\n', ["a.jsonl:2: text"],
                            ranks=(1,))
        self.refuse_dataset("b.jsonl", b'{"text": "one"}\n{"text": \n', ["b.jsonl:2"], ranks=(1,))


class JobTest(harness.RefusalTest):
    BAD_VALUES = [
        ("calibration.samples", "-1", "a whole number from 1"),
        ("calibration.samples", "0", "a whole number from 1"),
        ("calibration.samples", "abc", "a whole number from 1"),
        ("calibration.samples", "99999999999999999999", "a whole number from 1"),
        ("calibration.sequence_length", "1", "a whole number from 2"),
        ("calibration.seed", "-1", "a whole number from 0"),
        ("scales.recipe", "fp9", "one of fp8-static, fp8-channel, fp8-dynamic"),
        ("scales.recipe", "fp8-static, fp8-static", "each name once"),
        ("scales.policy", "guess", "amax"),
        ("evaluation.windows", "some", "all or a whole number from 1"),
        ("partition.mode", "nonsense", "auto, layers, tensor, sequences"),
        ("runtime.backend", "abacus", "one of auto, cpu, cuda"),
        ("runtime.device_memory", "lots", "auto or a size such as 80GiB"),
        ("runtime.threads", "0", "auto or a whole number from 1"),
        ("runtime.microbatch", "0", "a whole number from 1"),
        ("runtime.progress", "loud", "one of auto, bar, lines, none"),
    ]

    def write_job(self, *lines):
        """A job file with a complete job, then `lines`."""
        keys = harness.small_job(self.result)
        file = self.folder / "job.ini"
        text = "".join(f"{key} = {value}\n" for key, value in keys.items())
        file.write_text(text + "".join(line + "\n" for line in lines))
        return file

    def test_the_job_file_without_a_fault_runs(self):
        done = harness.run(["run", self.write_job()])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_bad_values(self):
        for key, value, expected in self.BAD_VALUES:
            section, name = key.split(".")
            found = value.split(",")[0]
            arguments = ["run", *self.job(**{f"{section}__{name}": value})]
            self.refuse(arguments, [f"{key}: ", expected, f"found '{found}'"], ranks=(1,))
        self.refuse(["run", *self.job(calibration__samples=-1)], ["calibration.samples"],
                    ranks=(2,))

    def test_repeated_recipe(self):
        options = ["--scales.recipe", "fp8-dynamic", "--scales.recipe", "fp8-dynamic"]
        self.refuse(["run", *self.job(), *options], ["scales.recipe", "'fp8-dynamic' twice"])

    def test_unknown_key(self):
        file = self.write_job("[calibration]", "sampels = 3")
        self.refuse(["run", file], [str(file), "unknown job key", "perhaps 'calibration.samples'",
                                    "found 'calibration.sampels'"])
        self.refuse(["run", *self.job(), "--evaluation.window", "3"],
                    ["command line", "unknown option", "perhaps '--evaluation.windows'",
                     "found '--evaluation.window'"])

    def test_key_given_twice(self):
        file = self.write_job("calibration.seed = 1", "calibration.seed = 2")
        self.refuse(["run", file],
                    [str(file), "key 'calibration.seed' given twice", "found '1' and '2'"])
        self.refuse(["run", *self.job(), "--calibration.samples", "9"],
                    ["command line", "key 'calibration.samples' given twice", "found '8' and '9'"])

    def test_missing_key(self):
        self.refuse(["run", *self.job(evaluation__dataset=None)],
                    ["command line", "missing key 'evaluation.dataset'"])
        file = self.folder / "job.ini"
        file.write_text("[model]\npath = model\n")
        self.refuse(["run", file], [str(file), "missing key 'evaluation.dataset'"])
        self.refuse(["run", *self.job(calibration__dataset=None)],
                    ["calibration.dataset: missing key"])

    def test_key_without_value(self):
        file = self.write_job("calibration.seed =")
        self.refuse(["run", file], [str(file), "key 'calibration.seed' has no value"], ranks=(1,))

    def test_job_file(self):
        missing = self.folder / "none.ini"
        self.refuse(["run", missing], [f"{missing}: ", "expected a file", "found nothing"])
        self.refuse(["run", self.folder], [f"{self.folder}: ", "found a folder"], ranks=(1,))
        file = self.write_job("this is no line of a job file")
        self.refuse(["run", file], [f"{file}: not a job file", "key = value",
                                    "found 'this is no line of a job file'"], ranks=(1,))

    def test_command_line(self):
        self.refuse(["rum"], ["unknown command", "one of", "perhaps 'run'", "found 'rum'"])
        self.refuse(["run", *self.job(), "--partition.mode"],
                    ["option '--partition.mode' has no value"])
        self.refuse(["run", "-x"], ["unknown option", "found '-x'"], ranks=(1,))
        self.refuse(["run", "a.ini", "b.ini"], ["expected one", "'a.ini' and 'b.ini'"], ranks=(1,))
        self.refuse(["help", "jobs"], ["'jobs'", "fp8cal help job"], ranks=(1,))
        self.refuse(["plan", *self.job(), "--ranks", "0"], ["--ranks", "'0'"], ranks=(1,))


class OutputTest(harness.RefusalTest):
    def test_missing_folder(self):
        file = self.folder / "none" / "result.h5"
        self.refuse(["run", *self.job(output__result=file)],
                    [f"{file}: cannot write", str(file.parent), "No such file or directory"])

    def test_folder(self):
        self.refuse(["run", *self.job(output__result=self.folder)],
                    [f"{self.folder}: cannot write", "found a folder"])

    @unittest.skipIf(os.geteuid() == 0, "root may write everywhere")
    def test_no_permission(self):
        self.output.chmod(0o500)
        self.refuse(["run", *self.job()], [f"{self.result}: cannot write", "Permission denied"])

    def limit_file_size(self):
        """To less than the result of 6 MB, and more than the files of Open MPI of 4 MiB."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20))

    def test_full_disk(self):
        for old in (None, b"an old result"):
            if old is not None:
                self.result.write_bytes(old)
            self.refuse(["run", *self.job()], [f"{self.result}: cannot write: File too large"],
                        code=1, ranks=(1,), preexec_fn=self.limit_file_size)
        self.assertEqual(self.result.read_bytes(), old)


class PartitionTest(harness.RefusalTest):
    def refuse_partition(self, mode, ranks, texts, **changes):
        arguments = ["run", *self.job(partition__mode=mode, **changes)]
        self.refuse(arguments, texts, ranks=(ranks,))

    def test_more_ranks_than_work(self):
        self.refuse_partition(
            "sequences", 4, ["partition.mode", "more ranks than sequences to share",
                             "at most 2", "found 4"], calibration__samples=2)
        self.refuse_partition("tensor", 3, ["'tensor'", "expected 1, 2, 4, 8 ranks, found 3"])
        self.refuse_partition("layers", 3, ["'layers'", "expected 1, 2, 4 ranks, found 3"])

    def test_grid_that_does_not_fit_the_ranks(self):
        self.refuse_partition("tensor:4", 2, ["'tensor:4'", "a grid of 2 ranks", "found 4"])
        self.refuse_partition("layers:2+tensor", 3,
                              ["'layers:2+tensor'", "a grid of 3 ranks", "a multiple of 2"])
        self.refuse_partition("layers:2+layers:2", 1, ["axis given twice"])
        self.refuse_partition("layers:99999", 1, ["bad degree"])

    def test_too_little_memory(self):
        for ranks, mode in [(1, "auto"), (2, "tensor"), (2, "layers"), (2, "auto")]:
            self.refuse_partition(mode, ranks, ["runtime.device_memory", "does not fit",
                                                "MiB a rank", "found 16.0 KiB"],
                                  runtime__device_memory="16KiB")


if __name__ == "__main__":
    unittest.main()
