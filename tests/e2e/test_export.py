"""`fp8cal export`: the files, reading them back, and what is refused."""

import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness

KV = ("none", "e4m3", "e4m3-head")


def contents(folder):
    return {one.name: one.read_bytes() for one in pathlib.Path(folder).iterdir()}


def variant_names(kv=KV):
    return [recipe if one == "none" else f"{recipe}-kv-{one}" for recipe in harness.RECIPES for one in kv]


class ExportTest(harness.RefusalTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.results = pathlib.Path(harness.tempfile.mkdtemp(prefix="fp8cal-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.results, ignore_errors=True)
        cls.calibrated = cls.results / "calibrated.h5"
        keys = harness.small_job(
            cls.calibrated, scales__recipe=",".join(harness.RECIPES), scales__kv=",".join(KV)
        )
        done = harness.run(["run", *harness.options_of(keys)])
        assert done.returncode == 0, done.stderr

    def export_options(self, out, recipe="fp8-static", *more, model=harness.NANO):
        return ["export", self.calibrated, "--model", model, "--out", out, "--recipe", recipe, *more]

    def export(self, out, recipe="fp8-static", *more, ranks=1):
        done = harness.run(self.export_options(out, recipe, *more), ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def test_every_recipe_reads_back_with_the_same_bits(self):
        cases = [("compressed-tensors", name) for name in variant_names()]
        cases += [("modelopt", "fp8-static"), ("modelopt", "fp8-static-kv-e4m3"),
                  ("modelopt", "fp8-dynamic"), ("modelopt", "fp8-dynamic-kv-e4m3")]
        for number, (form, recipe) in enumerate(cases):
            with self.subTest(format=form, recipe=recipe):
                out = self.export(self.folder / f"{number}", recipe, "--format", form)
                result = self.folder / f"{number}.h5"
                keys = harness.small_job(result, model__path=out)
                if number % 2 == 0:
                    keys = {key: value for key, value in keys.items() if "calibration" not in key}
                self.succeed(keys, ranks=1 + number % 2)
                with h5py.File(result) as found, h5py.File(self.calibrated) as expected:
                    self.assertEqual(list(found["perplexity"]), [recipe])
                    self.assertEqual(
                        found[f"perplexity/{recipe}/nll"][:].tobytes(),
                        expected[f"perplexity/{recipe}/nll"][:].tobytes(),
                    )
                    for module, scales in expected[f"scales/{recipe}"].items():
                        for name, values in scales.items():
                            np.testing.assert_array_equal(
                                found[f"scales/{recipe}/{module}/{name}"][:], values[:]
                            )

    def test_partitions_of_a_checkpoint_that_is_read_back(self):
        out = self.export(self.folder / "out", "fp8-channel-kv-e4m3-head")
        digests = set()
        for number, (ranks, keys) in enumerate([
            (1, {}), (2, {"partition.mode": "tensor"}), (4, {"partition.mode": "sequences"}),
            (2, {"partition.mode": "layers"}), (1, {"runtime.device_memory": "2MiB"}),
        ]):
            result = self.folder / f"{number}.h5"
            self.succeed(harness.small_job(result, model__path=out) | keys, ranks)
            with h5py.File(result) as file:
                digests.add(file.attrs["content_digest"])
                streamed = file["provenance"].attrs["weights_streamed"]
        self.assertEqual(len(digests), 1)
        self.assertEqual(streamed, b"yes")

    def test_files_do_not_depend_on_the_ranks_nor_on_who_writes_them(self):
        expected = contents(self.export(self.folder / "one"))
        for ranks in (2, 4):
            self.assertEqual(contents(self.export(self.folder / f"{ranks}", ranks=ranks)), expected)
        by_job = self.folder / "by-job"
        self.succeed(
            harness.small_job(self.folder / "job.h5", scales__recipe=",".join(harness.RECIPES),
                              scales__kv=",".join(KV), output__checkpoint=by_job), ranks=2)
        self.assertEqual(contents(by_job), expected)

    def test_what_a_folder_holds(self):
        out = self.export(self.folder / "out", "fp8-dynamic-kv-e4m3")
        config = json.loads((out / "config.json").read_text())
        self.assertEqual(config["quantization_config"]["quant_method"], "compressed-tensors")
        index = json.loads((out / "model.safetensors.index.json").read_text())
        total = 0
        for file in set(index["weight_map"].values()):
            for name, (dtype, shape, blob) in harness.read_tensors(out / file).items():
                self.assertEqual(index["weight_map"][name], file)
                total += len(blob)
                if name.endswith("_proj.weight"):
                    self.assertEqual(dtype, "F8_E4M3")
        self.assertEqual(index["metadata"]["total_size"], total)
        self.assertEqual((out / "tokenizer.json").read_bytes(),
                         (harness.NANO / "tokenizer.json").read_bytes())
        card = (out / "README.md").read_text()
        with h5py.File(self.calibrated) as file:
            self.assertIn(file.attrs["content_digest"].decode(), card)
            self.assertIn(f"{file['perplexity/bf16'].attrs['ppl']:.4f}", card)
            self.assertIn(f"{file['perplexity/fp8-dynamic-kv-e4m3'].attrs['ppl']:.4f}", card)
        self.assertIn("1234", card)  # the seed

    def test_what_is_refused_before_anything_is_written(self):
        new = self.output / "new"
        taken = self.folder / "taken"
        taken.mkdir()
        (taken / "precious").write_text("data")
        self.refuse(self.export_options(taken), ["taken", "--force"])
        self.assertEqual(contents(taken), {"precious": b"data"})
        self.refuse(self.export_options(new, "fp8-statik"), ["fp8-statik", "fp8-static"])
        self.refuse(self.export_options(new, "fp8-static", "--format", "gguf"), ["gguf"])
        self.refuse(self.export_options(new, "fp8-weight-only", "--format", "modelopt"),
                    ["modelopt", "fp8-weight-only"])
        self.refuse(self.export_options(new, model=self.folder), ["config.json"])
        self.refuse(self.export_options(harness.NANO / "config.json" / "new"), ["config.json"])
        quantized = self.export(self.folder / "quantized")
        self.refuse(self.export_options(new, model=quantized), ["quantized"])

    def test_checkpoints_that_are_refused(self):
        out = self.export(self.folder / "out", "fp8-static-kv-e4m3")
        file = out / "model-00001-of-00001.safetensors"
        kept = file.read_bytes()
        attention = "model.layers.1.self_attn."
        one = np.float32(1).tobytes()
        for changes, texts in [
            ({attention + "q_proj.input_scale": None}, ["q_proj.input_scale", "none"]),
            ({attention + "q_proj.input_scale": ("F32", [1], one)}, ["reads the same input"]),
            ({attention + "k_scale": ("F32", [1], np.float32(np.nan).tobytes())}, ["k_scale", "nan"]),
            ({attention + "v_scale": ("F32", [1], np.float32(-1).tobytes())}, ["v_scale", "-1"]),
            ({attention + "o_proj.weight": ("F8_E4M3", [128, 512], bytes(1024) + b"\x7f" + bytes(64511))},
             ["o_proj.weight", "row 2", "nan"]),
            ({attention + "o_proj.weight_scale": ("F32", [2], one + one)}, ["o_proj", "[2]"]),
            ({attention + "o_proj.weight": ("BF16", [128, 512], bytes(128 * 512 * 2))},
             ["o_proj.weight", "F8_E4M3", "BF16"]),
        ]:
            harness.change_tensors(file, changes)
            self.drop_index(out)
            self.refuse(["run", *self.job(model__path=out)], texts)
            file.write_bytes(kept)
        config = json.loads((out / "config.json").read_text())
        config["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] = 4
        (out / "config.json").write_text(json.dumps(config))
        self.refuse(["run", *self.job(model__path=out)], ["num_bits", "8", "4"])

    def test_weight_scales_that_differ_between_fused_modules(self):
        out = self.export(self.folder / "out", "fp8-static")
        file = out / "model-00001-of-00001.safetensors"
        name = "model.layers.1.self_attn.k_proj.weight_scale"
        dtype, shape, blob = harness.read_tensors(file)[name]
        twice = np.frombuffer(blob, np.float32) * np.float32(2)
        harness.change_tensors(file, {name: (dtype, shape, twice.tobytes())})
        result = self.folder / "result.h5"
        self.succeed(harness.small_job(result, model__path=out))
        with h5py.File(result) as found, h5py.File(self.calibrated) as expected:
            scales = found["scales/fp8-static/model.layers.1.self_attn.k_proj/weight_scale"][:]
            np.testing.assert_array_equal(scales, np.full(256, twice))
            path = "perplexity/fp8-static/nll"
            self.assertNotEqual(found[path][:].tobytes(), expected[path][:].tobytes())

    def test_what_an_fp8_model_cannot_do(self):
        out = self.export(self.folder / "out")
        job = self.job(model__path=out)
        self.refuse(["run", *job, "--evaluation.max_kl", "1"], ["evaluation.max_kl", "BF16"])
        self.refuse(["run", *job, "--evaluation.max_delta_ppl", "1"], ["evaluation.max_delta_ppl"])
        self.refuse(["bench", *job], ["model.path", "BF16"])

    def test_a_job_file_is_used_again_for_its_checkpoint(self):
        job = self.folder / "job.ini"
        keys = harness.small_job(self.folder / "first.h5", output__checkpoint=self.folder / "fp8")
        job.write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
        for options in ([], ["--model.path", self.folder / "fp8",
                             "--output.result", self.folder / "second.h5"]):
            done = harness.run(["run", job, *options])
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("evaluated as it is", done.stderr)
        none = harness.run(["run", job, "--output.checkpoint", "none"])
        self.assertEqual(none.returncode, 0, none.stderr)
        self.assertNotIn("checkpoint", none.stdout)

    def test_what_a_job_refuses_before_it_begins(self):
        out = self.output / "new"
        self.refuse(["run", *self.job(output__checkpoint=out, output__result=out / "result.h5")],
                    ["output.result", "outside output.checkpoint"])
        self.refuse(["run", *self.job(output__checkpoint=out, scales__recipe="fp8-weight-only",
                                      output__checkpoint_format="modelopt")], ["modelopt"])
        self.refuse(["run", *self.job(output__checkpoint=harness.NANO / "x")], ["inside"])

    def drop_index(self, folder):
        """So that only the file itself is wrong."""
        (folder / "model.safetensors.index.json").unlink(missing_ok=True)
        file = folder / "model-00001-of-00001.safetensors"
        (folder / "model.safetensors").unlink(missing_ok=True)
        os.link(file, folder / "model.safetensors")

    def test_a_model_that_the_result_was_not_made_from(self):
        model = self.copy_of_nano()
        name = "model.layers.2.mlp.up_proj.weight"
        dtype, shape, blob = harness.read_tensors(model / "model.safetensors")[name]
        other = bytes([blob[0] ^ 1]) + blob[1:]
        harness.change_tensors(model / "model.safetensors", {name: (dtype, shape, other)})
        for ranks in (1, 2):
            out = self.output / "new"
            done = harness.run(self.export_options(out, model=model), ranks)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("digest", done.stderr)
            self.assertEqual(len([one for one in done.stderr.splitlines() if "fp8cal:" in one]), 1)
            self.assertEqual(list(out.iterdir()) if out.exists() else [], [])

    def test_force_replaces_a_checkpoint(self):
        out = self.export(self.folder / "out", "fp8-static")
        (out / "model-00009-of-00009.safetensors").write_bytes(b"old")
        index = json.loads((out / "model.safetensors.index.json").read_text())
        index["weight_map"]["old"] = "model-00009-of-00009.safetensors"
        (out / "model.safetensors.index.json").write_text(json.dumps(index))
        (out / "notes.txt").write_text("mine")
        self.export(out, "fp8-dynamic", "--force")
        fresh = contents(self.export(self.folder / "fresh", "fp8-dynamic"))
        self.assertEqual(contents(out), fresh | {"notes.txt": b"mine"})

    def test_a_full_disk(self):
        out = self.output / "new"

        def small_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        # Open MPI's own shared files would not fit either: its other store needs none.
        environment = os.environ | {"PMIX_MCA_gds": "hash"}
        done = harness.run(self.export_options(out), preexec_fn=small_files, env=environment)
        self.assertEqual(done.returncode, 1, done.stderr)
        said = [line for line in done.stderr.splitlines() if line.startswith("fp8cal: ")]
        self.assertEqual(len(said), 1, done.stderr)
        self.assertIn("File too large", said[0])
        self.assertEqual(list(out.iterdir()) if out.exists() else [], [])

    def test_a_kill_at_any_moment_leaves_no_half_checkpoint(self):
        complete = contents(self.export(self.folder / "whole"))
        dice = random.Random(7)
        states = {"none": 0, "part": 0, "whole": 0}
        for number in range(24):
            out = self.folder / f"{number}"
            process = subprocess.Popen(
                harness.command_line(self.export_options(out)), stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            while process.poll() is None and not (out.exists() and any(out.iterdir())):
                time.sleep(0.0005)
            time.sleep(dice.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.wait()
            found = contents(out) if out.exists() else {}
            final = {name: data for name, data in found.items() if not name.endswith(".partial")}
            for name, data in final.items():
                self.assertEqual(data, complete[name], f"{name} is not complete")
            if "config.json" in final:
                self.assertEqual(final, complete)
                states["whole"] += 1
            else:
                states["part" if found else "none"] += 1
        print("killed exports left:", states)
        self.assertGreater(states["part"], 0)
        for number in range(3):  # with what the kill left; a whole one only by force
            again = self.folder / f"{number}"
            force = ["--force"] if (again / "config.json").exists() else []
            self.export(again, "fp8-static", *force)
            self.assertEqual(contents(again), complete)


if __name__ == "__main__":
    unittest.main()
