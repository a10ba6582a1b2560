"""The content digest does not depend on the partition, the number of ranks or the micro-batch."""

import unittest

import h5py

import harness


class PartitionsTest(harness.TempFolderTest):
    RUNS = [
        (1, {}),
        (1, {"runtime.microbatch": 4}),
        (1, {"runtime.threads": 3}),
        (1, {"runtime.device_memory": "8MiB"}),
        (2, {"partition.mode": "tensor"}),
        (4, {"partition.mode": "tensor", "runtime.microbatch": 4}),
        (8, {"partition.mode": "tensor"}),
        (2, {"partition.mode": "layers", "runtime.microbatch": 4}),
        (4, {"partition.mode": "layers"}),
        (2, {"partition.mode": "sequences"}),
        (4, {"partition.mode": "sequences", "runtime.device_memory": "8MiB"}),
        (8, {"partition.mode": "sequences"}),
        (4, {"partition.mode": "layers:2+tensor:2"}),
        (8, {"partition.mode": "layers:2+tensor:2+sequences:2"}),
        (3, {"partition.mode": "auto"}),
    ]

    def test_every_partition_gives_the_same_digest(self):
        digests, streamed = {}, {}
        for number, (ranks, keys) in enumerate(self.RUNS):
            result = self.folder / f"{number}.h5"
            self.succeed(harness.small_job(result) | keys, ranks)
            with h5py.File(result) as file:
                digests[f"{ranks} ranks, {keys}"] = file.attrs["content_digest"]
                streamed[number] = file["provenance"].attrs["weights_streamed"]
        self.assertEqual(len(set(digests.values())), 1, digests)
        # The two runs with a small budget are there to stream: see that they do.
        self.assertEqual(
            [number for number, value in streamed.items() if value == b"yes"], [3, 10]
        )

    def test_every_recipe_gives_the_same_digest(self):
        digests = set()
        runs = [(1, {}), (2, {"partition.mode": "tensor"}), (8, {"partition.mode": "tensor"}),
                (4, {"partition.mode": "layers:2+tensor:2", "runtime.microbatch": 4}),
                (2, {"partition.mode": "sequences", "runtime.device_memory": "9MiB"})]
        recipes = {"scales.recipe": "fp8-static,fp8-channel,fp8-dynamic,fp8-weight-only",
                   "scales.kv": "none,e4m3,e5m2-head"}
        for number, (ranks, keys) in enumerate(runs):
            result = self.folder / f"recipes{number}.h5"
            self.succeed(harness.small_job(result) | recipes | keys, ranks)
            with h5py.File(result) as file:
                digests.add(file.attrs["content_digest"])
                scales = file["scales/fp8-channel/model.layers.1.mlp.up_proj"]
                self.assertEqual(scales["weight_scale"].shape, (384,))
                self.assertEqual(scales["input_scale"].shape, (1,))
                static = file["scales/fp8-static/model.layers.1.mlp.up_proj/input_scale"]
                self.assertEqual(scales["input_scale"][0], static[0])
                nll = {name: one["nll"][:] for name, one in file["perplexity"].items()}
                self.assertTrue((nll["fp8-channel"] != nll["fp8-static"]).any())
                self.assertTrue((nll["fp8-channel"] != nll["fp8-dynamic"]).any())
        self.assertEqual(len(digests), 1)

    def test_policies_follow_from_the_distribution_alone(self):
        scales, digests = {}, set()
        for ranks, policy in ((1, "amax"), (1, "percentile:100"), (1, "percentile:99"), (1, "mse"),
                              (2, "mse")):
            result = self.folder / f"policy{ranks}.h5"
            self.succeed(harness.small_job(result) | {"scales.policy": policy}, ranks)
            with h5py.File(result) as file:
                static = file["scales/fp8-static"]
                scales[policy] = {name: one["input_scale"][0] for name, one in static.items()}
                if policy == "mse":
                    digests.add(file.attrs["content_digest"])
        self.assertEqual(scales["percentile:100"], scales["amax"])
        self.assertEqual(len(digests), 1)
        for name, amax in scales["amax"].items():
            self.assertLess(scales["percentile:99"][name], amax)
            self.assertLessEqual(scales["mse"][name], amax)

    def test_another_seed_gives_another_digest(self):
        digests = set()
        for seed in (1, 2):
            result = self.folder / f"seed{seed}.h5"
            self.succeed(harness.small_job(result, calibration__seed=seed))
            with h5py.File(result) as file:
                digests.add(file.attrs["content_digest"])
        self.assertEqual(len(digests), 2)


if __name__ == "__main__":
    unittest.main()
