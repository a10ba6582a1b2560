"""`fp8cal audit RESULT --rerun`: a stored job, run again from nothing but its file and the weights."""

import json
import math
import shutil
import unittest

import h5py
import numpy as np

import harness
from content_digest import content_digest


class RerunTest(harness.RefusalTest):
    def setUp(self):
        super().setUp()
        self.model = self.copy_of_nano()
        self.stored = self.folder / "stored.h5"

    def store(self, **changes):
        self.succeed(harness.small_job(self.stored, model__path=self.model, **changes))

    def rerun(self, *options, ranks=1):
        return harness.run(["audit", self.stored, "--rerun", "--runtime.progress", "none",
                            *options], ranks)

    def expect_equal(self, *options, ranks=1):
        done = self.rerun(*options, ranks=ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the rerun are equal", done.stdout)
        with h5py.File(self.stored) as file:
            self.assertIn(file.attrs["content_digest"].decode(), done.stdout)
        return done

    def test_any_partition_gives_the_same(self):
        self.store(scales__recipe="fp8-static,fp8-weight-only", scales__kv="none,e5m2-head",
                   scales__policy="percentile:99.9", calibration__seed=7)
        for ranks, mode in ((1, "auto"), (2, "sequences"), (4, "layers:2+tensor:2")):
            with self.subTest(mode=mode):
                done = self.expect_equal("--partition.mode", mode, ranks=ranks)
                if ranks > 1:
                    self.assertRegex(done.stdout, r"partition +single \| " + mode.split(":")[0])
        self.expect_equal("--runtime.device_memory", "9MiB")  # streamed

    def test_a_job_file_says_how(self):
        self.store()
        moved = self.model.rename(self.folder / "moved")
        status = self.folder / "status.json"
        job = self.folder / "rerun.ini"
        job.write_text(f"[model]\npath = {moved}\n[calibration]\nseed = 99\n"  # the stored one's say
                       f"[partition]\nmode = tensor\n[runtime]\nstatus = {status}\n")
        self.assertRegex(self.expect_equal(job, ranks=2).stdout, r"single \| tensor:2")
        told = json.loads(status.read_text())
        self.assertEqual([told[key] for key in ("state", "exit_code", "result")],
                         ["done", 0, str(self.stored)])
        with h5py.File(self.stored) as file:
            self.assertEqual(told["digest"], file.attrs["content_digest"].decode())
        self.expect_equal(job, "--partition.mode", "sequences", ranks=2)  # options win
        job.write_text("[runtime]\nthread = 3\n")
        self.refuse(["audit", self.stored, "--rerun", job], ["rerun.ini", "runtime.threads"])

    def test_a_difference_is_told(self):
        """Of a result whose every number follows from the others, but that its job does not give."""
        self.store()
        with h5py.File(self.stored, "r+") as file:
            nll = file["perplexity/bf16/nll"]
            values = nll[:]
            values[0, 0] += 0.5
            nll[:] = values
            total = np.cumsum(values.astype(np.float64).ravel())[-1]
            file["perplexity/bf16"].attrs["ppl"] = math.exp(total / values.size)
            file.attrs["content_digest"] = np.bytes_(content_digest(file))
        status = self.folder / "status.json"
        done = self.rerun("--runtime.status", status)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertRegex(done.stderr, r"^fp8cal: .*stored\.h5 and the rerun differ, first in /perplexity/bf16")
        self.assertEqual(json.loads(status.read_text())["state"], "differs")

    def test_the_texts_are_not_needed(self):
        texts = self.folder / "texts"
        texts.mkdir()
        for name in ("calibration.txt", "evaluation.txt"):
            shutil.copy(harness.DEMO / name, texts)
        self.store(calibration__dataset=texts / "calibration.txt",
                   evaluation__dataset=texts / "evaluation.txt")
        shutil.rmtree(texts)
        self.expect_equal()

    def test_a_moved_model(self):
        self.store()
        moved = self.model.rename(self.folder / "moved")
        self.refuse(["audit", self.stored, "--rerun"], [str(self.model), "config.json"])
        self.expect_equal("--model.path", moved)

    def test_an_fp8_checkpoint(self):
        self.store(output__checkpoint=self.folder / "fp8")
        self.model = self.folder / "fp8"
        self.stored = self.folder / "fp8.h5"
        keys = harness.small_job(self.stored, model__path=self.model)
        for key in [key for key in keys if key.startswith("calibration")]:
            del keys[key]
        self.succeed(keys)
        self.expect_equal()
        self.expect_equal("--partition.mode", "sequences", ranks=2)

    def test_progress_is_kept_and_removed(self):
        self.store()
        progress = self.folder / "progress"
        self.expect_equal("--runtime.checkpoint", progress, "--runtime.checkpoint_interval", 0)
        self.assertFalse(progress.exists())

    def test_other_weights_are_refused(self):
        self.store()
        file = self.model / "model.safetensors"
        blob = bytearray(file.read_bytes())
        blob[-1000] ^= 1
        file.write_bytes(blob)
        self.refuse(["audit", self.stored, "--rerun", "--runtime.progress", "none"],
                    ["weights digest", "not the weights of the result"])

    def test_another_tokenizer_is_refused(self):
        self.store()
        file = self.model / "tokenizer.json"
        tokenizer = json.loads(file.read_text())
        file.write_text(json.dumps(tokenizer))
        self.refuse(["audit", self.stored, "--rerun"], ["tokenizer.json", "SHA-256"])

    def test_another_model_is_refused(self):
        self.store()
        file = self.model / "config.json"
        config = json.loads(file.read_text())
        config["rope_theta"] = 1234.0
        file.write_text(json.dumps(config))
        self.refuse(["audit", self.stored, "--rerun"], ["rope_theta", "1234"])

    def test_what_ran_nothing_is_refused(self):
        self.store()
        derived = self.folder / "derived.h5"
        done = harness.run(["scales", self.stored, "--policy", "mse", "--out", derived])
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.stored) as file:
            digest = file.attrs["content_digest"].decode()
        self.refuse(["audit", derived, "--rerun"], ["fp8cal scales", digest])

    def test_bad_usage(self):
        self.store()
        self.refuse(["audit", self.stored, "--rerun", "--calibration.seed", "3"],
                    ["unknown option", "calibration.seed"])
        self.refuse(["audit", self.stored, "--rerun", "--verify"], ["--verify or --rerun"])
        self.refuse(["audit", self.stored, self.stored, "--rerun"], ["stored.h5", "job file"])
        self.refuse(["audit", self.stored, self.stored, "--partition.mode", "auto"],
                    ["--rerun", "partition.mode"])
        self.refuse(["audit", self.stored, "--rerun", "--partition.mode", "diagonal"],
                    ["partition.mode", "diagonal"])


if __name__ == "__main__":
    unittest.main()
