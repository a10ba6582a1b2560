"""`fp8cal scales`: other scales from the distributions that a result holds."""

import unittest

import h5py
import numpy as np

import harness


def scales_of(file):
    found = {}
    file["scales"].visititems(
        lambda name, one: found.update({name: one[:].tobytes()}) if "_scale" in name else None
    )
    return found


class ScalesTest(harness.RefusalTest):
    def setUp(self):
        super().setUp()
        self.parent = self.folder / "parent.h5"
        keys = harness.small_job(
            self.parent, scales__recipe="fp8-static,fp8-dynamic", scales__kv="none,e4m3"
        )
        self.succeed(keys)

    def derive(self, *options, out="new.h5"):
        out = self.folder / out
        done = harness.run(["scales", self.parent, *options, "--out", out])
        self.assertEqual(done.returncode, 0, done.stderr)
        return out, done.stdout

    def test_scales_are_those_of_a_job_with_that_policy(self):
        for policy in ("amax", "percentile:99.9", "mse", "kl"):
            with self.subTest(policy=policy):
                job = self.folder / "job.h5"
                keys = harness.small_job(
                    job, scales__recipe="fp8-static,fp8-dynamic", scales__kv="none,e4m3"
                )
                self.succeed(keys | {"scales.policy": policy})
                new, stdout = self.derive("--policy", policy)
                with h5py.File(job) as expected, h5py.File(new) as found:
                    self.assertEqual(scales_of(found), scales_of(expected))
                    self.assertEqual(found["job"].attrs["scales.policy"].decode(), policy)
                    with h5py.File(self.parent) as parent:
                        self.assertEqual(found["job"].attrs["parent_digest"],
                                         parent.attrs["content_digest"])
                        # What was measured with scales that are still the same stands.
                        same = {"bf16", "fp8-dynamic"}
                        if policy == "amax":
                            same = set(parent["perplexity"])
                            self.assertEqual(scales_of(found), scales_of(parent))
                        self.assertEqual(set(found["perplexity"]), same)
                    self.assertIn(found.attrs["content_digest"].decode(), stdout)
                    for name, one in found["diagnostics/fp8-static"].items():
                        expected_one = expected["diagnostics/fp8-static"][name]
                        self.assertEqual(dict(one.attrs), dict(expected_one.attrs), name)

    def test_other_recipes(self):
        new, _ = self.derive("--policy", "mse", "--recipe", "fp8-channel", "--kv", "none,e5m2-head")
        with h5py.File(new) as file:
            self.assertEqual(set(file["scales"]), {"fp8-channel", "fp8-channel-kv-e5m2-head"})
            self.assertEqual(set(file["perplexity"]), {"bf16"})
            attention = file["scales/fp8-channel-kv-e5m2-head/model.layers.0.self_attn"]
            self.assertEqual(attention["k_scale"].shape, (8,))

    def test_mse_never_has_a_larger_error_than_amax(self):
        amax, _ = self.derive("--policy", "amax", out="amax.h5")
        mse, _ = self.derive("--policy", "mse", out="mse.h5")
        with h5py.File(amax) as worst, h5py.File(mse) as best:
            for recipe, tensors in worst["diagnostics"].items():
                for name, one in tensors.items():
                    self.assertLessEqual(
                        best["diagnostics"][recipe][name].attrs["squared_error"],
                        one.attrs["squared_error"], name)
                    self.assertEqual(one.attrs["clipped"], 0)

    def test_what_is_refused(self):
        new = self.output / "new.h5"
        out = ["--out", new]
        self.refuse(["scales", self.parent, "--policy", "best", *out], ["scales.policy", "'best'"])
        self.refuse(["scales", self.parent, *out], ["needs a policy"])
        self.refuse(["scales", self.parent, "--policy", "mse"], ["needs a file to write"])
        self.refuse(["scales", self.folder / "none.h5", "--policy", "mse", *out], ["none.h5"])
        self.refuse(["scales", harness.NANO / "config.json", "--policy", "mse", *out],
                    ["config.json"])
        self.refuse(["scales", self.parent, "--policy", "mse", "--recipe", "fp4", *out], ["'fp4'"])
        self.refuse(["scales", self.parent, "--policy", "mse", "--kv", "e4m3", *out], ["--recipe"])
        with h5py.File(self.parent, "r+") as file:
            file["activations/model.layers.0.self_attn.q_proj/histogram"][100] += np.uint64(1)
        self.refuse(["scales", self.parent, "--policy", "mse", *out], ["content digest"])


if __name__ == "__main__":
    unittest.main()
