"""What a job must keep to for its figures to be worth reporting: texts that do not overlap."""

import unittest

import h5py

import harness
import slurm_fakes

NOT_REPORTABLE = "not reportable: calibration and evaluation text overlap"
FLAG = "--allow-overlap"


class OverlapTest(harness.RefusalTest):
    """The calibration text holds some of the text that is evaluated."""

    def setUp(self):
        super().setUp()
        self.calibration = self.folder / "calibration.txt"
        evaluation = (harness.DEMO / "evaluation.txt").read_text()
        own = (harness.DEMO / "calibration.txt").read_text()
        self.calibration.write_text(evaluation[600:1200] + own[:4000])

    def keys(self, **changes):
        """A job that draws much of what overlaps."""
        return {"calibration__dataset": self.calibration, "calibration__samples": 16} | changes

    def run_allowed(self, ranks=1, **changes):
        done = harness.run(["run", *self.job(**self.keys(**changes)), FLAG], ranks)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def mark(self):
        with h5py.File(self.result) as file:
            return file["job"].attrs.get("overlap", b"").decode()

    def digest(self):
        with h5py.File(self.result) as file:
            return file.attrs["content_digest"].decode()

    def test_stops_and_says_where(self):
        for command in ("run", "plan", "bench"):
            self.refuse([command, *self.job(**self.keys())],
                        [f"{self.calibration}: overlaps the evaluation text, "
                         f"{harness.DEMO / 'evaluation.txt'}: expected at most 32 of 640 ", "found ",
                         "evaluation window ", "calibration sequence ", FLAG],
                        ranks=(1, 2) if command == "run" else (1,))

    def test_allowed_it_is_marked(self):
        out = self.run_allowed(output__checkpoint=self.output / "fp8")
        mark = self.mark()
        self.assertRegex(mark, r"^\d+ of 640 evaluation tokens lie in 32-grams of the calibration")
        self.assertGreater(int(mark.split()[0]), 100)
        for recipe in ("fp8-static", "fp8-dynamic"):
            self.assertRegex(out, rf"(?m)^{recipe} .*; {NOT_REPORTABLE}$")
        self.assertIn(mark, out)
        self.assertIn(NOT_REPORTABLE, (self.output / "fp8" / "README.md").read_text())
        derived = self.output / "derived.h5"
        done = harness.run(["scales", self.result, "--policy", "mse", "--out", derived])
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(derived) as file:
            self.assertEqual(file["job"].attrs["overlap"].decode(), mark)

    def test_the_mark_is_content(self):
        self.run_allowed()
        digest = self.digest()
        done = harness.run(["audit", self.result, "--verify"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, rf"(?m)^holds .*, {NOT_REPORTABLE}$")
        done = harness.run(["audit", self.result, "--rerun", "--runtime.progress", "none"], 2)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(digest, done.stdout)
        self.run_allowed(ranks=2)
        self.assertEqual(self.digest(), digest)

    def test_allowing_what_does_not_overlap_changes_nothing(self):
        self.calibration = harness.DEMO / "calibration.txt"
        self.succeed(harness.small_job(self.result))
        digest = self.digest()
        out = self.run_allowed(calibration__samples=8)
        self.assertEqual(self.digest(), digest)
        self.assertEqual(self.mark(), "")
        self.assertNotIn("not reportable", out)

    def test_an_fp8_checkpoint_has_nothing_to_overlap(self):
        self.run_allowed(output__checkpoint=self.output / "fp8")
        out = self.succeed(harness.small_job(self.result, **self.keys(
            model__path=self.output / "fp8"))).stdout
        self.assertNotIn("not reportable", out)

    def test_submit_refuses_what_would_stop(self):
        slurm = slurm_fakes.FakeSlurm(self.folder / "slurm")
        job = self.folder / "job.ini"
        job.write_text("")
        keys = self.job(**self.keys(runtime__device_memory="8GiB"))
        submit = ["submit", job, *keys]
        self.refuse(submit, ["overlaps the evaluation text"], ranks=(1,), env=slurm.environment())
        self.assertEqual(slurm.calls("sbatch"), [])
        done = harness.run([*submit, FLAG], env=slurm.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        script = next(self.output.rglob("batch.sh")).read_text()
        self.assertRegex(script, r"--evaluation.allow_overlap\W+yes")

    def test_submit_looks_at_each_draw(self):
        slurm = slurm_fakes.FakeSlurm(self.folder / "slurm")
        job = self.folder / "job.ini"
        job.write_text("")
        submit = ["submit", job, *self.job(**self.keys(
            calibration__samples=1, runtime__device_memory="8GiB")), "--dry-run", "--array"]
        done = harness.run([*submit, "calibration.seed=15,17"], env=slurm.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.refuse([*submit, "calibration.seed=17,18"], ["overlaps the evaluation text"],
                    ranks=(1,), env=slurm.environment())


if __name__ == "__main__":
    unittest.main()
