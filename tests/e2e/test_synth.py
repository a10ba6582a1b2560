"""A synthetic checkpoint: its bytes depend on shape and seed alone, and the main job runs on it."""

import hashlib
import re
import unittest

import numpy as np

import harness


class SynthTest(harness.TempFolderTest):
    def make(self, name, ranks=1, seed=7):
        folder = self.folder / name
        done = harness.run(
            ["synth", "--config", harness.NANO / "config.json", "--seed", seed, folder], ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        return folder

    def digests(self, folder):
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}

    def test_same_bytes_on_any_number_of_ranks(self):
        one = self.digests(self.make("one"))
        self.assertEqual(len(one), 4 + 2 + 2)  # layers; embeddings and head; config and index
        self.assertEqual(one, self.digests(self.make("three", ranks=3)))
        self.assertNotEqual(one, self.digests(self.make("other", seed=8)))

    def test_the_job_runs_and_names_a_planted_channel(self):
        folder = self.make("model")
        rng = np.random.default_rng(1)
        texts = {}
        for name in ("calibration", "evaluation"):
            texts[name] = self.folder / f"{name}.u32"
            texts[name].write_bytes(rng.integers(0, 1000, 4096).astype("<u4").tobytes())
        keys = harness.small_job(self.folder / "r.h5", model__path=folder,
                                 calibration__dataset=texts["calibration"],
                                 evaluation__dataset=texts["evaluation"])
        out = self.succeed(keys, ranks=2).stdout
        ratio = float(re.search(r"([\d.]+) x", out.split("median channel")[1]).group(1))
        self.assertGreater(ratio, 16)

    def test_refuses_a_folder_with_files(self):
        folder = self.make("twice")
        done = harness.run(["synth", "--config", harness.NANO / "config.json", folder])
        self.assertEqual(done.returncode, 2)
        self.assertIn("an empty or new one", done.stderr)


if __name__ == "__main__":
    unittest.main()
