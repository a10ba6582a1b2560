"""`fp8cal bench`: what it measures adds up, and it leaves nothing behind."""

import json
import unittest

import harness

RECIPES = ["fp8-static", "fp8-dynamic"]
STAGES = ["load", "forward", "calibrate", "evaluate bf16", *(f"evaluate {r}" for r in RECIPES)]
LAYER_ELEMENTS = 128 * (512 + 2 * 256) + 512 * 128 + 3 * 128 * 384  # of the bundled model


class BenchTest(harness.TempFolderTest):
    def options(self, **changes):
        keys = harness.small_job(None, **{"runtime__threads": 1, **changes})
        return harness.options_of({key: value for key, value in keys.items() if value is not None})

    def bench(self, ranks=1, **changes):
        done = harness.run(["bench", *self.options(**changes), "--json"], ranks, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(done.stdout.count("\n"), 1)
        return json.loads(done.stdout)

    def check_stages(self, report, ranks):
        self.assertEqual([stage["stage"] for stage in report["stages"]], STAGES)
        for stage in report["stages"]:
            self.assertGreater(stage["seconds"], 0)
            if stage["stage"] == "load":
                self.assertNotIn("tokens", stage)
                self.assertEqual("gb_per_s" in stage, report["chunks"] == 1)
                if "gb_per_s" in stage:
                    rate = stage["bytes"] / stage["seconds"] / 1e9
                    self.assertAlmostEqual(stage["gb_per_s"], rate)
                continue
            evaluates = stage["stage"].startswith("evaluate")
            windows, length = (5, 128) if evaluates else (8, 64)
            flop = 2 * 4 * LAYER_ELEMENTS + 4 * 4 * 512 * length / 2
            self.assertEqual(stage["tokens"], windows * length)
            rate = stage["tokens"] / stage["seconds"]
            self.assertAlmostEqual(stage["tokens_per_s"] / rate, 1)
            self.assertAlmostEqual(stage["tflops"] / (rate * flop / 1e12), 1)
            self.assertAlmostEqual(stage["tflops_per_rank"] * ranks / stage["tflops"], 1)
        seconds = {stage["stage"]: stage["seconds"] for stage in report["stages"]}
        calibrate = report["stages"][2]
        self.assertAlmostEqual(calibrate["observer_percent"],
                               100 * (seconds["calibrate"] / seconds["forward"] - 1))

    def check_profiles(self, report):
        self.assertEqual([one["pass"] for one in report["profiles"]], STAGES[2:])
        for one in report["profiles"]:
            self.assertEqual(one["rank"], 0)
            kernels = {kernel["kernel"]: kernel for kernel in one["kernels"]}
            self.assertAlmostEqual(sum(kernel["share"] for kernel in one["kernels"]), 1)
            self.assertAlmostEqual(sum(kernel["seconds"] for kernel in one["kernels"]),
                                   one["seconds"])
            self.assertIn("gathers and gaps", kernels)
            self.assertEqual("observe" in kernels, one["pass"] == "calibrate")
            self.assertEqual("quantize_rows" in kernels, one["pass"] == "evaluate fp8-dynamic")
            self.assertEqual(any(name.startswith("multiply_scaled ") for name in kernels),
                             "fp8" in one["pass"])
            # What is done once, however many microbatches there are, is no part of a pass.
            if one["pass"] == "evaluate fp8-static":
                products = [kernel["calls"] for name, kernel in kernels.items()
                            if name.startswith("multiply_scaled ")]
                self.assertEqual(kernels["quantize"]["calls"], sum(products))
            if one["pass"] == "calibrate":
                downloads = kernels.get("download", {"calls": 0})["calls"]
                self.assertEqual(downloads, report["chunks"] - 1)

    def test_on_one_rank_and_two(self):
        for ranks, mode in [(1, "auto"), (2, "tensor"), (2, "layers"), (2, "sequences")]:
            with self.subTest(ranks=ranks, mode=mode):
                report = self.bench(ranks, partition__mode=mode, runtime__microbatch=2)
                self.assertEqual(report["ranks"], ranks)
                self.assertEqual(report["chunks"], 1)
                self.assertEqual(report["linear_elements"], 4 * LAYER_ELEMENTS)
                self.check_stages(report, ranks)
                self.assertEqual(report["profiles"][0]["tokens"], 2 * 64)
                if mode != "layers":  # rank 0 then has half of the layers
                    self.check_profiles(report)

    def test_streamed_weights(self):
        report = self.bench(runtime__device_memory="9MiB")
        self.assertGreater(report["chunks"], 1)
        self.check_stages(report, 1)
        self.check_profiles(report)
        whole = self.bench()
        for one, other in zip(report["profiles"], whole["profiles"]):
            calls = [{kernel["kernel"]: kernel.get("calls") for kernel in profile["kernels"]
                      if kernel["kernel"] not in ("upload", "download", "add")}
                     for profile in (one, other)]
            self.assertEqual(*calls)

    def test_prints_tables(self):
        done = harness.run(["bench", *self.options()], cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ["tokens/s", "per rank", "observers:", "calibrate: one microbatch on rank 0",
                     "gathers and gaps", "evaluate fp8-dynamic"]:
            self.assertIn(text, done.stdout)

    def test_a_result_that_is_named_is_left_alone(self):
        result = self.folder / "result.h5"
        result.write_bytes(b"an old result")
        done = harness.run(["bench", *self.options(output__result=result), "--json"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(result.read_bytes(), b"an old result")


class BadUsageTest(harness.RefusalTest):
    def test_refuses(self):
        self.refuse(["bench"], ["missing key 'model.path'"])
        self.refuse(["bench", self.folder / "none.ini"], ["none.ini: job file", "found nothing"])
        self.refuse(["bench", *self.job(), "--calibration.sample", "3"],
                    ["unknown option", "perhaps '--calibration.samples'"])
        self.refuse(["bench", *self.job(), "--json=yes"], ["unknown option", "'--json'"],
                    ranks=(1,))


if __name__ == "__main__":
    unittest.main()
