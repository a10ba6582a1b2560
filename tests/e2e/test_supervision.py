"""Ranks that die, hang or are told to end: the job ends in time, and says which rank it was."""

import os
import random
import resource
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness
from processes import HeldThread, Run, ranks_of, state_of, supervisors_of

DEADLINE = 3  # runtime.deadline, seconds
SLACK = 6     # from the deadline, or from a rank's death, to the end of the job
STAGE = r"in [a-z].+"  # as last heard of, which may be a moment ago


class SupervisionTest(harness.RefusalTest):
    """Jobs that are disturbed once their layers are loaded."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(self.id())
        self.host = os.uname().nodename

    def job(self, sequences=4096, **changes):
        """By default one of minutes: calibrates on two million tokens."""
        dataset = self.folder / "tokens.u32"
        dataset.write_bytes((np.arange(sequences * 512, dtype="<u4") % 1000).tobytes())
        keys = {
            "calibration__dataset": dataset, "calibration__samples": sequences,
            "calibration__sequence_length": 512, "runtime__threads": 1,
            "runtime__progress": "lines", "runtime__deadline": DEADLINE,
        }
        return harness.small_job(self.result, **keys | changes)

    def started(self, ranks=3, process_group=None, **changes):
        """A job that has begun to calibrate."""
        mode = "auto" if ranks == 1 else "sequences"
        run = Run(self.job(**{"partition__mode": mode} | changes), ranks, self.folder / "log",
                  process_group=process_group)
        self.addCleanup(run.__exit__)
        run.wait_for("load layer")  # said when the layers are there: calibration comes next
        time.sleep(self.random.uniform(0.1, 0.4))
        return run

    def end_of(self, run, processes, seconds=SLACK):
        """The exit status. Nothing runs on, and nothing is left under a final name."""
        try:
            code = run.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"still runs after {seconds} s: {run.log.read_text()}")
        self.assertEqual(run.all_gone(processes), [], "processes that outlive the job")
        self.assertEqual(list(self.output.iterdir()), [])
        return code

    def expect_failure(self, run, disturb, rank, what, seconds=SLACK):
        """After disturb(): exit status 1 and one line on that rank."""
        processes = run.processes()
        disturb()
        self.assertEqual(self.end_of(run, processes, seconds), 1, run.log.read_text())
        said = run.errors()
        self.assertEqual(len(said), 1, run.log.read_text())
        self.assertRegex(said[0], rf"^fp8cal: rank {rank} \({self.host}: .+\): {what}$")

    def expect_silence(self, run, disturb, codes):
        processes = run.processes()
        disturb()
        self.assertIn(self.end_of(run, processes), codes, run.log.read_text())
        self.assertEqual(run.errors(), [])


class DeathTest(SupervisionTest):
    def test_a_killed_rank_is_named(self):
        for mode, victim in (("tensor", 2), ("layers", 0), ("sequences", 1)):
            ranks = 2 if victim < 2 else 4
            with self.subTest(mode=mode, victim=victim):
                run = self.started(ranks, partition__mode=mode)
                pid = ranks_of(run.process.pid)[victim]
                self.expect_failure(run, lambda: os.kill(pid, signal.SIGKILL), victim,
                                    rf"killed by signal 9 \(Killed\) {STAGE}")

    def test_a_crashed_rank_is_named(self):
        run = self.started(3)
        pid = ranks_of(run.process.pid)[1]
        self.expect_failure(run, lambda: os.kill(pid, signal.SIGSEGV), 1,
                            rf"killed by signal 11 \(Segmentation fault\) {STAGE}")

    def test_a_job_of_one_rank(self):
        for number, name in ((signal.SIGKILL, "Killed"), (signal.SIGABRT, "Aborted")):
            with self.subTest(signal=name):
                run = self.started(1)
                pid = ranks_of(run.process.pid)[0]
                self.expect_failure(run, lambda: os.kill(pid, number), 0,
                                    rf"killed by signal {int(number)} \({name}\) {STAGE}")

    def test_at_any_moment_from_the_start(self):
        for _ in range(3):
            run = Run(self.job(sequences=64, partition__mode="sequences"), 2, self.folder / "log")
            self.addCleanup(run.__exit__)
            pid = run.wait_for_ranks(2)[victim := self.random.randrange(2)]
            processes = run.processes()
            time.sleep(self.random.uniform(0, 0.3))
            os.kill(pid, signal.SIGKILL)
            self.assertEqual(self.end_of(run, processes), 1, run.log.read_text())
            self.assertEqual(len(run.errors()), 1, run.log.read_text())
            self.assertRegex(run.errors()[0], rf"rank {victim}\b.*: killed by signal 9 \(Killed\)")

    def test_a_rank_that_runs_out_of_memory_is_named(self):
        run = self.started(4, sequences=64, partition__mode="layers")
        pid = ranks_of(run.process.pid)[2]
        self.expect_failure(
            run, lambda: resource.prlimit(pid, resource.RLIMIT_AS, (1 << 20, 1 << 20)), 2,
            f"{STAGE}: out of memory", 20)

    def test_without_its_supervisor_a_rank_ends(self):
        run = self.started(3)
        supervisor = supervisors_of(run.process.pid)[1]
        self.expect_silence(run, lambda: os.kill(supervisor, signal.SIGKILL), range(1, 256))
        run = self.started(1)
        self.expect_silence(run, run.process.kill, [-signal.SIGKILL])


class SignalTest(SupervisionTest):
    """Signals that ask the job to end, where there is no progress to save."""

    def test_a_job_of_one_rank_ends_of_the_same_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            with self.subTest(signal=number.name):
                run = self.started(1)
                self.expect_silence(run, lambda: run.process.send_signal(number), [-number])

    def test_the_whole_group_as_a_terminal_does(self):
        run = self.started(1, process_group=0)
        self.expect_silence(
            run, lambda: os.killpg(run.process.pid, signal.SIGINT), [-signal.SIGINT])

    def test_supervisor_and_rank_at_a_time_as_a_batch_system_does(self):
        for order in (1, -1):
            run = self.started(1)
            processes = [run.process.pid, ranks_of(run.process.pid)[0]][::order]

            def terminate():
                for process in processes:
                    os.kill(process, signal.SIGTERM)

            self.expect_silence(run, terminate, [-signal.SIGTERM])

    def test_mpirun(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                run = self.started(3)
                self.expect_silence(run, lambda: run.process.send_signal(number), range(1, 256))

    def test_suspended_and_continued(self):
        run = self.started(1, sequences=64)
        pid = ranks_of(run.process.pid)[0]
        run.process.send_signal(signal.SIGTSTP)
        time.sleep(0.3)
        self.assertEqual([state_of(p) for p in (run.process.pid, pid)], ["T", "T"])
        run.process.send_signal(signal.SIGCONT)
        self.assertEqual(run.process.wait(timeout=30), 0, run.log.read_text())


class StopTest(SupervisionTest):
    """The same where there is progress to save."""

    def job(self, **changes):
        return super().job(**{"runtime__checkpoint": self.folder / "progress"} | changes)

    def test_a_second_sigterm_ends_at_once(self):
        run = self.started(1)
        self.expect_silence(run, lambda: [run.process.terminate() or time.sleep(0.01)
                                          for _ in range(2)], [-signal.SIGTERM, 75])

    def test_one_line_although_ranks_outlive_the_first_sigterm(self):
        for victim, number, what in ((2, signal.SIGKILL, rf"killed by signal 9 .+ {STAGE}"),
                                     (0, signal.SIGSTOP, rf"not heard of .+ {STAGE}")):
            with self.subTest(victim=victim):
                run = self.started(4)
                pid = ranks_of(run.process.pid)[victim]
                self.expect_failure(run, lambda: os.kill(pid, number), victim, what,
                                    DEADLINE + SLACK)


class HangTest(SupervisionTest):
    def test_a_rank_alone_that_is_stopped_is_named(self):
        run = self.started(1)
        pid = ranks_of(run.process.pid)[0]
        self.expect_failure(run, lambda: os.kill(pid, signal.SIGSTOP), 0,
                            rf"stopped for \d s {STAGE}", DEADLINE + SLACK)

    def test_a_stopped_rank_is_named(self):
        for mode, victim in (("tensor", 1), ("layers", 0)):
            with self.subTest(mode=mode, victim=victim):
                run = self.started(2, partition__mode=mode)
                pid = ranks_of(run.process.pid)[victim]
                self.expect_failure(run, lambda: os.kill(pid, signal.SIGSTOP), victim,
                                    rf"not heard of for \d s, last {STAGE}", DEADLINE + SLACK)

    def test_a_rank_that_hangs_is_named(self):
        for ranks, victim in ((2, 1), (1, 0)):
            with self.subTest(ranks=ranks, victim=victim):
                run = self.started(ranks)
                held = HeldThread(ranks_of(run.process.pid)[victim])
                try:
                    held.hold()
                except PermissionError as error:
                    self.skipTest(f"may not hold a thread: {error}")
                self.expect_failure(run, lambda: None, victim,
                                    rf"no progress for \d s.* {STAGE}", DEADLINE + SLACK)


class PatienceTest(SupervisionTest):
    """What must not be taken for a failure."""

    def digest_of(self, run):
        self.assertEqual(run.process.wait(timeout=60), 0, run.log.read_text())
        self.assertEqual(run.errors(), [])
        with h5py.File(self.result) as file:
            digest = file.attrs["content_digest"]
        self.result.unlink()
        return digest

    def test_stopped_and_continued(self):
        """Some ranks for less than the deadline, or all for more."""
        digests = set()
        for victims, seconds in (((), 0), ((0,), 0.6), ((1,), 0.6), ((0, 1), 2.5)):
            with self.subTest(victims=victims):
                run = self.started(2, sequences=64, runtime__deadline=1.5)
                ranks = ranks_of(run.process.pid)
                for number in (signal.SIGSTOP, signal.SIGCONT):
                    for victim in victims:
                        os.kill(ranks[victim], number)
                    time.sleep(seconds)
                digests.add(self.digest_of(run))
        self.assertEqual(len(digests), 1)

    def test_ranks_that_wait_for_one_at_work(self):
        """Rank 0 reads and tokenizes alone, for longer than the deadline."""
        digits = self.random.randbytes(16 << 20).hex()
        text = self.folder / "calibration.txt"
        text.write_text(" ".join(digits[at : at + 9] for at in range(0, len(digits), 9)))
        run = Run(harness.small_job(self.result, calibration__dataset=text, runtime__deadline=1), 2,
                  self.folder / "log")
        self.addCleanup(run.__exit__)
        begin = time.monotonic()
        self.digest_of(run)
        self.assertGreater(time.monotonic() - begin, 2.5)  # else this has tested nothing


if __name__ == "__main__":
    unittest.main()
