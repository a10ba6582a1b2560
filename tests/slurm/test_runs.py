"""Jobs from `fp8cal submit` to their results, on a Slurm cluster on this machine."""

import json
import re
import unittest

import h5py
import numpy as np

import cluster
import harness
from content_digest import content_digest

setUpModule = cluster.start


class RunTest(cluster.SlurmTest):
    def test_followed_to_its_end(self):
        file = self.long_job(3000)
        job = self.submitted(file, "--gpus-per-node", 2)
        stage = cluster.wait_for(
            lambda: re.search(r"calibrate .*: \d+/3000 sequences", self.status(job)), 60,
            "calibrating")
        self.assertTrue(stage)
        self.assertRegex(self.status(file), rf"job {job} .*RUNNING on n\d")
        told = json.loads(self.status(job, "--json"))
        self.assertIn(str(job), json.dumps(told))
        self.finish(job)
        self.assertIn(self.digest()[:12], self.status(job))
        self.assertEqual(self.digest(), self.digest_without_slurm(file))
        self.assertFalse((self.folder / "progress").exists() and any(
            (self.folder / "progress").iterdir()), "progress of a job that is done")

    def test_two_nodes_four_ranks(self):
        file = self.job_file()
        job = self.submitted(file, "--nodes", 2, "--gpus-per-node", 2)
        self.finish(job)
        self.assertIn("4 ranks on n[", self.said())
        self.assertEqual(self.digest(), self.digest_without_slurm(file))

    def test_srun_on_one_node(self):
        file = self.job_file()
        site = self.site(launcher="srun")
        job = self.submitted(file, "--gpus-per-node", 2, "--site", site)
        self.finish(job)
        self.assertIn("2 ranks on n", self.said())
        self.assertEqual(self.digest(), self.digest_without_slurm(file))

    def test_audited_by_a_rerun(self):
        file = self.job_file()
        self.digest_without_slurm(file)
        stored = self.folder / "alone.h5"
        self.run_folder = self.folder / "alone.h5.rerun.slurm"
        words = (file, "--rerun", stored, "--nodes", 2, "--gpus-per-node", 2)
        job = self.submitted(*words)
        self.finish(job)
        verdict = (self.run_folder / f"slurm-{job}.out").read_text()
        self.assertIn("alone.h5 and the rerun are equal", verdict)
        self.assertIn(self.digest(stored)[:12], self.status(job))
        with h5py.File(stored, "r+") as changed:  # a seed that the bootstrap was not drawn by
            changed["job"].attrs.modify("calibration.seed", np.int64(5))
            changed.attrs["content_digest"] = np.bytes_(content_digest(changed))
        job = self.submitted(*words)
        self.finish(job, "FAILED")
        self.assertEqual(cluster.field(job, "RestartCnt"), "0")
        self.assertIn("the audit found a difference", self.status(job))
        self.assertIn("ExitCode=4:0", cluster.ask("scontrol", "show", "job", str(job)))

    def test_a_launch_that_falls_apart_stops(self):
        # As where the launcher of another MPI starts each rank as a job of its own.
        apart = self.folder / "mpirun"
        apart.write_text('#!/bin/sh\nwhile [ "$1" != bash ]; do shift; done\nexec "$@"\n')
        apart.chmod(0o755)
        site = self.site(container=f"env PATH={self.folder}:/usr/bin:/bin", program=harness.PROGRAM)
        template = self.folder / "own.sbatch"
        text = (harness.SOURCE / "slurm" / "run.sbatch").read_text()
        template.write_text(text.replace("launch=(mpirun", f"launch=({apart}"))
        job = self.submitted(self.job_file(), "--gpus-per-node", 2, "--site", site,
                             "--template", template)
        self.finish(job, "FAILED")
        self.assertRegex(self.said(), r"fp8cal: runtime\.ranks: .*expected 2.*found 1")
        self.assertFalse(self.result.exists())

    def test_names_cannot_break_out(self):
        self.folder = self.folder / "a b;$(touch broken)`touch broken`'\"%j #&"
        self.folder.mkdir()
        self.result = self.folder / "re sult$(touch broken).h5"
        self.run_folder = self.folder / (self.result.name + ".slurm")
        file = self.job_file("jo b$(touch broken)';touch broken;'.ini")
        job = self.submitted(file, "--gpus-per-node", 2, "--output.result", self.result)
        self.finish(job)
        self.assertEqual(len(self.digest()), 64)
        self.assertEqual(list(self.folder.parent.rglob("broken")), [])
        self.assertTrue((self.run_folder / f"slurm-{job}.err").exists())


class BadRequestTest(cluster.SlurmTest):
    """One clear line, and nothing submitted."""

    def refused(self, text, *arguments, **changes):
        done = self.submit(self.job_file(**changes), *arguments, code=2)
        self.assertRegex(done.stderr, rf"^fp8cal: .*{text}.*\n$")
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertEqual(cluster.ask("squeue", "-h"), "")
        self.assertFalse(self.run_folder.exists())

    def test_shapes(self):
        self.refused(f"at most {cluster.NODE_GPUS}, found 3", "--gpus-per-node", 3)
        self.refused(f"at most {cluster.NODES}, found 4", "--nodes", 4)
        self.refused("unknown partition.*one of main, one, urgent, found \"gpu\"", "--partition", "gpu")
        self.refused("at most 1, found 2", "--nodes", 2, "--partition", "one")
        self.refused("at most 5 minutes, found 6", "--time", 6, "--partition", "one")

    def test_memory(self):
        self.refused("does not fit", runtime__device_memory="1MiB")
        self.refused("at most 11.7 GiB, found", "--gpus-per-node", 2, runtime__backend="cpu",
                     runtime__threads=1024)

    def test_templates(self):
        template = self.folder / "own.sbatch"
        text = (harness.SOURCE / "slurm" / "run.sbatch").read_text()
        template.write_text(text.replace("@SETTINGS@\n", ""))
        self.refused("own.sbatch: .*@SETTINGS@", "--template", template)
        template.write_text("@NODES@\n" + text)
        self.refused("own.sbatch: .*@NODES@", "--template", template)

    def test_what_slurm_refuses(self):
        cluster.ask("scontrol", "update", "PartitionName=one", "State=INACTIVE")
        self.addCleanup(cluster.ask, "scontrol", "update", "PartitionName=one", "State=UP")
        self.refused("sbatch: .*artition", "--partition", "one")

    def test_a_second_one(self):
        file = self.long_job(20000)
        job = self.submitted(file)
        done = self.submit(file, code=2)
        self.assertRegex(done.stderr, rf"^fp8cal: .*job {job}\n$")


if __name__ == "__main__":
    unittest.main()
