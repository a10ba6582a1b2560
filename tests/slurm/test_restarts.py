"""Jobs that Slurm interrupts, on a Slurm cluster on this machine: they go on, to the same digest."""

import re
import unittest

import cluster
import harness

setUpModule = cluster.start

LONG = 14000  # sequences: half a minute and more
RETRIES = 3


class RestartTest(cluster.SlurmTest):
    digests = {}  # of undisturbed runs, by the number of sequences

    def setUp(self):
        super().setUp()
        self.file = self.long_job(LONG)

    def start(self, *options, retries=RETRIES, warning=50):
        """On two nodes. Returns the job when it has saved progress."""
        job = self.submitted(self.file, "--nodes", 2, "--gpus-per-node", 2, "--site",
                             self.site(retries=retries, warning=warning), *options)
        saved = self.folder / "progress" / "progress.fp8cal"
        cluster.wait_for(saved.exists, 60, "progress that is saved")
        return job

    def undisturbed(self):
        """The digest; that of LONG sequences is asked for again and again."""
        text = self.file.read_text()
        sequences = re.search(r"(?m)^samples = (\d+)$", text)[1]
        if sequences not in self.digests:
            self.digests[sequences] = self.digest_without_slurm(self.file)
        return self.digests[sequences]

    def nodes(self, job):
        return cluster.ask("scontrol", "show", "hostnames",
                           cluster.field(job, "NodeList")).split()

    def finish_as_undisturbed(self, job, restarts, seconds=240):
        self.finish(job, seconds=seconds)
        self.assertEqual(self.said().count("going on from saved progress"), restarts, self.said())
        self.check_finished(job, restarts)

    def check_finished(self, job, restarts):
        self.assertEqual(int(cluster.field(job, "RestartCnt")), restarts)
        self.assertIn(f"{restarts} restart", self.status(job))
        self.assertEqual(self.digest(), self.undisturbed())

    def test_time_limit(self):
        self.file = self.long_job(2 * LONG)
        job = self.start("--time", 1, retries=40)
        self.finish(job, seconds=600)
        said = self.said()
        restarts = said.count(": requeued, restart ")
        stopped = said.count("stopped by SIGUSR1")
        self.assertGreaterEqual(stopped, 1, said)
        self.assertEqual(said.count("stopped with its progress saved: requeued"), stopped, said)
        # Slurm looks every 30 s whom to warn: that may be a job whose ranks are only starting, which
        # then may not come to go on.
        early = said.count("warned of its time limit")
        self.assertEqual(stopped + early, restarts, said)
        went_on = said.count("going on from saved progress")
        self.assertIn(went_on, range(restarts - early, restarts + 1), said)
        self.check_finished(job, restarts)

    def test_warned_before_it_began(self):
        self.file = self.long_job(LONG // 10)
        script = (harness.SOURCE / "slurm" / "run.sbatch").read_text()
        started, template = self.folder / "started", self.folder / "template.sbatch"
        template.write_text(script.replace("\n@SETUP@\n", f"\n: >{started}\nsleep 5\n@SETUP@\n"))
        job = self.submitted(self.file, "--nodes", 2, "--gpus-per-node", 2, "--template", template)
        cluster.wait_for(started.exists, 60, "started")
        cluster.ask("scancel", "--batch", "--signal=USR1", str(job))
        self.finish(job)
        self.assertIn("warned of its time limit before it began: requeued", self.said())
        self.check_finished(job, 1)

    def test_requeued_by_an_administrator(self):
        job = self.start()
        cluster.ask("scontrol", "requeue", str(job))
        self.finish_as_undisturbed(job, 1)

    def test_preempted_by_a_more_urgent_partition(self):
        job = self.start()
        urgent = cluster.ask("sbatch", "--parsable", "--partition=urgent", "--nodes=3", "--exclusive",
                             "--output=/dev/null", "--wrap", "sleep 3")
        cluster.wait_for(lambda: cluster.field(job, "RestartCnt") == "1", 60, "preempted")
        self.finish_as_undisturbed(job, 1)
        self.assertEqual(cluster.field(urgent, "State"), "COMPLETED")

    def test_a_daemon_that_dies(self):
        job = self.start()
        node = self.nodes(job)[1]
        cluster.on_node("kill-daemon", node)
        self.addCleanup(cluster.on_node, "start-node", node)
        self.finish_as_undisturbed(job, 1)

    def test_a_node_that_crashes(self):
        job = self.start()
        node = self.nodes(job)[1]
        cluster.on_node("crash", node)
        self.addCleanup(cluster.on_node, "start-node", node)
        cluster.wait_for(lambda: cluster.field(job, "RestartCnt") == "1"
                         and cluster.field(job, "State") == "RUNNING", 120, "restarted")
        self.assertNotIn(node, self.nodes(job))
        self.finish_as_undisturbed(job, 1)
        self.assertIn(f"lost the nodes {node}", self.said())

    def test_no_more_restarts(self):
        self.file = self.long_job(20 * LONG)
        job = self.start("--time", 1, retries=1)
        self.finish(job, "FAILED", seconds=240)
        self.assertRegex(self.said(), r"restarted 1 times, the most that is allowed \(1\): "
                                      r"progress is kept")
        self.assertTrue((self.folder / "progress" / "progress.fp8cal").exists())
        self.assertFalse(self.result.exists())


if __name__ == "__main__":
    unittest.main()
