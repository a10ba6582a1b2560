"""What `fp8cal status` and `fp8cal collect` make of jobs that 'fp8cal submit' left, with Slurms of a
few lines."""

import csv
import json
import os
import subprocess
import time
import unittest

import h5py

import harness
from status_harness import StatusTest, squeue_line


class SubmittedTest(StatusTest):
    """A job as 'fp8cal submit' leaves it, and a Slurm of a few lines."""

    def setUp(self):
        super().setUp()
        self.run_folder = self.output / "result.h5.slurm"
        self.run_folder.mkdir()
        self.comment = f"fp8cal {self.run_folder}"
        self.status = self.run_folder / "status.json"

    def finish(self, job="123", array=None, status=None, result=None, **changes):
        """Runs a job as a task of Slurm."""
        keys = self.keys(**changes)
        if status:
            keys |= {"runtime.status": status, "output.result": result}
        environment = os.environ | {"SLURM_JOB_ID": job}
        if array:
            environment |= {"SLURM_ARRAY_JOB_ID": array[0], "SLURM_ARRAY_TASK_ID": array[1]}
        return harness.run(["run", *harness.options_of(keys)], env=environment)


class SlurmTest(SubmittedTest):
    def test_running(self):
        self.assertEqual(self.finish().returncode, 0)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.status.write_text(json.dumps(self.told() | {
            "state": "running", "stage": "calibrate layers 0-3", "layer": 2, "unit": "sequences",
            "done": 3, "units": 8, "tokens_per_second": 1234.4, "seconds_left": 75, "digest": None,
            "updated": now}))
        self.fake_squeue(squeue_line(comment=self.comment, restarts="1"))
        expected = (r"job 123  llama  RUNNING on n\[1-2\], 1 restart, 3:12 of 10:00 left\n"
                    r"  calibrate layers 0-3, layer 2: 3/8 sequences, 1234 tokens/s, 1:15 left of "
                    r"this stage \(updated \d+ s ago\)\n"
                    rf"  result {self.result}\n")
        for words in ((), ("123",), (self.job_file(),)):
            self.assertRegex(self.ask(*words), f"^{expected}$")
        asked = (self.folder / "asked").read_text().splitlines()
        self.assertIn("--me", asked[0])
        self.assertIn("-t all -j 123", asked[1])
        (job,) = json.loads(self.ask("123", "--json"))["jobs"]
        self.assertEqual(job["folder"], str(self.run_folder))
        self.assertEqual(job["tasks"][0]["slurm"]["state"], "RUNNING")
        self.assertEqual(job["tasks"][0]["status"]["done"], 3)

    def test_pending(self):
        self.fake_squeue(squeue_line(comment=self.comment, state="PENDING", reason="Priority",
                                     start="2030-01-01T00:00:00", nodes=""),
                         squeue_line(id="99", comment="another's job"))
        self.assertEqual(self.ask(), "job 123  llama  PENDING (Priority), priority 42, expected to "
                                     "start 2030-01-01T00:00:00\n  not started\n")

    def test_finished_and_failed(self):
        self.assertEqual(self.finish().returncode, 0)
        self.fake_squeue(squeue_line(comment=self.comment, state="COMPLETED"))
        self.assertIn(f"COMPLETED on n[1-2]\n  done\n  content digest {self.digest()}\n",
                      self.ask("123"))
        self.fake("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
        self.fake("sacct", f"echo 'COMPLETED|0:0|{self.comment}'\n")
        self.assertRegex(self.ask("123"), r"^job 123  COMPLETED with exit code 0:0 \(from accounting\)")
        self.assertIn("COMPLETED", self.ask(self.job_file()))
        errors = self.run_folder / "slurm-123.err"
        errors.write_text("")
        self.assertEqual(self.finish(evaluation__dataset=self.folder / "none").returncode, 2)
        self.assertIn(f"\n  standard error {errors}\n", self.ask("123"))
        self.assertIn("failed with exit code 2: ", self.ask("123"))

    def test_killed(self):
        self.assertEqual(self.finish().returncode, 0)
        self.status.write_text(json.dumps(self.told() | {"state": "running", "digest": None}))
        self.fake_squeue(squeue_line(comment=self.comment, state="OUT_OF_MEMORY"))
        self.assertIn("killed, or ended without a word, in ", self.ask("123"))

    def test_submitted_again(self):
        self.assertEqual(self.finish().returncode, 0)
        self.fake_squeue(squeue_line(id="124", comment=self.comment, state="PENDING"),
                         squeue_line(id="123", comment=self.comment, state="COMPLETED"))
        text = self.ask(self.job_file())
        self.assertIn("job 124  llama  PENDING", text)
        self.assertIn("the file is of job 123", text)

    def test_unknown(self):
        self.fake("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
        self.fake("sacct", "exit 1\n")
        self.assertIn("Invalid job id", self.ask("77", code=2))
        self.fake_squeue(squeue_line(comment="by hand"))
        self.assertIn("by hand", self.ask("123", code=2))
        self.assertEqual(self.ask(), "no jobs of 'fp8cal submit' in the queue\n")
        self.run_folder.rmdir()
        self.assertIn("neither submitted nor started", self.ask(self.job_file(), code=2))
        self.ask(self.folder / "none.ini", code=2)

    def test_without_slurm(self):
        self.assertEqual(self.finish().returncode, 0)
        empty = self.folder / "empty"
        empty.mkdir()
        text = self.ask(self.job_file(), path=str(empty))
        self.assertIn("Slurm is not heard: squeue: cannot be run: ", text)
        self.assertIn(self.digest(), text)
        self.assertIn("squeue: cannot be run", self.ask("123", path=str(empty), code=2))
        self.assertIn("squeue: cannot be run", self.ask(path=str(empty), code=2))

    def test_a_slurm_that_hangs(self):
        self.assertEqual(self.finish().returncode, 0)
        self.fake("squeue", "exec sleep 100\n")
        begin = time.monotonic()
        text = self.ask(self.job_file())
        self.assertLess(time.monotonic() - begin, 50)
        self.assertIn("squeue: expected an end within 30 s", text)
        self.assertIn(self.digest(), text)

    def test_files_that_are_not_what_they_should_be(self):
        self.fake_squeue(squeue_line(comment=self.comment, name="\x1b[31mred", reason="\x07"))
        for content in ("", "{}", '{"format": "fp8cal-status"}', "[" * 1000, "\x1b[2J"):
            self.status.write_text(content)
            text = self.ask("123")
            self.assertIn("status.json: ", text)
            self.assertNotRegex(text, "[\x00-\x09\x0b-\x1f]")
        (self.run_folder / "sweep.json").write_text("{}")
        self.assertIn("sweep.json", self.ask("123", code=2))


class SweepTest(SubmittedTest):
    def sweep(self):
        """Three tasks, of which the last one fails."""
        tasks = []
        for task, policy in enumerate(("amax", "mse", "percentile:99.9")):
            result = self.output / f"result-{task}.h5"
            status = self.run_folder / f"status-{task}.json"
            changes = {"scales__policy": policy}
            if task == 2:
                changes["calibration__samples"] = 100_000
            self.finish(array=("120", str(task)), status=status, result=result, **changes)
            tasks.append({"task": task, "values": [policy], "result": str(result),
                          "status": str(status)})
        file = self.run_folder / "sweep.json"
        file.write_text(json.dumps({"format": "fp8cal-sweep", "version": 1, "job": "/job.ini",
                                    "keys": ["scales.policy"], "tasks": tasks}))
        return file

    def collect(self, *words):
        return subprocess.run([harness.PROGRAM, "collect", *map(str, words)], capture_output=True,
                              text=True, timeout=60)

    def test_collect(self):
        sweep = self.sweep()
        table = self.folder / "table.csv"
        done = self.collect(sweep, "--csv", table)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^fp8cal: 1 of 3 tasks has no result: task 2: failed: .*\n$")
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 1 + 2 * 2 + 1 + 1 + 2)
        self.assertRegex(lines[0], "^task +scales.policy +recipe +BF16 +perplexity +difference ")
        self.assertRegex(lines[5], "^2 +percentile:99.9 +failed: ")
        self.assertEqual(lines[8], "task 1: calibrated on 8 x 64 tokens of calibration.txt (seed "
                                   "1234), evaluated on 5 x 128 tokens of evaluation.txt")
        with open(table, newline="") as stream:
            rows = list(csv.DictReader(stream))
        self.assertEqual([row["state"] for row in rows], ["done"] * 4 + ["failed"])
        with h5py.File(self.output / "result-1.h5") as file:
            variant = file["perplexity/fp8-static"].attrs
            (row,) = [one for one in rows if one["task"] == "1" and one["recipe"] == "fp8-static"]
            self.assertEqual(row["content_digest"], file.attrs["content_digest"].decode())
            for column, name in (("perplexity", "ppl"), ("difference", "ppl_difference"),
                                 ("difference_low", "ppl_difference_low"), ("mean_kl", "mean_kl")):
                self.assertEqual(float(row[column]), variant[name])
            self.assertEqual([row["calibration_dataset"], row["calibration_samples"],
                              row["calibration_seed"], row["evaluation_windows"]],
                             ["calibration.txt", "8", "1234", "5"])
            self.assertEqual(float(row["perplexity_bf16"]), file["perplexity/bf16"].attrs["ppl"])
        whole = json.loads(sweep.read_text())
        sweep.write_text(json.dumps(whole | {"tasks": whole["tasks"][:2]}))
        done = self.collect(sweep)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with open(self.output / "result-0.h5", "r+b") as file:
            file.seek(100_000)
            file.write(b"\1\2\3\4")
        done = self.collect(sweep)
        self.assertEqual(done.returncode, 1)
        self.assertIn("1 of 2 tasks has no result: task 0: done: ", done.stderr)
        sweep.write_text("{")
        self.assertEqual(self.collect(sweep).returncode, 2)
        self.assertEqual(self.collect().returncode, 2)

    def test_status_of_an_array(self):
        self.sweep()
        self.fake_squeue(squeue_line(id="120", task="1", comment=self.comment),
                         squeue_line(id="120", task="2", comment=self.comment, state="FAILED"),
                         squeue_line(id="121", comment=self.comment, state="PENDING",
                                     reason="Dependency", nodes=""))
        text = self.ask(self.job_file())
        self.assertRegex(text, rf"^3 tasks in {self.run_folder}\n  task 0 \(120_0\)  Slurm does not")
        self.assertIn("  task 1 (120_1)  RUNNING on n[1-2], 3:12 of 10:00 left  done\n", text)
        self.assertIn("  task 2 (120_2)  FAILED on n[1-2]  failed with exit code 2: ", text)
        self.assertIn("  collecting job 121  PENDING (Dependency)", text)
        text = self.ask("120_2")
        self.assertRegex(text, "^1 task in ")
        self.assertIn("task 2", text)
        self.assertNotIn("task 1", text)


if __name__ == "__main__":
    unittest.main()
