"""Sweeps as array jobs, on a Slurm cluster on this machine."""

import csv
import json
import re
import unittest

import cluster
import harness

setUpModule = cluster.start


class ArrayTest(cluster.SlurmTest):
    SWEEP = ("--array", "calibration.seed=1,2", "scales.policy=amax,mse")

    def submit_sweep(self, before_it_starts=lambda: None):
        """Returns the number of the array, and of its collecting job."""
        cluster.ask("scontrol", "update", "PartitionName=main", "State=DOWN")
        try:
            said = self.submit(self.job_file(), *self.SWEEP).stdout
            before_it_starts()
        finally:
            cluster.ask("scontrol", "update", "PartitionName=main", "State=UP")
        return (int(re.search(r"^submitted job (\d+)", said, re.MULTILINE)[1]),
                int(re.search(r"^collect job (\d+)", said, re.MULTILINE)[1]))

    def table(self):
        with open(self.run_folder / "collected.csv", newline="") as stream:
            return list(csv.DictReader(stream))

    def test_collected_into_one_table(self):
        job, collecting = self.submit_sweep()
        self.finish(collecting)
        rows = self.table()
        values = [(row["calibration.seed"], row["scales.policy"]) for row in rows]
        self.assertEqual(sorted(set(values)),
                         [("1", "amax"), ("1", "mse"), ("2", "amax"), ("2", "mse")])
        file = self.folder / "job.ini"
        for task, (seed, policy) in enumerate(dict.fromkeys(values)):
            digest = self.digest(self.folder / f"result-{task}.h5")
            keys = {"calibration.seed": seed, "scales.policy": policy}
            self.assertEqual(digest, self.digest_without_slurm(file, **keys))
        self.assertEqual(len(list((self.run_folder / "tokens").iterdir())), 2)
        self.assertIn("calibration.seed", (self.run_folder / "collected.txt").read_text())
        self.assertEqual(self.status(job).count("done"), 4, self.status(job))

    def test_a_study(self):
        study = self.folder / "study.json"
        words = (self.job_file(calibration__samples="2, 4", calibration__seed="1, 2"),
                 "--scales.policy", "amax,mse", "--output.result")
        said = self.submit(*words, study, "--study", "--gpus-per-node", 2).stdout
        self.finish(int(re.search(r"^collect job (\d+)", said, re.MULTILINE)[1]))
        told = json.loads(study.read_text())
        self.assertEqual([one["seed"] for one in told["results"]], [1] * 4 + [2] * 4)
        done = harness.run(["study", *words, self.folder / "alone.json"])
        self.assertEqual(done.returncode, 0, done.stderr)
        alone = json.loads((self.folder / "alone.json").read_text())
        self.assertEqual([one["content_digest"] for one in told["results"]],
                         [one["content_digest"] for one in alone["results"]])
        self.assertEqual(told["tables"], alone["tables"])
        run_folder = self.folder / "study.json.slurm"
        self.assertIn("by number of calibration sequences", (run_folder / "collected.txt").read_text())
        self.assertTrue((run_folder / "collected" / "samples.csv").exists())

    def test_a_task_that_fails(self):
        job, collecting = self.submit_sweep(lambda: (self.folder / "result-2.h5").mkdir())
        self.finish(collecting, "FAILED")
        states = {cluster.field(f"{job}_{task}", "State") for task in (0, 1, 3)}
        self.assertEqual(states, {"COMPLETED"})
        self.assertEqual(cluster.field(f"{job}_2", "State"), "FAILED")
        for task in (0, 1, 3):
            self.assertEqual(len(self.digest(self.folder / f"result-{task}.h5")), 64)
        self.assertRegex((self.run_folder / "collected.txt").read_text(), r"failed.*result-2\.h5")
        self.assertRegex(self.said(), r"fp8cal: 1 of 4 tasks has no result: task 2: ")


if __name__ == "__main__":
    unittest.main()
