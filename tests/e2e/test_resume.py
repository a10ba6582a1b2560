"""Jobs that are interrupted and run again: in other shapes, with progress that is damaged or not
theirs, and what is lost."""

import hashlib
import os
import random
import re
import shutil
import signal
import time
import unittest

import h5py
import numpy as np

import harness
from fault_kinds import DAMAGED
from processes import Run

STREAMED = {"runtime.device_memory": "9MiB"}  # holds half of the layers
GOING_ON = "going on from saved progress: "


def in_mode(mode, more=None):
    return {"partition.mode": mode} | (more or {})


class ResumeTest(harness.RefusalTest):
    """Jobs of about a second that save after every unit."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(self.id())
        self.progress = self.folder / "progress"
        self.log = self.folder / "log"

    @property
    def saved(self):
        return self.progress / "progress.fp8cal"

    def keys(self, **changes):
        return harness.small_job(self.result, **{
            "calibration__samples": 28, "calibration__sequence_length": 256,
            "evaluation__sequence_length": 64, "evaluation__windows": 32,
            "runtime__threads": 1, "runtime__progress": "lines",
            "runtime__checkpoint": self.progress, "runtime__checkpoint_interval": 0} | changes)

    def start(self, keys, ranks=1, **keywords):
        run = Run(keys, ranks, self.log, **keywords)
        self.addCleanup(run.__exit__)
        run.members = run.wait_for_ranks(ranks)
        return run

    def wait_for_save(self, run, after="load layers", seconds=60):
        """Until progress was saved that is newer than this line of the log."""
        run.wait_for(after)
        begin = time.time()
        while not self.saved.exists() or self.saved.stat().st_mtime < begin:
            if run.process.poll() is not None or time.time() > begin + seconds:
                self.fail(f"nothing is saved: {run.log.read_text()}")
            time.sleep(0.002)

    def kill(self, run):
        os.kill(self.random.choice(list(run.members.values())), signal.SIGKILL)
        self.assertEqual(run.process.wait(timeout=10), 1, run.log.read_text())

    def interrupt(self, keys, ranks=1, after="load layers"):
        """Killed once it has saved what comes after that line."""
        run = self.start(keys, ranks)
        self.wait_for_save(run, after)
        self.kill(run)
        self.assertEqual(list(self.output.glob("result.h5")), [])

    def finish(self, keys, ranks=1):
        """Runs to the end. Returns digest, earlier runs, and what it said."""
        done = self.succeed(keys, ranks)
        self.assertFalse(self.progress.exists())
        self.assertEqual(list(self.output.iterdir()), [self.result])
        with h5py.File(self.result) as file:
            digest = file.attrs["content_digest"].decode()
            earlier = [one.decode() for one in file["provenance"].attrs["earlier_runs"]]
        self.result.unlink()
        return digest, earlier, done.stderr


class ShapesTest(ResumeTest):
    PAIRS = [
        ((4, in_mode("tensor")), (2, in_mode("sequences"))),
        ((2, in_mode("sequences")), (1, in_mode("auto"))),
        ((2, in_mode("layers")), (4, in_mode("layers:2+tensor:2"))),
        ((3, in_mode("auto")), (1, in_mode("auto", STREAMED))),
        ((1, in_mode("auto", STREAMED)), (2, in_mode("tensor"))),
        ((2, in_mode("sequences", STREAMED)), (3, in_mode("sequences", STREAMED))),
    ]

    def test_killed_in_one_and_finished_in_another(self):
        expected = self.finish(self.keys())
        self.assertEqual(expected[1], [])
        for before, after in self.PAIRS:
            for line in ("load layers", "calibrate layers"):
                with self.subTest(before=before, after=after, line=line):
                    self.interrupt(self.keys() | before[1], before[0], line)
                    digest, earlier, said = self.finish(self.keys() | after[1], after[0])
                    self.assertEqual(digest, expected[0])
                    self.assertEqual(len(earlier), 1)
                    self.assertIn(os.uname().nodename, earlier[0])
                    streams = "runtime.device_memory" in before[1]
                    what = r"2 of 4 layers" if streams else r"\d+ of 28 calibration .*, \d+ of 32 w"
                    self.assertRegex(said, GOING_ON + what)

    def test_killed_several_times(self):
        expected, *_ = self.finish(self.keys())
        for ranks, mode in ((2, "tensor"), (3, "sequences"), (2, "layers")):
            self.interrupt(self.keys(partition__mode=mode), ranks)
        digest, earlier, _ = self.finish(self.keys(), 2)
        self.assertEqual(digest, expected)
        self.assertEqual(len(earlier), 3)

    def test_an_fp8_checkpoint_that_is_evaluated_as_it_is(self):
        model = self.folder / "fp8"
        self.finish(self.keys(output__checkpoint=model))
        keys = self.keys(model__path=model, evaluation__windows=128)
        expected, *_ = self.finish(keys)
        for ranks, mode in ((1, "auto"), (2, "tensor")):
            self.interrupt(keys | in_mode(mode), ranks)
            digest, earlier, said = self.finish(keys, 3 - ranks)
            self.assertEqual(digest, expected)
            self.assertEqual(len(earlier), 1)
            self.assertRegex(said, GOING_ON + r"\d+ of 128 windows")


class DamageTest(ResumeTest):
    def begin_anew(self, expected, keys):
        digest, earlier, said = self.finish(keys, 2)
        self.assertEqual(digest, expected)
        self.assertEqual(earlier, [])
        self.assertEqual(said.count(DAMAGED), 1, said)
        self.assertNotIn(GOING_ON, said)

    def test_the_saved_progress(self):
        expected, *_ = self.finish(self.keys())
        self.interrupt(self.keys(), 2)
        whole = self.saved.read_bytes()
        size = len(whole)
        for damaged in (b"", whole[:10], whole[:-1], whole[: size // 2], whole + b"\0",
                        self.flipped(whole, 0), self.flipped(whole, 16),
                        self.flipped(whole, size // 3), self.flipped(whole, size - 1)):
            with self.subTest(bytes=len(damaged)):
                self.progress.mkdir(exist_ok=True)
                self.saved.write_bytes(damaged)
                self.begin_anew(expected, self.keys())

    def test_hidden_states(self):
        expected, *_ = self.finish(self.keys())
        self.interrupt(self.keys() | in_mode("sequences", STREAMED), 2)
        kept = self.folder / "kept"
        shutil.copytree(self.progress, kept)
        names = sorted(one.name for one in kept.glob("hidden-*"))
        self.assertEqual(len(names), 8)  # BF16, two recipes and calibration, of two shares
        for name in self.random.sample(names, 3):
            whole = (kept / name).read_bytes()
            at = self.random.randrange(len(whole))
            for damaged in (None, whole[:-2], self.flipped(whole, at)):
                with self.subTest(name=name):
                    shutil.copytree(kept, self.progress, dirs_exist_ok=True)
                    (self.progress / name).unlink()
                    if damaged is not None:
                        (self.progress / name).write_bytes(damaged)
                    self.begin_anew(expected, self.keys())

    @staticmethod
    def flipped(data, at):
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


class OthersTest(ResumeTest):
    """Whole progress, but not what this job can go on from: nothing is overwritten."""

    def refuse_all(self, cases):
        whole = self.saved.read_bytes()
        for keys, texts in cases:
            self.refuse(["run", *harness.options_of(keys)], texts)
            self.assertEqual(self.saved.read_bytes(), whole)

    def test_of_another_job(self):
        model = self.copy_of_nano()
        dtype, shape, blob = harness.read_tensors(model / "model.safetensors")[
            name := "model.layers.2.mlp.up_proj.weight"]
        other = blob[:1001] + bytes([blob[1001] ^ 1]) + blob[1002:]
        harness.change_tensors(model / "model.safetensors", {name: (dtype, shape, other)})
        text = self.folder / "text.txt"
        text.write_bytes(b"Another beginning. " + (harness.DEMO / "evaluation.txt").read_bytes())
        self.interrupt(self.keys(), 2)
        another = "progress of another job"
        self.refuse_all([
            (self.keys(calibration__seed=2), [another, "calibration.seed", "'2'", "'1234'"]),
            (self.keys(scales__policy="mse"), [another, "scales.policy", "mse"]),
            (self.keys(evaluation__dataset=text), [another, "evaluation_tokens_sha256"]),
            (self.keys(model__path=model), ["progress with other weights", name]),
        ])
        self.finish(self.keys())  # the job that it is of still can

    def test_of_another_version(self):
        self.interrupt(self.keys())
        body = self.saved.read_bytes()[:-32]
        head = b"fp8cal progress 1\n"
        self.assertTrue(body.startswith(head))
        for other, found in ((b"fp8cal progress 2\n", "another version"),
                             (b"some other file.." + b"\n", "another file")):
            changed = other + body[len(head) :]
            self.saved.write_bytes(changed + hashlib.sha256(changed).digest())
            self.refuse_all([(self.keys(), ["progress.fp8cal", found, "remove it"])])

    def test_between_layers(self):
        self.interrupt(self.keys() | STREAMED, after="calibrate layers")
        keys = self.keys(partition__mode="layers")
        self.refuse(["run", *harness.options_of(keys)], ["partition.mode", "layers:2"], ranks=(2,))
        self.finish(self.keys())

    def test_a_folder_that_cannot_be_made(self):
        file = self.folder / "file"
        file.write_text("")
        for folder in (file, file / "below"):
            keys = self.keys(runtime__checkpoint=folder)
            self.refuse(["run", *harness.options_of(keys)], ["runtime.checkpoint", str(folder)])


class SignalTest(ResumeTest):
    def stop(self, number, ranks, code=75, environment=None, **changes):
        run = self.start(self.keys(**changes), ranks, env=os.environ | (environment or {}))
        run.wait_for("load layers")
        # `scancel --full` sends SIGUSR1 to all; not every mpirun passes it on (4.1.6 in Ubuntu).
        for process in run.processes() if number == signal.SIGUSR1 else [run.process.pid]:
            os.kill(process, number)
        self.assertEqual(run.process.wait(timeout=20), code, run.log.read_text())
        self.assertEqual(len(run.errors()), 1, run.log.read_text())
        return run.errors()[0]

    def test_saved_and_gone_on_from(self):
        expected, *_ = self.finish(self.keys())
        # Told to end by SIGTERM, mpirun exits with 1, whatever its ranks exit with.
        for number, ranks, code in ((signal.SIGTERM, 1, 75), (signal.SIGUSR1, 1, 75),
                                    (signal.SIGUSR1, 3, 75), (signal.SIGTERM, 2, 1)):
            with self.subTest(signal=number.name, ranks=ranks):
                long = {"calibration__samples": 100} if code == 1 else {}  # it comes a second later
                line = self.stop(number, ranks, code, **long)
                self.assertRegex(
                    line, rf"^fp8cal: stopped by {number.name}, run the same job again to go on: "
                          rf"\d+ of \d+ calibration sequences, \d+ of 32 windows "
                          rf"saved in {self.progress}$")
                digest, earlier, said = self.finish(self.keys(**long), 2)
                self.assertEqual(digest == expected, not long)
                self.assertEqual(len(earlier), 1)
                self.assertIn(GOING_ON, said)

    def test_where_it_cannot_be_saved(self):
        trouble = {"LD_PRELOAD": os.environ["FP8CAL_FAULTY_IO"],
                   "FP8CAL_FAULT": "write ENOSPC /progress/ 0"}
        for ranks in (1, 2):
            line = self.stop(signal.SIGUSR1, ranks, 1, trouble)
            self.assertRegex(line, f"^fp8cal: {self.saved}: cannot write: No space left on device$")

    def test_a_second_sigterm_ends_at_once(self):
        run = self.start(self.keys(runtime__microbatch=28, calibration__samples=28,
                                   calibration__sequence_length=512), 1)
        run.wait_for("load layers")
        for _ in range(2):
            run.process.terminate()
            time.sleep(0.05)
        self.assertEqual(run.process.wait(timeout=1), -signal.SIGTERM, run.log.read_text())
        self.assertEqual(run.errors(), [])


class WorkLostTest(ResumeTest):
    INTERVAL = 1.0
    UNITS = 4000  # many seconds
    MARGIN = 0.9  # a unit, a save, and a busy machine

    def keys(self, stage="calibrate", **changes):
        """Many seconds of this stage."""
        dataset = self.folder / "tokens.u32"
        if not dataset.exists():
            dataset.write_bytes((np.arange(self.UNITS * 256, dtype="<u4") % 1000).tobytes())
        many = {
            "calibrate": {"calibration__dataset": dataset, "calibration__samples": self.UNITS},
            "evaluate": {"evaluation__dataset": dataset, "evaluation__windows": self.UNITS,
                         "calibration__samples": 2},
        }
        return super().keys(
            **many[stage], **{"runtime__checkpoint_interval": self.INTERVAL}, **changes)

    def wait_for_change(self, run):
        """Returns when progress was saved anew, in the seconds of the clock."""
        last = self.saved.stat().st_mtime_ns if self.saved.exists() else 0
        end = time.monotonic() + 20
        while not self.saved.exists() or self.saved.stat().st_mtime_ns == last:
            self.assertLess(time.monotonic(), end, run.log.read_text())
            time.sleep(0.002)
        return self.saved.stat().st_mtime

    def what_is_saved(self, keys):
        """Units, as the next run tells it."""
        run = self.start(keys)
        run.wait_for(GOING_ON)
        run.__exit__()
        return max(map(int, re.search(GOING_ON + r"(?:(\d+) of \d+ .* sequences, )(\d+) of",
                                      run.log.read_text()).groups()))

    def kill_after_two_saves(self, stage, ranks, mode):
        """At a random moment. Returns the seconds that are lost, when the stage began and the two
        saves came, and what these held."""
        shutil.rmtree(self.progress, ignore_errors=True)
        run = self.start(self.keys(stage, partition__mode=mode), ranks)
        run.wait_for({"calibrate": "load layers", "evaluate": "calibrate layers"}[stage])
        times, files = [time.time()], []
        for _ in range(2):
            times.append(self.wait_for_change(run))
            files.append(self.saved.read_bytes())
        time.sleep(self.random.uniform(0.2, 2.2) * self.INTERVAL)
        killed = time.time()
        self.kill(run)
        lost = killed - self.saved.stat().st_mtime
        gaps = np.diff(times).round(2)
        print(f"{stage}, {ranks} {mode}: {lost:.2f} s lost; saves after {gaps} s")
        return lost, times, files

    def loses_no_more(self, stage, ranks, mode):
        lost, times, files = self.kill_after_two_saves(stage, ranks, mode)
        counts = [0]
        for content in files:
            self.saved.write_bytes(content)
            counts.append(self.what_is_saved(self.keys(stage)))
        first, second = np.diff(counts) / np.diff(times)
        print(f"    units a second: {first:.0f}, {second:.0f}")
        # A save that lacked what had been done since the one before would have a far lower rate at
        # first.
        return max(lost, *np.diff(times)) < self.INTERVAL + self.MARGIN and first > second / 4

    def test_no_more_than_the_interval_and_a_unit(self):
        for stage, ranks, mode in (("calibrate", 1, "auto"), ("calibrate", 2, "tensor"),
                                   ("evaluate", 2, "sequences"), ("calibrate", 2, "layers")):
            with self.subTest(stage=stage, mode=mode):
                # A machine that is busy with other things may be late now and then.
                kept = any(self.loses_no_more(stage, ranks, mode) for _ in range(3))
                self.assertTrue(kept, f"the interval of {self.INTERVAL} s")


if __name__ == "__main__":
    unittest.main()
