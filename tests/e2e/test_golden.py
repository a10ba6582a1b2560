"""Against what Hugging Face transformers computes for the same checkpoint and tokens."""

import unittest

import h5py
import numpy as np

import harness

harness.require_data()


def mean_difference(a, b):
    return float(np.abs(a - b).mean())


class GoldenTest(harness.TempFolderTest):
    def check(self, model):
        folder = harness.DATA / "models" / model
        golden_path = folder / "golden.h5"
        result_path = self.folder / "result.h5"
        keys = {
            "model.path": folder,
            "calibration.dataset": f"{golden_path}:calibration_tokens",
            "calibration.samples": 16,
            "calibration.sequence_length": 512,
            "evaluation.dataset": f"{golden_path}:test_tokens",
            "evaluation.windows": 16,
            "runtime.progress": "none",
            "output.result": result_path,
        }
        self.succeed(keys, timeout=600)
        with h5py.File(golden_path) as golden, h5py.File(result_path) as result:
            self.check_perplexity(golden, result)
            self.check_amax(golden, result)

    def check_perplexity(self, golden, result):
        expected = {name: golden[name][:].astype(float) for name in golden if "nll" in name}
        found = {name: result[f"perplexity/{name}/nll"][:].astype(float)
                 for name in result["perplexity"]}
        bf16 = mean_difference(found["bf16"], expected["nll_fp32"])
        bf16_bar = 1.25 * mean_difference(expected["nll_bf16"], expected["nll_fp32"])
        print(f"mean |NLL - fp32|: {bf16:.5f}, at most {bf16_bar:.5f}")
        self.assertLessEqual(bf16, bf16_bar)

        nll_bar = 1.5 * mean_difference(expected["nll_fp8_static"], expected["nll_bf16"])
        for recipe, name in (("fp8-static", "nll_fp8_static"), ("fp8-dynamic", "nll_fp8_dynamic")):
            ppl = np.exp(found[recipe].mean()) / np.exp(expected[name].mean()) - 1
            nll = mean_difference(found[recipe], expected[name])
            print(f"{recipe}: perplexity {ppl:+.3%} (bar 0.5 %), "
                  f"mean |NLL difference| {nll:.5f}, at most {nll_bar:.5f}")
            self.assertLessEqual(abs(ppl), 0.005)
            self.assertLessEqual(nll, nll_bar)

    def check_amax(self, golden, result):
        errors = {}
        for key, expected in golden.attrs.items():
            module = key.removeprefix("amax_fp32/")
            if module != key and module != "lm_head":
                found = float(result[f"activations/{module}/amax"][()])
                errors[module] = abs(found / expected - 1)
        within = np.mean([error <= 0.01 for error in errors.values()])
        print(f"amax: {len(errors)} modules, largest error {max(errors.values()):.3%}, "
              f"{within:.0%} within 1 %")
        self.assertEqual(len(errors), 7 * len({module.split(".")[2] for module in errors}))
        self.assertLessEqual(max(errors.values()), 0.03)
        self.assertGreaterEqual(within, 0.9)

    def test_nano_llama(self):
        self.check("nano-llama")

    def test_small_llama(self):
        self.check("small-llama")


if __name__ == "__main__":
    unittest.main()
