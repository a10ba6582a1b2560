"""The demo job on two ranks: what it prints, and that the statistics in its result are exact.

Writes the result to FP8CAL_RESULT, for the test of the documented result file.
"""

import os
import re
import unittest

import h5py
import numpy as np

import harness

RESULT = os.environ["FP8CAL_RESULT"]


class DemoTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        keys = {"output.result": RESULT, "runtime.progress": "lines"}
        cls.done = harness.run(
            ["run", harness.DEMO / "demo.ini", *harness.options_of(keys)], ranks=2, timeout=300
        )
        cls.file = h5py.File(RESULT) if cls.done.returncode == 0 else None

    def setUp(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)

    def test_summary_names_every_figure(self):
        out = self.done.stdout
        for variant in ("bf16", "fp8-static", "fp8-dynamic"):
            ppl = self.file[f"perplexity/{variant}"].attrs["ppl"]
            self.assertRegex(out, rf"{variant} +{ppl:.4f}")
        self.assertIn(self.file.attrs["content_digest"].decode(), out)
        self.assertIn(RESULT, out)
        self.assertIn("calibrated on 128 x 256 tokens of calibration.txt (seed 1234), evaluated on "
                      "95 x 512 tokens of evaluation.txt", out)
        self.assertNotIn("streamed", out)
        self.assertEqual(len(re.findall(r"channel +\d+", out)), 5)

    def test_advice_is_one_line(self):
        self.assertEqual(self.done.stderr.count("are recommended"), 1)
        self.assertNotIn("warning", self.done.stderr)

    def test_timeline_tells_what_each_rank_did_when(self):
        lines = [line.decode().split("\t") for line in self.file["provenance/timeline"]]
        stages = ["prepare", "load embeddings and head", "load layers 0-3", "calibrate layers 0-3",
                  "evaluate bf16 layers 0-3", "evaluate fp8-static layers 0-3",
                  "evaluate fp8-dynamic layers 0-3", "collect the statistics", "collect the scores"]
        self.assertEqual([(rank, stage) for rank, *_, stage in lines],
                         [(rank, stage) for rank in "01" for stage in stages])
        tokens = {"calibrate": 128 * 256, "evaluate": 95 * 512}
        for rank in "01":
            time = 0.0
            for own, begin, end, count, stage in lines:
                if own != rank:
                    continue
                self.assertRegex(f"{begin} {end}", r"^\d+\.\d{3} \d+\.\d{3}$")
                self.assertEqual(int(count), tokens.get(stage.split()[0], 0), stage)
                self.assertLessEqual(time, float(begin))
                self.assertLessEqual(float(begin), float(end))
                time = float(end)
            self.assertGreater(time, 0.1)

    def test_progress_lines_tell_stage_count_and_speed(self):
        for stage in ("load layers 0-3: 4/4 layers", "calibrate layers 0-3: ", "evaluate fp8-static"):
            self.assertIn(stage, self.done.stderr)
        self.assertRegex(self.done.stderr, r"128/128 sequences, \d+ tokens/s")

    def test_histograms_count_every_element(self):
        job = self.file["job"].attrs
        tokens = job["calibration.samples"] * job["calibration.sequence_length"]
        modules = self.file["activations"]
        self.assertEqual(len(modules), 4 * 9)
        for name, module in modules.items():
            histogram = module["histogram"][:]
            self.assertEqual(int(histogram.sum()), int(tokens) * module["channel_amax"].size, name)
            bits = np.uint32(np.flatnonzero(histogram)[-1]) << np.uint32(16)
            amax = np.array(bits, np.uint32).view(np.float32)
            self.assertEqual(amax, module["amax"][()], name)
            self.assertEqual(amax, module["channel_amax"][:].max(), name)
            self.assertEqual(amax, module["amax_after"][-1], name)  # after all 128 sequences

    def test_fused_modules_share_their_scales(self):
        scales = self.file["scales/fp8-static"]
        for names in (("q_proj", "k_proj", "v_proj"),):
            for kind in ("weight_scale", "input_scale"):
                values = {scales[f"model.layers.2.self_attn.{n}/{kind}"][:].tobytes() for n in names}
                self.assertEqual(len(values), 1)
        self.assertEqual(
            scales["model.layers.2.mlp.gate_proj/weight_scale"][:],
            scales["model.layers.2.mlp.up_proj/weight_scale"][:],
        )

    def test_provenance_tells_where_it_ran(self):
        provenance = self.file["provenance"].attrs
        self.assertEqual(provenance["ranks"], 2)
        self.assertEqual(len(provenance["places"]), 2)
        self.assertIn(b"[calibration]", provenance["job_file"])

    def test_memory_stays_near_the_plan(self):
        provenance = self.file["provenance"].attrs
        planned, peak = provenance["device_memory_planned"], provenance["device_memory_peak"]
        self.assertLessEqual(peak, planned * 1.1)
        self.assertGreaterEqual(peak, planned * 0.9)


class CommandTest(unittest.TestCase):
    def test_plan_shows_who_does_what(self):
        done = harness.run(["plan", harness.DEMO / "demo.ini", "--ranks", "4",
                            "--partition.mode", "layers:2+tensor:2"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("layers:2+tensor:2 on 4 ranks", done.stdout)
        self.assertEqual(len(re.findall(r"^ +\d  \d-\d ", done.stdout, re.MULTILINE)), 4)

    def test_plan_needs_no_gpu_where_the_job_says_how_much_memory_one_has(self):
        job = ["plan", harness.DEMO / "demo.ini", "--runtime.backend", "cuda"]
        done = harness.run([*job, "--runtime.device_memory", "24GiB"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("microbatch 64", done.stdout)
        self.assertIn("runtime 650.0 MiB", done.stdout)

    def test_help_documents_the_job(self):
        for words, expected in ((["help"], "fp8cal run JOB"), (["help", "job"], "[calibration]"),
                                (["run", "--help"], "fp8cal run JOB"), ([], "Exit codes")):
            done = harness.run(words)
            self.assertEqual(done.returncode, 0)
            self.assertIn(expected, done.stdout)

    def test_version(self):
        self.assertRegex(harness.run(["version"]).stdout, r"^fp8cal \d+\.\d+\.\d+ \(git \S+\)")


if __name__ == "__main__":
    unittest.main()
