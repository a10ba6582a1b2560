"""A planted outlier channel: invisible to BF16, named by the report, and costly for FP8.

Multiplying one channel of an RMSNorm weight by 2^k and dividing the matching columns of the linear
layers that read it by 2^k is exact in BF16, so the BF16 model stays the same function. E4M3 has
normal numbers over 2^15, so k = 6 costs nothing; k = 12 pushes the other channels of this one layer
to the edge of its subnormals, which a test over all tokens tells from noise; k = 16 pushes them out.
"""

import unittest

import h5py
import numpy as np

import harness

CHANNEL = 63
NORM = "model.layers.0.input_layernorm.weight"
READERS = [f"model.layers.0.self_attn.{name}_proj.weight" for name in "qkv"]


class OutlierTest(harness.TempFolderTest):
    def plant(self, k):
        model = self.copy_of_nano()
        file = model / "model.safetensors"
        tensors = harness.read_tensors(file)
        for name in [NORM, *READERS]:
            dtype, shape, blob = tensors[name]
            values = harness.bf16_to_float(blob, shape).copy()
            values[..., CHANNEL] *= 2.0**k if name == NORM else 2.0**-k
            tensors[name] = (dtype, shape, harness.float_to_bf16(values))
        harness.write_tensors(file, tensors)
        return model

    def measure(self, k):
        """BF16 NLLs, |fp8-static - bf16| of each token, and the first outlier's row."""
        result = self.folder / f"{k}.h5"
        model = self.plant(k)
        keys = harness.small_job(
            result,
            model__path=model,
            calibration__sequence_length=512,
            evaluation__sequence_length=512,
            evaluation__windows=95,
            scales__recipe="fp8-static",
        )
        output = self.succeed(keys).stdout
        model.rename(self.folder / f"model-{k}")
        with h5py.File(result) as file:
            bf16 = file["perplexity/bf16/nll"][:]
            static = file["perplexity/fp8-static/nll"][:]
        outliers = output.split("largest outlier channels")[1].splitlines()[1:]
        return bf16, np.abs(static.astype(float) - bf16).ravel(), outliers[0].split()

    def test_planted_channel(self):
        plain_bf16, plain_cost, _ = self.measure(0)
        costs = {}
        for k in (6, 12, 16):
            bf16, costs[k], first = self.measure(k)
            self.assertEqual(bf16.tobytes(), plain_bf16.tobytes(), f"BF16 changed at k = {k}")
            self.assertEqual(first[:3], ["model.layers.0.self_attn.q_proj", "channel", str(CHANNEL)])

        # Token by token, so that the spread over tokens cancels: how many standard errors.
        increase = costs[12] - plain_cost
        sigmas = increase.mean() / (increase.std() / np.sqrt(increase.size))
        print(f"mean |fp8-static - bf16| in nats: k=0 {plain_cost.mean():.4f}, "
              f"k=6 {costs[6].mean():.4f}, k=12 {costs[12].mean():.4f} ({sigmas:.1f} standard "
              f"errors above k=0), k=16 {costs[16].mean():.4f}")
        self.assertGreater(sigmas, 4)
        self.assertGreater(costs[16].mean(), 1.5 * plain_cost.mean())


if __name__ == "__main__":
    unittest.main()
