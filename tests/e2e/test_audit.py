"""`fp8cal audit A B`: comparing two results."""

import os
import pathlib
import shutil
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness
from audit_harness import ALONE, AuditTest, audit, stamp
from large_result import write_large_result


class CompareTest(AuditTest):
    def expect_cause(self, other, kind, text):
        stdout, found = self.expect(4, self.original, other)
        self.assertEqual(found["verdict"], "different")
        self.assertEqual(found["cause"]["kind"], kind, stdout)
        cause = next(line for line in stdout.splitlines() if line.startswith("cause "))
        self.assertIn(text, cause)
        for part in ("object", "at", "a", "b"):
            self.assertIn(found["cause"][part][:37], cause)  # long values are cut
        return found

    def test_the_same_job_on_one_rank_and_on_two_is_equal(self):
        two = self.make("two", 2, partition__mode="tensor")
        stdout, found = self.expect(0, self.original, two)
        self.assertEqual(found["verdict"], "equal")
        self.assertIsNone(found["cause"])
        self.assertEqual(found["digest_a"], found["digest_b"])
        self.assertEqual(sum(kind["differing"] for kind in found["kinds"]), 0)
        self.assertEqual(found["contents"]["layers"], 4)
        self.assertIs(found["contents"]["reportable"], True)
        self.assertEqual(found["contents"]["tokens"], 8 * 64 + 5 * 128)
        runs = {one["key"]: (one["a"], one["b"]) for one in found["runs"]}
        self.assertEqual(runs["ranks"], ("1", "2"))
        self.assertIn("partition", runs)
        self.assertRegex(stdout, r"ranks +1 \| 2")
        self.assertEqual(audit(two, two).returncode, 0)
        done = harness.run(["audit", self.original, two], ranks=2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, stdout)

    def test_another_seed(self):
        other = self.make("seed", calibration__seed=5)
        found = self.expect_cause(other, "job", "calibration.seed: 1234 | 5")
        kinds = {kind["kind"]: kind for kind in found["kinds"]}
        self.assertEqual(kinds["weights"]["differing"], 0)
        self.assertEqual(kinds["histograms"]["differing"], 24)
        with h5py.File(self.original) as a, h5py.File(self.results / "seed.h5") as b:
            largest = kinds["histograms"]["largest"]
            one, other = (file[largest["object"]][:].astype(np.int64) for file in (a, b))
            self.assertEqual(largest["size"], np.abs(one - other).sum() / 2)
            moved = {
                name: np.abs(one["histogram"][:].astype(np.int64)
                             - b["activations"][name]["histogram"][:].astype(np.int64)).sum() / 2
                for name, one in a["activations"].items()
            }
            self.assertEqual(largest["size"], max(moved.values()))
            differing = 0
            for recipe, modules in a["scales"].items():
                for module, group in modules.items():
                    for name, scale in group.items():
                        same = scale[:].tobytes() == b["scales"][recipe][module][name][:].tobytes()
                        differing += not same
            self.assertEqual(kinds["scales"]["differing"], differing)
            nll = [file["perplexity/fp8-static/nll"][:].astype(np.float64) for file in (a, b)]
            distance = np.abs(nll[0] - nll[1])
            window, prediction = np.unravel_index(distance.argmax(), distance.shape)
            token = a["job/evaluation_tokens"][window, prediction + 1]
            self.assertEqual(kinds["nll"]["largest"]["at"],
                             f"window {window}, position {prediction + 1}, token {token}")
            self.assertAlmostEqual(kinds["nll"]["largest"]["size"], distance.max())

    def test_another_policy_and_a_derived_result(self):
        other = self.make("mse", scales__policy="mse")
        self.expect_cause(other, "job", "scales.policy: amax | mse")
        derived = self.results / "derived.h5"
        done = harness.run(["scales", self.original, "--policy", "kl", "--out", derived])
        self.assertEqual(done.returncode, 0, done.stderr)
        found = self.expect_cause(derived, "job", "scales.policy: amax | kl")
        self.assertIn("the second was derived from the first", found["relation"])
        self.assertEqual(found["missing"], [{"object": "/perplexity/fp8-static", "only_in": "a"}])

    def test_other_recipes(self):
        found = self.expect_cause(self.make("recipe", scales__recipe="fp8-static"), "job",
                                  "scales.recipe: fp8-static; fp8-dynamic | fp8-static")
        self.assertIn({"object": "/scales/fp8-dynamic", "only_in": "a"}, found["missing"])

    def test_one_changed_bit_of_a_weight(self):
        model = self.copy_of_nano()
        file = model / "model.safetensors"
        name = "model.layers.2.mlp.up_proj.weight"
        dtype, shape, blob = harness.read_tensors(file)[name]
        harness.change_tensors(file, {name: (dtype, shape, bytes([blob[0] ^ 1]) + blob[1:])})
        other = self.make("weight", model__path=model)
        found = self.expect_cause(other, "weights", "weights_digest")
        histograms = next(kind for kind in found["kinds"] if kind["kind"] == "histograms")
        self.assertIn("model.layers.2.mlp.down_proj", histograms["first"]["object"])

    def test_another_text(self):
        text = self.folder / "text.txt"
        text.write_text((harness.DEMO / "calibration.txt").read_text().replace("the", "a", 3000))
        found = self.expect_cause(self.make("text", calibration__dataset=text), "tokens",
                                  "/job/calibration_tokens window ")
        with h5py.File(self.original) as a, h5py.File(self.results / "text.h5") as b:
            one, other = (file["job/calibration_tokens"][:] for file in (a, b))
            window, position = np.argwhere(one != other)[0]
            self.assertEqual(found["cause"]["at"], f"window {window}, position {position}")
            self.assertEqual(found["cause"]["a"], str(one[window, position]))
            self.assertEqual(found["cause"]["b"], str(other[window, position]))
            self.assertEqual(found["cause"]["size"], (one != other).sum())

    def test_an_fp8_checkpoint(self):
        self.assertEqual(self.expect(0, self.make_fp8(), self.make_fp8())[1]["verdict"], "equal")
        found = self.expect(4, self.original, self.make_fp8())[1]
        self.assertEqual(found["cause"]["kind"], "job")
        self.assertEqual(sum("/activations/" in one["object"] for one in found["missing"]),
                         4 * (6 + 3))  # tensors and their other names

    def compute_elsewhere(self):
        """A copy with what other hardware may change: one BF16 step of one tensor's amax."""
        other = self.copy("elsewhere.h5")
        with h5py.File(other, "r+") as file:
            file["job"].attrs["numerics"] = np.bytes_("cuda-1")
            file["provenance"].attrs["places"] = np.array([b"n1: NVIDIA H200, cuBLASLt 13.1"])
            tensor = file["activations/model.layers.1.self_attn.o_proj"]
            counts = tensor["histogram"][:]
            top = np.flatnonzero(counts)[-1]
            counts[[top, top + 1]] = counts[[top + 1, top]]
            tensor["histogram"][:] = counts
            before = tensor["amax"][()]
            after = np.array((top + 1) << 16, np.uint32).view(np.float32)[()]
            tensor["amax"][()] = after
            tensor["channel_amax"][np.argmax(tensor["channel_amax"][:])] = after
            scale = file["scales/fp8-static/model.layers.1.self_attn.o_proj/input_scale"]
            scale[:] = after / np.float32(448)
            variant = file["perplexity/bf16"]
            nll = variant["nll"][:]
            nll[0, 0] += 0.25
            variant["nll"][:] = nll
            ppl = np.exp(np.cumsum(nll.astype(np.float64))[-1] / nll.size)
            difference = ppl - variant.attrs["ppl"]
            variant.attrs["ppl"] = ppl
            stamp(file)
        return other, (after - before) / after, difference

    def test_tolerances(self):
        other, relative, difference = self.compute_elsewhere()
        self.expect_cause(other, "job", "numerics: cpu-1 | cuda-1")
        within = ["--tolerance-scale", relative * 1.01, "--tolerance-ppl", difference * 1.01]
        stdout, found = self.expect(0, self.original, other, *within)
        self.assertEqual(found["verdict"], "within_tolerance")
        self.assertIn("agree within the tolerances", stdout)
        self.assertRegex(stdout, r"numerics +cpu-1 \| cuda-1")
        self.assertRegex(stdout, r"places .* \| n1: NVIDIA H200, cuBLASLt 13.1")
        kinds = {kind["kind"]: kind for kind in found["kinds"]}
        self.assertEqual(kinds["amax"]["largest"]["size"], 1)
        self.assertAlmostEqual(kinds["amax"]["largest_relative"], relative, places=6)
        self.assertAlmostEqual(kinds["perplexity"]["largest"]["size"], difference)
        beyond = ["--tolerance-scale", relative * 0.99, "--tolerance-ppl", 10]
        stdout, found = self.expect(4, self.original, other, *beyond)
        self.assertEqual(found["cause"]["object"],
                         "/activations/model.layers.1.self_attn.o_proj/amax")
        self.assertEqual(found["kinds"][6]["beyond"], 1)
        beyond = ["--tolerance-scale", "2^-6", "--tolerance-ppl", difference * 0.99]
        stdout, found = self.expect(4, self.original, other, *beyond)
        self.assertEqual(found["cause"]["object"], "/perplexity/bf16")
        wide = ["--tolerance-scale", 10, "--tolerance-ppl", 100]
        _, found = self.expect(4, self.original, self.make("seed", calibration__seed=5), *wide)
        self.assertIn("calibration.seed", found["cause"]["at"])


class LargeResultTest(harness.TempFolderTest):
    """Two results of 70B's shape."""

    SECONDS = 10  # three on one core of 2020
    MEBIBYTES = 1024

    def measure(self, code, *arguments):
        begin = time.monotonic()
        command = [harness.PROGRAM, "audit", *map(str, arguments)]
        process = subprocess.Popen(command, env=ALONE, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, code)
        cpu = usage.ru_utime + usage.ru_stime
        print(f"audit {' '.join(pathlib.Path(one).name for one in arguments)}: {seconds:.1f} s, "
              f"{cpu:.1f} s of CPU, {usage.ru_maxrss >> 10} MiB")
        self.assertLess(cpu, self.SECONDS)
        self.assertLess(usage.ru_maxrss >> 10, self.MEBIBYTES)

    def test_takes_seconds(self):
        parent = self.folder / "parent.h5"
        write_large_result(parent)
        results = []
        for policy in ("amax", "mse"):
            results.append(self.folder / f"{policy}.h5")
            done = harness.run(["scales", parent, "--policy", policy, "--recipe",
                                "fp8-static,fp8-channel", "--kv", "none,e4m3",
                                "--out", results[-1]])
            self.assertEqual(done.returncode, 0, done.stderr)
        same = self.folder / "same.h5"
        shutil.copy(results[0], same)
        self.measure(0, results[0], same)
        self.measure(4, *results)


if __name__ == "__main__":
    unittest.main()
