"""What a job tells of itself while it runs and at its end, its number of ranks, and the token ids that
it keeps for others."""

import json
import os
import signal
import unittest

import numpy as np

import harness
from status_harness import StatusTest


class TellingTest(StatusTest):
    def test_while_it_runs_and_when_it_is_done(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                self.status.unlink(missing_ok=True)
                run = self.start(self.long_job(calibration__samples=800), ranks)
                status = self.wait_for(run, lambda one: one["unit"] == "sequences" and one["done"])
                self.assertEqual(status["state"], "running")
                self.assertTrue(status["stage"].startswith("calibrate layers 0-3"), status)
                self.assertEqual(status["units"], 800)
                self.assertEqual(status["ranks"], ranks)
                self.assertIsNotNone(status["partition"])
                self.assertGreater(status["tokens_per_second"], 0)
                self.assertGreater(status["seconds_left"], 0)
                self.assertEqual(status["host"], os.uname().nodename)
                self.assertIsNone(status["exit_code"])
                self.assertIsNone(status["digest"])
                later = self.wait_for(run, lambda one: one["done"] > status["done"])
                self.assertGreaterEqual(later["updated"], status["updated"])
                self.assertEqual(run.process.wait(timeout=120), 0, run.log.read_text())
                self.assertEqual(self.told()["state"], "done")
                self.assertEqual(self.told()["exit_code"], 0)
                self.assertEqual(self.told()["digest"], self.digest())
                self.assertEqual(self.told()["result"], str(self.result))
                self.assertEqual(list(self.folder.glob("status*")), [self.status])

    def test_the_content_is_the_same(self):
        self.succeed(self.keys())
        digest = self.digest()
        self.succeed(self.keys() | {"runtime.status": "none"})
        self.assertEqual(self.digest(), digest)

    def test_a_gate_that_fails(self):
        for ranks in (1, 2):
            done = harness.run(["run", *harness.options_of(self.keys(evaluation__max_kl=0))], ranks)
            self.assertEqual(done.returncode, 3, done.stderr)
            status = self.told()
            self.assertEqual((status["state"], status["exit_code"]), ("gate_failed", 3))
            self.assertIn(f"fp8cal: {status['message']}", done.stderr)
            self.assertEqual(status["digest"], self.digest())

    def test_a_signal_that_saves_progress(self):
        progress = self.folder / "progress"
        run = self.start(self.long_job(runtime__checkpoint=progress))
        self.wait_for(run, lambda one: one["done"])
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.process.wait(timeout=30), 75, run.log.read_text())
        status = self.told()
        self.assertEqual((status["state"], status["exit_code"]), ("stopped", 75))
        self.assertEqual(status["checkpoint"], str(progress))
        self.assertIn("stopped by SIGTERM", status["message"])
        text = self.ask(self.job_file())
        self.assertRegex(text, f"stopped, to go on later: .*\n  progress saved \\d+ s ago in {progress}")

    def test_failures(self):
        bad = self.copy_of_nano()
        name = "model.layers.2.mlp.up_proj.weight"
        dtype, shape, blob = harness.read_tensors(bad / "model.safetensors")[name]
        harness.change_tensors(bad / "model.safetensors",
                               {name: (dtype, shape, b"\xC0\x7F" + blob[2:])})
        for ranks in (1, 2):
            for changes in ({"model.path": bad}, {"model.path": self.folder / "none"},
                            {"evaluation.dataset": self.folder / "none.txt"},
                            {"runtime.ranks": 3}):
                with self.subTest(ranks=ranks, changes=changes):
                    self.status.unlink(missing_ok=True)
                    done = harness.run(
                        ["run", *harness.options_of(self.keys() | changes)], ranks)
                    self.assertIn(done.returncode, (1, 2), done.stderr)
                    status = self.told()
                    self.assertEqual(status["state"], "failed")
                    self.assertEqual(status["exit_code"], done.returncode)
                    self.assertIn(f"fp8cal: {status['message']}", done.stderr)

    def test_a_rank_that_is_killed_cannot_tell(self):
        run = self.start(self.long_job())
        self.wait_for(run, lambda one: one["done"])
        os.kill(self.told()["pid"], signal.SIGKILL)
        self.assertEqual(run.process.wait(timeout=30), 1)
        status = self.told()
        self.assertEqual(status["state"], "running")
        self.status.write_text(json.dumps(status | {"updated": "2026-01-01T00:00:00Z"}))
        self.assertIn("silent: killed", self.ask(self.job_file()))

    def test_a_rank_that_hangs(self):
        run = self.start(self.long_job(runtime__deadline=2), 2)
        self.wait_for(run, lambda one: one["done"])
        os.kill(run.wait_for_ranks(2)[1], signal.SIGSTOP)
        self.assertEqual(run.process.wait(timeout=60), 1, run.log.read_text())
        self.assertEqual(self.told()["state"], "failed")
        self.assertIn("rank 1", self.told()["message"])
        self.assertIn(self.told()["message"], run.log.read_text())

    def test_a_file_that_cannot_be_written(self):
        keys = self.keys() | {"runtime.status": self.folder / "none" / "status.json"}
        done = self.succeed(keys)
        self.assertEqual(done.stderr.count("warning: runtime.status: "), 1, done.stderr)


class RanksTest(StatusTest):
    def test_others_than_wanted(self):
        for ranks, wanted in ((1, 2), (2, 1), (2, 3)):
            self.refuse(["run", *self.job(runtime__ranks=wanted)],
                        ["runtime.ranks: ranks: ", f"expected {wanted}, found {ranks} ",
                         "started apart"], ranks=(ranks,))
        self.succeed(self.keys(runtime__ranks=2), 2)
        for value in ("0", "all", "1.5"):
            self.refuse(["run", *self.job(runtime__ranks=value)], ["runtime.ranks", value], ranks=(1,))


class TokenCacheTest(StatusTest):
    def test_the_content_is_the_same(self):
        self.succeed(self.keys())
        digest = self.digest()
        cache = self.folder / "tokens"
        for ranks in (1, 2):
            done = self.succeed(self.keys(runtime__token_cache=cache), ranks)
            self.assertEqual(self.digest(), digest)
            files = sorted(cache.iterdir())
            self.assertEqual(len(files), 2)
            self.assertEqual(done.stderr.count("token ids from"), 0 if ranks == 1 else 2)
        files[0].write_bytes(files[0].read_bytes()[:-1])
        done = self.succeed(self.keys(runtime__token_cache=cache))
        self.assertEqual(self.digest(), digest)
        self.assertEqual(done.stderr.count("tokenized again"), 1, done.stderr)
        self.assertEqual(done.stderr.count("token ids from"), 1)
        done = self.succeed(self.keys(runtime__token_cache=cache))
        self.assertEqual(done.stderr.count("token ids from"), 2)

    def test_ids_are_not_kept(self):
        dataset = self.folder / "tokens.u32"
        dataset.write_bytes(np.arange(8 * 64, dtype="<u4").tobytes())
        cache = self.folder / "tokens"
        self.succeed(self.keys(calibration__dataset=dataset, runtime__token_cache=cache))
        self.assertEqual(len(list(cache.iterdir())), 1)


if __name__ == "__main__":
    unittest.main()
