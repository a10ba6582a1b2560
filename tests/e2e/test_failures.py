"""What fails while a job runs: a rank that dies, a crash at any moment, numbers that overflow."""

import os
import random
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness
from processes import Run, ranks_of

SECONDS = 10  # from a failure to the end of every rank


class DeadRankTest(harness.RefusalTest):
    RANKS = 4

    def long_job(self, mode):
        """Calibrates on two million tokens."""
        dataset = self.folder / "tokens.u32"
        dataset.write_bytes((np.arange(4096 * 512, dtype="<u4") % 1000).tobytes())
        return harness.small_job(
            self.result, partition__mode=mode, calibration__dataset=dataset,
            calibration__samples=4096, calibration__sequence_length=512, runtime__threads=1,
            runtime__progress="lines")

    def kill_rank(self, victim, mode):
        before = {file.name: file.read_bytes() for file in self.output.iterdir()}
        with Run(self.long_job(mode), self.RANKS, self.folder / "log") as run:
            run.wait_for("load layer")  # said when the layers are there: calibration comes next
            time.sleep(0.3)
            ranks = ranks_of(run.process.pid)
            self.assertEqual(sorted(ranks), list(range(self.RANKS)))
            self.assertNotIn("calibrate", run.log.read_text())  # still at it
            os.kill(ranks[victim], signal.SIGKILL)
            try:
                code = run.process.wait(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                self.fail(f"mpirun still runs {SECONDS} s after rank {victim} died")
            self.assertEqual(run.all_gone(ranks.values()), [], "ranks that outlive the job")
        self.assertNotEqual(code, 0)
        after = {file.name: file.read_bytes() for file in self.output.iterdir()}
        self.assertEqual(after.keys(), before.keys())
        self.assertTrue(after == before, "the old result changed")

    def test_a_dead_rank_ends_the_job(self):
        for mode in ("tensor", "layers", "sequences"):
            for victim in (2, 0):
                with self.subTest(mode=mode, victim=victim):
                    self.kill_rank(victim, mode)

    def test_the_old_result_stays(self):
        self.succeed(harness.small_job(self.result))
        for victim in (3, 0):
            with self.subTest(victim=victim):
                self.kill_rank(victim, "sequences")


class CrashTest(harness.RefusalTest):
    KILLS = 25

    def test_a_kill_at_any_moment_leaves_a_complete_result(self):
        keys = harness.small_job(self.result)
        begin = time.monotonic()
        self.succeed(keys)
        duration = time.monotonic() - begin
        with h5py.File(self.result) as file:
            digest = file.attrs["content_digest"]
        generator = random.Random(1)
        old, replaced = self.result.read_bytes(), 0
        for _ in range(self.KILLS):
            delay = generator.uniform(0.2, 1.3) * duration
            with Run(keys, 1, self.folder / "log"):
                time.sleep(delay)
            new = self.result.read_bytes()
            if new != old:
                replaced += 1
                with h5py.File(self.result) as file:
                    self.assertEqual(file.attrs["content_digest"], digest)
                    self.assertIn("perplexity", file)
            old = new
        # Otherwise every kill came before the result, or every one after it.
        self.assertGreater(replaced, 0)
        self.assertLess(replaced, self.KILLS)
        self.succeed(keys)  # whatever a crash left behind
        self.assertEqual(list(self.output.iterdir()), [self.result])


class OverflowTest(harness.RefusalTest):
    """Finite weights, and activations that are not."""

    PARTITIONS = [(1, "auto"), (2, "tensor"), (2, "layers"), (2, "sequences"),
                  (4, "layers:2+tensor:2")]
    CHANNEL = 77
    TOKEN = 5
    LENGTH = 64

    def setUp(self):
        super().setUp()
        self.model = self.copy_of_nano()
        self.file = self.model / "model.safetensors"

    def change(self, name, edit):
        dtype, shape, blob = harness.read_tensors(self.file)[name]
        values = harness.bf16_to_float(blob, shape).copy()
        edit(values)
        harness.change_tensors(self.file, {name: (dtype, shape, harness.float_to_bf16(values))})

    def write_tokens(self, windows, special):
        """Token ids in which TOKEN occurs once, in window `special`."""
        ids = np.arange(windows * self.LENGTH, dtype="<u4") % 500 + 100
        ids[special * self.LENGTH + 17] = self.TOKEN
        file = self.folder / "tokens.u32"
        file.write_bytes(ids.tobytes())
        return file

    def refuse_everywhere(self, texts, **changes):
        for ranks, mode in self.PARTITIONS:
            arguments = ["run", *self.job(model__path=self.model, partition__mode=mode, **changes)]
            self.refuse(arguments, texts, code=1, ranks=(ranks,))

    def test_one_sequence(self):
        dataset = self.write_tokens(windows=8, special=3)
        self.succeed(harness.small_job(self.result, calibration__dataset=dataset))
        with h5py.File(self.result) as file:
            sequence = list(file["job/sample_ids"][:]).index(3)
        self.result.unlink()

        def only_one_token(embedding):
            embedding[:, self.CHANNEL] = 0
            embedding[self.TOKEN, self.CHANNEL] = 64

        def huge(norm):
            norm[self.CHANNEL] = 2.0**127

        self.change("model.embed_tokens.weight", only_one_token)
        self.change("model.layers.0.input_layernorm.weight", huge)
        self.refuse_everywhere(
            ["model.layers.0", "input of self_attn.q_proj", f"calibration sequence {sequence}:",
             "finite", "found inf"], calibration__dataset=dataset)

    def test_the_tensor_where_it_begins(self):
        def huge(rows):
            rows[40] = np.copysign(2.0**126, rows[40])

        self.change("model.layers.2.self_attn.v_proj.weight", huge)
        self.refuse_everywhere(["model.layers.2", "self_attn.v:", "calibration sequence 0:",
                                "finite"])

    def test_logits(self):
        def huge(head):
            head[:] = np.copysign(2.0**127, head)

        self.change("lm_head.weight", huge)
        self.refuse_everywhere(["evaluation window", "token", "finite", "log-likelihood"])


if __name__ == "__main__":
    unittest.main()
