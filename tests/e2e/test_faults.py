"""Faults at random moments of every stage: the job ends in time, says why, leaves nothing that is
broken, and gives the undisturbed result when it is run again.

Elsewhere than in CI: FP8CAL_FAULT_KEYS (keys of the job, as options), FP8CAL_FAULT_RANKS (at most),
FP8CAL_FAULT_STREAMED (runtime.device_memory of streamed jobs, or none), FP8CAL_FAULT_RUNS (how
many), FP8CAL_FAULT_SEED."""

import collections
import os
import shutil
import subprocess
import time
import unittest
from typing import NamedTuple

import fault_kinds as kinds
import harness
from fault_jobs import (
    STAGES, FollowedRun, contents, dice_of, job_keys, measure, shapes, verified_digest,
    wait_for_moment)
from processes import Run

TRIES = 8  # of moments, until one is struck
AT_LEAST = 60  # runs that are struck
RESUMED, ANEW, ENDED_WELL = "resumed from saved progress", "begun anew", "ended well all the same"

# fault -> stage -> trials
PLAN = {
    kinds.Kill: dict(load=3, calibrate=3, merge=3, evaluate=3, write=3, export=3),
    kinds.Stop: dict(load=2, calibrate=2, merge=1, evaluate=2, write=2, export=1),
    kinds.Terminate: dict(load=2, calibrate=2, merge=1, evaluate=2, write=1, export=1),
    kinds.Warn: dict(load=1, calibrate=2, evaluate=2, write=1),
    kinds.FullDisk: dict(write=4, export=4),
    kinds.FullProgress: dict(calibrate=4, evaluate=4),
    kinds.BrokenShard: dict(load=5, export=4),
    kinds.Truncate: dict(calibrate=2, evaluate=3, write=2),
    kinds.Flip: dict(calibrate=2, evaluate=3, write=2),
}
NOT_ALONE = (kinds.Stop,)  # a job whose only rank is stopped is a job that was suspended


class Trial(NamedTuple):
    number: int
    kind: type
    stage: str


class Reference(NamedTuple):
    """What undisturbed runs give."""
    digest: str
    result_bytes: int
    export: dict
    intervals: dict  # Shape -> stage -> [Interval]


def trials():
    every = [Trial(0, kind, stage) for kind, stages in PLAN.items()
             for stage, count in stages.items() for _ in range(count)]
    if all(one.ranks == 1 for one in shapes()):
        every = [one for one in every if one.kind not in NOT_ALONE]
    wanted = int(os.environ.get("FP8CAL_FAULT_RUNS", len(every)))
    every = dice_of("trials").sample(every, min(wanted, len(every)))
    return [one._replace(number=number) for number, one in enumerate(every)]


class FaultTest(harness.TempFolderTest):
    def test_every_stage(self):
        self.reference = self.undisturbed()
        self.counts = collections.Counter()
        planned = trials()
        for trial in planned:
            with self.subTest(number=trial.number, fault=trial.kind.name, stage=trial.stage):
                self.undergo(trial)
        struck = self.print_table()
        self.assertGreaterEqual(struck, min(AT_LEAST, len(planned)))
        if "FP8CAL_FAULT_RUNS" not in os.environ:
            self.assertEqual({stage for _, stage, _ in self.counts}, set(STAGES))

    def undisturbed(self):
        intervals, digests = {}, set()
        for one in shapes():
            folder = self.new_folder()
            found = measure(folder, one)
            if found is None:
                continue
            intervals[one] = found
            digests.add(verified_digest(folder / "result.h5"))
            result_bytes = (folder / "result.h5").stat().st_size
            export = contents(folder / "fp8")
        self.assertEqual(len(digests), 1)
        return Reference(digests.pop(), result_bytes, export, intervals)

    def new_folder(self):
        folder = self.folder / "job"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder

    def undergo(self, trial):
        """Until the fault strikes a run; then what it left is checked, and the job run again."""
        dice = dice_of(trial.number, trial.kind.name, trial.stage)
        for _ in range(TRIES):
            fault = trial.kind(trial.stage, dice)
            shape = dice.choice(self.suitable_shapes(trial.kind))
            folder = self.new_folder()
            stage = self.strike(fault, shape, folder, dice)
            self.check_files(folder)
            if stage is not None:
                break
        else:
            self.fail(f"no run of {TRIES} was struck")
        how = ENDED_WELL
        if not self.is_done(folder):
            how = self.run_again(fault, shape, folder, dice)
        self.counts.update([(trial.kind.name, stage, "struck"), (trial.kind.name, stage, how)])
        print(f"{trial.number:3}  {trial.kind.name}, {stage}, {shape.name}: {how}", flush=True)

    def suitable_shapes(self, kind):
        return [one for one in self.reference.intervals if one.ranks > 1 or kind not in NOT_ALONE]

    def strike(self, fault, shape, folder, dice):
        """Returns the stage that was struck, if any."""
        intervals = self.reference.intervals[shape]
        possible = intervals[fault.stage]
        if fault.stage == "load" and isinstance(fault, kinds.Kill):
            possible = possible + intervals["start"]
        environment = fault.environment(self.reference, folder, shape.ranks)
        chunks = len(intervals["evaluate"])
        with FollowedRun(folder, shape, environment, chunks) as run:
            if fault.waits_for_moment:
                if not wait_for_moment(run, dice.choice(possible), dice):
                    return None
                fault.strike(run)
                code = self.end_of(run, fault.seconds(float(job_keys(folder)["runtime.deadline"])))
            else:
                code = self.end_of(run, 60)
            run.look()
            self.assertEqual(run.all_gone(run.all_processes), [], "processes that outlive the job")
            return fault.check(self, run, code)

    def end_of(self, run, seconds):
        begin = time.monotonic()
        while run.process.poll() is None:
            run.look()
            time.sleep(0.005)
            self.assertLess(time.monotonic() - begin, seconds, run.log.read_text())
        return run.process.returncode

    def check_files(self, folder):
        """Nothing under a final name that is not whole."""
        if (folder / "result.h5").exists():
            self.assertEqual(verified_digest(folder / "result.h5"), self.reference.digest)
        if not (folder / "fp8").exists():
            return
        final = {name: data for name, data in contents(folder / "fp8").items()
                 if not name.endswith(".partial")}
        for name, data in final.items():
            self.assertTrue(data == self.reference.export[name], f"{name} is not whole")
        if "config.json" in final:
            self.assertEqual(final.keys(), self.reference.export.keys())

    def is_done(self, folder):
        """Whether the disturbed job ended well all the same."""
        names = {one.name for one in folder.iterdir()} - {"log", "trigger"}
        return names == {"result.h5", "fp8"} and (folder / "fp8" / "config.json").exists()

    def run_again(self, fault, before, folder, dice):
        """In another shape. Returns where it began."""
        saved = (folder / "progress" / "progress.fp8cal").exists()
        damaged = isinstance(fault, kinds.Truncate)
        # Progress between layers is not for a pipeline of them.
        others = [one for one in self.reference.intervals
                  if not (before.is_streamed and one.may_have_stages)]
        shape = dice.choice([one for one in others if one != before] or others)
        if (folder / "fp8" / "config.json").exists():
            shutil.rmtree(folder / "fp8")  # a whole checkpoint is not replaced
        keys = job_keys(folder) | shape.keys | {"runtime.deadline": 60}  # on a busy machine, too
        with Run(keys, shape.ranks, folder / "log") as run:
            try:
                code = run.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.fail(f"run again as {shape.name}: {run.log.read_text()}")
            log = run.log.read_text()
        self.assertEqual(code, 0, f"{shape.name}: {log}")
        self.assertEqual(verified_digest(folder / "result.h5"), self.reference.digest)
        self.check_files(folder)
        names = {one.name for one in folder.iterdir()} - {"log", "trigger"}
        self.assertEqual(names, {"result.h5", "fp8"})
        self.assertEqual(contents(folder / "fp8").keys(), self.reference.export.keys())
        self.assertEqual("going on from saved progress" in log, saved and not damaged, log)
        self.assertEqual(kinds.DAMAGED in log, damaged, log)
        return RESUMED if saved and not damaged else ANEW

    def print_table(self):
        """Returns how many were struck."""
        lines = [f"{'struck/resumed/anew':24}" + "".join(f"{stage:>12}" for stage in STAGES)]
        for kind in PLAN:
            line = f"{kind.name:24}"
            for stage in STAGES:
                three = [self.counts[kind.name, stage, one] for one in ("struck", RESUMED, ANEW)]
                line += f"{'/'.join(map(str, three)) if three[0] else '-':>12}"
            lines.append(line)
        total = collections.Counter()
        for (_, _, what), count in self.counts.items():
            total[what] += count
        lines.append(f"{total['struck']} struck: "
                     + ", ".join(f"{total[how]} {how}" for how in (RESUMED, ANEW, ENDED_WELL)))
        print("", *lines, sep="\n", flush=True)
        return total["struck"]


if __name__ == "__main__":
    unittest.main()
