"""A planted outlier channel: invisible to BF16, named by the report, and costly for FP8.

Multiplying one channel of an RMSNorm weight by 2^k and dividing the matching columns of the linear
layers that read it by 2^k is exact in BF16, so the BF16 model stays the same function. E4M3 has
normal numbers over 2^15, so k = 6 costs nothing; k = 12 pushes the other channels of this one layer
to the edge of its subnormals, which a test over all tokens tells from noise; k = 16 pushes them out.

What helps depends on the tokens that fire the channel. A channel that no layer writes and no layer
reads holds what the embedding puts there: in one token or in all. Scaled up by a norm, it spoils the
static scale of the linear layers behind that norm and changes nothing else, exactly.
"""

import shutil
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


class CureTest(harness.TempFolderTest):
    LAYER = "model.layers.1."
    RECIPES = ("fp8-static", "fp8-dynamic", "fp8-weight-only")
    FEW = [220]  # about every 150th token

    def plant(self, tokens, k):
        """The channel is 1 in the embeddings of `tokens`; the norm before gate and up has 2^k."""
        model = self.copy_of_nano()
        file = model / "model.safetensors"
        tensors = harness.read_tensors(file)
        for name, (dtype, shape, blob) in tensors.items():
            values = harness.bf16_to_float(blob, shape).copy()
            if name == "model.embed_tokens.weight":
                values[:, CHANNEL] = 0
                values[tokens, CHANNEL] = 1
            elif name == self.LAYER + "post_attention_layernorm.weight":
                values[CHANNEL] = 2.0**k
            elif name.endswith(("o_proj.weight", "down_proj.weight")):
                values[CHANNEL] = 0
            elif len(shape) == 2:
                values[:, CHANNEL] = 0
            tensors[name] = (dtype, shape, harness.float_to_bf16(values))
        harness.write_tensors(file, tensors)
        return model

    def measure(self, tokens, k):
        """NLLs in BF16, mean |recipe - bf16| in nats by recipe, and what the run prints."""
        result = self.folder / "result.h5"
        model = self.plant(tokens, k)
        keys = harness.small_job(
            result, model__path=model, calibration__samples=32,
            calibration__sequence_length=256, evaluation__sequence_length=256,
            evaluation__windows=64, scales__recipe=",".join(self.RECIPES))
        output = self.succeed(keys).stdout
        shutil.rmtree(model)
        with h5py.File(result) as file:
            nll = {name: one["nll"][:].astype(float) for name, one in file["perplexity"].items()}
        cost = {name: np.abs(nll[name] - nll["bf16"]).mean() for name in self.RECIPES}
        print(f"tokens {tokens}, k={k}:", {name: round(one, 4) for name, one in cost.items()})
        return nll["bf16"], cost, output

    def check(self, tokens, helps, does_not, advice):
        plain_bf16, plain, output = self.measure(tokens, 0)
        self.assertNotIn("outlier channel ", output)
        bf16, cost, output = self.measure(tokens, 16)
        self.assertEqual(bf16.tobytes(), plain_bf16.tobytes(), "BF16 changed")
        for recipe in does_not:
            self.assertGreater(cost[recipe], 1.5 * plain[recipe], recipe)
        for recipe in helps:
            self.assertLess(cost[recipe], 1.1 * plain[recipe], recipe)
        advised = [line for line in output.splitlines() if "outlier channel " in line]
        self.assertEqual(len(advised), 1, output)
        self.assertIn(f"{self.LAYER}mlp.gate_proj: outlier channel {CHANNEL} ", advised[0])
        self.assertIn(advice, advised[0])

    def test_a_channel_of_few_tokens(self):
        self.check(self.FEW, helps=("fp8-dynamic", "fp8-weight-only"),
                   does_not=("fp8-static",), advice="recipe fp8-dynamic would help")

    def test_a_channel_of_every_token(self):
        self.check(slice(None), helps=("fp8-weight-only",),
                   does_not=("fp8-static", "fp8-dynamic"), advice="recipe fp8-weight-only")


if __name__ == "__main__":
    unittest.main()
