"""`fp8cal profile`: its figures are plausible and belong together, are stored and shown."""

import json
import shutil
import struct
import unittest

import harness

CAUSES = ["products", "attention", "scaling", "norms", "collectives", "gaps"]
PROMPTS, BATCHES, CONTEXTS = (16, 64), (1, 3), (8, 32)


def options(**changes):
    keys = {"model.path": harness.NANO, "runtime.backend": "cpu", "runtime.threads": 1,
            "variants": "bf16,fp8-static,fp8-dynamic", "kv": "bf16,e4m3", "prompts": "16,64",
            "decode-batches": "1,3", "contexts": "8,32"}
    for key, value in changes.items():  # runtime__device_memory, decode_batches
        keys[key.replace("__", ".") if "__" in key else key.replace("_", "-")] = value
    return harness.options_of({key: value for key, value in keys.items() if value is not None})


def calibrate(result, **changes):
    keys = harness.small_job(result, scales__recipe="fp8-static,fp8-dynamic",
                             scales__kv="none,e4m3", **changes)
    done = harness.run(["run", *harness.options_of(keys)])
    assert done.returncode == 0, done.stderr


class ProfileTest(harness.TempFolderTest):
    def profile(self, *more, ranks=1, **changes):
        done = harness.run(["profile", *options(**changes), *more, "--json"], ranks, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1)
        return json.loads(done.stdout)

    def check_passes(self, report, variants, kv):
        found = {(one["phase"], one["variant"], one["kv"], one["sequences"], one["tokens"])
                 for one in report["passes"]}
        settings = [(variant, one) for variant in variants for one in kv]
        expected = {("prefill", *setting, 1, prompt) for setting in settings for prompt in PROMPTS}
        expected |= {("decode", *setting, batch, context) for setting in settings
                     for batch in BATCHES for context in CONTEXTS}
        self.assertEqual(found, expected)
        self.assertEqual(len(report["passes"]), len(expected))
        self.assertEqual(report["unfit"], [])
        for one in report["passes"]:
            with self.subTest(**{key: one[key] for key in ("phase", "variant", "kv", "tokens")}):
                self.assertGreater(one["median_s"], 0)
                self.assertGreaterEqual(one["p95_s"], one["median_s"])
                self.assertGreater(one["runs"], 0)
                self.assertEqual(list(one["causes"]), CAUSES)
                causes = [cause["seconds"] for cause in one["causes"].values()]
                self.assertGreaterEqual(min(causes), 0)
                self.assertAlmostEqual(sum(causes) / one["median_s"], 1, delta=0.2)
                self.assertGreater(one["causes"]["products"]["flop"], 0)
                scaling = one["causes"]["scaling"]["calls"]
                # What computes a token's tensors also casts them, where it knows the scale, and of
                # one sequence what needs them casts those that are left.
                casts = one["phase"] == "decode" and (
                    (one["variant"] == "fp8-static" and len(report["places"]) == 1) or
                    (one["variant"] == "fp8-dynamic" and one["sequences"] == 1))
                if one["variant"] != "bf16" and not casts:
                    self.assertGreater(scaling, 0)
                elif casts or one["kv"] == "bf16":
                    self.assertEqual(scaling, 0)
                if len(report["places"]) > 1:
                    self.assertGreater(one["causes"]["collectives"]["seconds"], 0)

    def check_answers(self, report):
        """Against the passes, once more."""
        median = {(one["phase"], one["variant"], one["kv"], one["sequences"], one["tokens"]):
                  one["median_s"] for one in report["passes"]}
        for one in report["answers"]["time_to_first_token"]:
            times = [seconds for key, seconds in median.items()
                     if key[0] == "prefill" and key[4] == one["prompt"]]
            self.assertEqual(one["seconds"], min(times))
            bf16 = median["prefill", "bf16", "bf16", 1, one["prompt"]]
            self.assertAlmostEqual(one["gain"], bf16 / min(times))
        self.assertEqual(len(report["answers"]["time_to_first_token"]), len(PROMPTS))
        self.assertEqual(len(report["answers"]["time_per_output_token"]),
                         len(BATCHES) * len(CONTEXTS))
        self.assertEqual(len(report["answers"]["total"]), len(PROMPTS) * len(BATCHES) * 4)

        def total(variant, kv, prompt, batch, output):
            low, high = (median["decode", variant, kv, batch, context] for context in CONTEXTS)
            share = min(max((prompt - CONTEXTS[0]) / (CONTEXTS[1] - CONTEXTS[0]), 0), 1)
            first = median["prefill", variant, kv, 1, prompt]
            return batch * first + output * (low + share * (high - low))

        for one in report["answers"]["faster_than_bf16"]:
            place = one["prompt"], one["batch"]

            def faster(output):
                return total(one["variant"], one["kv"], *place, output) < \
                    total("bf16", "bf16", *place, output)

            at = one.get("tokens")
            expected = {"always": [(1, True), (10**6, True)], "never": [(1, False), (10**6, False)],
                        "from": [((at or 0) - 1, False), (at, True)],
                        "up_to": [(at, True), ((at or 0) + 1, False)]}[one["faster"]]
            for output, answer in expected:
                self.assertEqual(faster(output), answer, one)

    def test_measures_what_was_asked_for(self):
        report = self.profile()
        self.check_passes(report, ("bf16", "fp8-static", "fp8-dynamic"), ("bf16", "e4m3"))
        self.check_answers(report)
        self.assertEqual(report["backend"], "cpu")
        self.assertEqual(report["scales"], "")
        self.assertEqual(len(report["places"]), 1)
        self.assertLessEqual(report["peak_bytes"], report["planned_bytes"])
        self.assertGreater(report["ceilings"]["bytes_per_s"], 0)
        self.assertGreater(report["ceilings"]["bf16_flop_per_s"], 0)
        self.assertEqual(report["ceilings"]["gather_bytes_per_s"], 0)
        self.assertTrue(report["checks"])
        for check in report["checks"]:
            self.assertGreater(check["tokens"], 0)
            self.assertLess(abs(check["mean_difference"]), 1e-2)
        self.assertEqual(list(self.folder.iterdir()), [])  # nothing was asked to be kept

    def test_two_ranks_slice_tensors(self):
        report = self.profile(ranks=2, variants="bf16,fp8-dynamic", kv="bf16")
        self.check_passes(report, ("bf16", "fp8-dynamic"), ("bf16",))
        self.assertEqual(len(report["places"]), 2)
        self.assertGreater(report["ceilings"]["gather_bytes_per_s"], 0)

    def test_is_added_to_the_result_that_scales_come_from(self):
        result = self.folder / "result.h5"
        plain, copy = self.folder / "plain.h5", self.folder / "copy.h5"
        calibrate(plain)
        shutil.copy(plain, result)
        few = {"prompts": 16, "decode_batches": 1, "contexts": 8, "scales": result}
        before = result.read_bytes()
        self.profile(ranks=2, output__result=copy, **few)
        self.assertEqual(result.read_bytes(), before)
        report = self.profile(**few)
        self.assertEqual(report["scales"], str(result))
        for file in (copy, result):
            shown = harness.run(["show", file])
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("first token", shown.stdout)
            for arguments in ([file, "--verify"], [plain, file]):  # no part of the content
                audited = harness.run(["audit", *arguments])
                self.assertEqual(audited.returncode, 0, audited.stdout + audited.stderr)

    def test_prints_tables_and_keeps_a_file_of_its_own(self):
        kept = self.folder / "profile.h5"
        done = harness.run(["profile", *options(output__result=kept)])
        self.assertEqual(done.returncode, 0, done.stderr)
        for text in ["prompt of 64 tokens: ms to first token", "3 sequences at context 32",
                     "lowest total time", "faster than BF16 in all, 3 sequences",
                     "what fp8-static saves of fp8-dynamic's time", f"result {kept}\n"]:
            self.assertIn(text, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.replace(str(kept), "").splitlines())), 100)
        self.assertEqual(list(self.folder.iterdir()), [kept])
        shown = harness.run(["show", kept])
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("fp8-static-kv-e4m3", shown.stdout)


class RefusedProfileTest(harness.RefusalTest):
    def refused(self, texts, ranks=(1,), **changes):
        env = harness.ALONE if ranks == (1,) else None
        self.refuse(["profile", *options(**changes)], texts, ranks=ranks, env=env)

    def test_refuses_bad_lists(self):
        self.refused(["--prompts", "found nothing"], prompts="")
        self.refused(["--decode-batches", "'0'"], decode_batches="0")
        self.refused(["--contexts", "'eight'"], contexts="8,eight")
        self.refused(["--prompts", "each once"], prompts="8,16,8")
        self.refused(["--kv", "each once"], kv="e4m3,e4m3")
        self.refused(["--variants", "'fp16'", "fp8-channel"], ranks=(1, 2), variants="bf16,fp16")
        self.refused(["--kv", "'e4m3-head'"], kv="e4m3-head")
        self.refuse(["profile", "job.ini"], ["takes no job file"], ranks=(1,))

    def test_refuses_what_the_model_cannot_do(self):
        self.refused(["--prompts", "at most 131072", "found 131073"], prompts=131073)
        self.refused(["--contexts", "at most 131071", "found 131072"], contexts=131072)
        self.refused(["--prompts", "at most ", "8.0 MiB", "131072"], ranks=(1, 2),
                     prompts="16,131072", runtime__device_memory="8MiB")
        self.refused(["missing key 'model.path'"], model__path=None)
        self.refused(["config.json"], model__path=self.folder)
        self.refuse(["profile", *options()], ["partition.mode", "1, 2, 4", "found 3"], ranks=(3,))

    def test_refuses_scales_that_do_not_fit(self):
        result = self.folder / "result.h5"
        calibrate(result)
        self.refused([str(result), "'fp8-weight-only'"], scales=result,
                     variants="fp8-weight-only")
        self.refused([str(result), "in e5m2", "'fp8-static-kv-e5m2'"], scales=result, kv="e5m2")
        self.refused(["none.h5"], scales=self.folder / "none.h5")
        self.refused(["config.json"], scales=harness.NANO / "config.json")
        shape = self.copy_of_nano()
        config = json.loads((shape / "config.json").read_text())
        (shape / "config.json").write_text(json.dumps(config | {"rope_theta": 10000.0}))
        self.refused(["not the model of the result", "model.rope_theta"], scales=result,
                     model__path=shape)
        (shape / "config.json").write_text(json.dumps(config))
        name = "model.layers.1.mlp.up_proj.weight"
        dtype, sizes, blob = harness.read_tensors(shape / "model.safetensors")[name]
        harness.change_tensors(shape / "model.safetensors",
                               {name: (dtype, sizes, struct.pack("<H", 0x3F80) + blob[2:])})
        self.refused(["weights digest: not the weights of the result"], ranks=(1, 2), scales=result,
                     model__path=shape)

    def test_refuses_an_output_that_cannot_be_written(self):
        self.refused(["missing"], output__result=self.folder / "missing" / "p.h5")
        self.refused([str(self.folder)], output__result=self.folder)


if __name__ == "__main__":
    unittest.main()
