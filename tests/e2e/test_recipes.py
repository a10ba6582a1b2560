"""Recipes and what is told of them: weights alone, keys and values, divergence, quality gates."""

import unittest

import h5py
import numpy as np

import harness

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def e4m3_values():
    """The non-negative numbers of E4M3, by code."""
    codes = np.arange(127)
    exponent, mantissa = codes >> 3, codes & 7
    return np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7))


def round_to_e4m3(values):
    """To the nearest number of E4M3, of two the one with the even code; saturating."""
    numbers = e4m3_values()
    magnitude = np.minimum(np.abs(values.astype(np.float64)), 448.0)
    above = np.clip(np.searchsorted(numbers, magnitude), 1, 126)
    low, high = numbers[above - 1], numbers[above]
    middle = (low + high) / 2
    up = (magnitude > middle) | ((magnitude == middle) & (above % 2 == 0))
    return np.copysign(np.where(up, high, low), values)


def round_to_bf16(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & 0xFFFF0000).astype(np.uint32).view(np.float32)


def nll_of(result, variant):
    with h5py.File(result) as file:
        return file["perplexity"][variant]["nll"][:]


class RecipesTest(harness.TempFolderTest):
    def setUp(self):
        super().setUp()
        self.result = self.folder / "result.h5"

    def test_weight_only_is_bf16_on_weights_that_went_through_e4m3(self):
        model = self.copy_of_nano()
        file = model / "model.safetensors"
        changes = {}
        for name, (dtype, shape, blob) in harness.read_tensors(file).items():
            if not name.removesuffix(".weight").endswith(LINEAR):
                continue
            weight = harness.bf16_to_float(blob, shape)
            amax = np.abs(weight).max(axis=1, keepdims=True)
            scale = np.where(amax > 0, amax / np.float32(448), np.float32(1)).astype(np.float32)
            codes = round_to_e4m3(weight / scale).astype(np.float32)
            changes[name] = (dtype, shape, harness.float_to_bf16(round_to_bf16(codes * scale)))
        harness.change_tensors(file, changes)

        self.succeed(harness.small_job(self.result, scales__recipe="fp8-weight-only"))
        rounded = self.folder / "rounded.h5"
        self.succeed(harness.small_job(rounded, model__path=model, scales__recipe="fp8-static"))
        found, expected = nll_of(self.result, "fp8-weight-only"), nll_of(rounded, "bf16")
        self.assertEqual(found.tobytes(), expected.tobytes())
        self.assertNotEqual(found.tobytes(), nll_of(self.result, "bf16").tobytes())

    def test_what_quantizing_does_to_weights(self):
        digests = set()
        for ranks in (1, 2):
            recipes = ",".join(harness.RECIPES)
            self.succeed(harness.small_job(self.result, scales__recipe=recipes,
                                           partition__mode="tensor"), ranks)
            with h5py.File(self.result) as file:
                digests.add(file.attrs["content_digest"])
        self.assertEqual(len(digests), 1)
        tensors = harness.read_tensors(harness.NANO / "model.safetensors")
        with h5py.File(self.result) as file:
            for recipe in harness.RECIPES:
                found = {name: dict(one.attrs) for name, one in file["diagnostics"][recipe].items()
                         if name.endswith(".weight")}
                self.assertEqual(len(found), 4 * len(LINEAR))
                for name, figures in found.items():
                    _, shape, blob = tensors[name]
                    weight = harness.bf16_to_float(blob, shape)
                    module = name.removesuffix(".weight")
                    scale = file["scales"][recipe][module]["weight_scale"][:].reshape(-1, 1)
                    kept = round_to_e4m3(weight / scale) * scale.astype(np.float64)
                    flushed = ((weight != 0) & (kept == 0)).sum()
                    self.assertEqual((figures["elements"], figures["clipped"], figures["flushed"]),
                                     (weight.size, 0, flushed))
                    for key, expected in (("energy", weight.astype(np.float64) ** 2),
                                          ("squared_error", (weight - kept) ** 2)):
                        self.assertAlmostEqual(figures[key] / expected.sum(), 1, 12)

    def test_keys_and_values(self):
        kv = ("none", "e4m3", "e5m2", "e4m3-head", "e5m2-head")
        self.succeed(
            harness.small_job(self.result, scales__recipe="fp8-dynamic", scales__kv=",".join(kv))
        )
        with h5py.File(self.result) as file:
            names = ["fp8-dynamic" if one == "none" else f"fp8-dynamic-kv-{one}" for one in kv]
            self.assertEqual(sorted(file["scales"]), sorted(names))
            nll = [file["perplexity"][name]["nll"][:].tobytes() for name in names]
            self.assertEqual(len(set(nll)), len(names), "two kinds of KV give the same NLLs")
            for layer in range(4):
                path = f"model.layers.{layer}.self_attn"
                self.assertNotIn(path, file["scales/fp8-dynamic"])
                for letter in "kv":
                    observed = file["activations"][f"{path}.{letter}"]
                    heads = observed["channel_amax"][:].reshape(8, 32).max(axis=1)
                    for kind, largest in (("e4m3", 448), ("e5m2", 57344)):
                        scales = file[f"scales/fp8-dynamic-kv-{kind}"][path][f"{letter}_scale"][:]
                        expected = observed["amax"][()] / np.float32(largest)
                        np.testing.assert_array_equal(scales, [expected])
                        scales = file[f"scales/fp8-dynamic-kv-{kind}-head"][path][f"{letter}_scale"]
                        np.testing.assert_array_equal(scales[:], heads / np.float32(largest))

    def test_divergence_from_bf16(self):
        recipes = "fp8-static,fp8-weight-only"
        self.succeed(harness.small_job(self.result, scales__recipe=recipes, scales__kv="none,e5m2"))
        with h5py.File(self.result) as file:
            self.assertNotIn("kl", file["perplexity/bf16"])
            mean = {}
            for name, one in file["perplexity"].items():
                if name == "bf16":
                    continue
                kl, same = one["kl"][:], one["same_top"][:]
                self.assertEqual(kl.shape, one["nll"].shape)
                self.assertTrue((kl >= 0).all())
                self.assertTrue(((same == 0) | (same == 1)).all())
                mean[name] = one.attrs["mean_kl"]
                self.assertAlmostEqual(mean[name], kl.astype(np.float64).mean(), 12)
                self.assertAlmostEqual(one.attrs["top1_agreement"], same.mean(), 12)
                low, high = one.attrs["ppl_difference_low"], one.attrs["ppl_difference_high"]
                self.assertLess(low, one.attrs["ppl_difference"])
                self.assertLess(one.attrs["ppl_difference"], high)
        # The more is rounded, the farther it is from BF16.
        self.assertLess(0, mean["fp8-weight-only"])
        self.assertLess(mean["fp8-weight-only"], mean["fp8-static"])
        self.assertLess(mean["fp8-static"], mean["fp8-static-kv-e5m2"])

        without = self.folder / "without.h5"
        self.succeed(harness.small_job(without, scales__recipe=recipes, evaluation__compare="no"))
        with h5py.File(without) as file:
            self.assertNotIn("kl", file["perplexity/fp8-static"])
        self.assertEqual(
            nll_of(without, "fp8-static").tobytes(), nll_of(self.result, "fp8-static").tobytes()
        )

    def test_the_smallest_budget_that_is_planned_is_enough(self):
        """Whatever the plan accepts runs: the refusal names the budget."""
        for ranks, keys in ((1, {}), (2, {"partition.mode": "tensor"}),
                            (8, {"partition.mode": "tensor"}), (2, {"partition.mode": "layers"})):
            job = harness.small_job(
                self.result, scales__recipe=",".join(harness.RECIPES), scales__kv="none,e4m3-head")
            job |= keys
            low, high = 1, 1 << 25  # the plan refuses the former and accepts the latter
            while high - low > 1:
                middle = (low + high) // 2
                options = harness.options_of(job | {"runtime.device_memory": middle})
                if harness.run(["plan", "--ranks", ranks, *options]).returncode == 0:
                    high = middle
                else:
                    low = middle
            self.succeed(job | {"runtime.device_memory": high}, ranks)

    def test_quality_gates(self):
        limits = {"evaluation.max_delta_ppl": "100", "evaluation.max_kl": "10"}
        self.succeed(harness.small_job(self.result) | limits)
        limits = {"evaluation.max_delta_ppl": "0", "evaluation.max_kl": "0.000001"}
        for ranks in (1, 2):
            self.result.unlink()
            keys = harness.small_job(self.result) | limits
            failed = harness.run(["run", *harness.options_of(keys)], ranks)
            self.assertEqual(failed.returncode, 3, failed.stderr)
            said = [line for line in failed.stderr.splitlines() if "quality gate" in line]
            self.assertEqual(len(said), 1, failed.stderr)
            self.assertIn("evaluation.max_kl: fp8-static: mean KL divergence: expected at most 1e-06",
                          said[0])
            self.assertIn("evaluation.max_kl: fp8-dynamic", said[0])
            self.assertIn("content digest", failed.stdout)
            self.assertTrue(self.result.exists(), "everything is still written")


if __name__ == "__main__":
    unittest.main()
