"""Against what Hugging Face transformers computes for the same checkpoint and tokens."""

import unittest

import golden_bars
import harness

harness.require_data()


class GoldenTest(harness.TempFolderTest):
    def check(self, model):
        folder = harness.DATA / "models" / model
        golden = folder / "golden.h5"
        result = self.folder / "result.h5"
        keys = {
            "model.path": folder,
            "calibration.dataset": f"{golden}:calibration_tokens",
            "calibration.samples": 16,
            "calibration.sequence_length": 512,
            "evaluation.dataset": f"{golden}:test_tokens",
            "evaluation.windows": 16,
            "runtime.progress": "none",
            "output.result": result,
        }
        self.succeed(keys, timeout=600)
        self.assertEqual(golden_bars.misses(golden, result), [])

    def test_nano_llama(self):
        self.check("nano-llama")

    def test_small_llama(self):
        self.check("small-llama")


if __name__ == "__main__":
    unittest.main()
