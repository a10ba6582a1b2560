"""The job that faults strike: its shapes, and where its stages begin and end."""

import os
import pathlib
import random
import re
import shlex
import time
from typing import NamedTuple

import harness
from processes import Run

STAGES = ("load", "calibrate", "merge", "evaluate", "write", "export")
MERGE_SECONDS = 0.004  # from the end of the calibration passes


class Shape(NamedTuple):
    name: str
    ranks: int
    settings: tuple  # (key, value)

    @property
    def keys(self):
        return dict(self.settings)

    @property
    def is_streamed(self):
        return "runtime.device_memory" in self.keys

    @property
    def may_have_stages(self):
        return "layers" in self.name or self.name == "3 auto"


def shape(name, ranks, memory=None):
    settings = (("partition.mode", name),)
    if memory is None:
        return Shape(f"{ranks} {name}", ranks, settings)
    return Shape(f"{ranks} {name} streamed", ranks, settings + (("runtime.device_memory", memory),))


def shapes():
    """Those that the machine allows; FP8CAL_FAULT_STREAMED: memory that holds half of the layers,
    or none."""
    memory = os.environ.get("FP8CAL_FAULT_STREAMED", "9MiB")
    most = int(os.environ.get("FP8CAL_FAULT_RANKS", 4))
    every = [
        shape("auto", 1), shape("tensor", 2), shape("sequences", 2), shape("layers", 2),
        shape("auto", 3), shape("tensor", 4), shape("sequences", 4), shape("layers:2+tensor:2", 4),
    ]
    if memory != "none":
        every += [shape("auto", 1, memory), shape("tensor", 2, memory),
                  shape("sequences", 2, memory), shape("sequences", 3, memory)]
    return [one for one in every if one.ranks <= most]


def job_keys(folder):
    """Of a job whose files all lie in `folder`. FP8CAL_FAULT_KEYS: further keys, as options."""
    keys = harness.small_job(
        folder / "result.h5", calibration__samples=28, calibration__sequence_length=256,
        evaluation__sequence_length=64, evaluation__windows=32, runtime__threads=1,
        runtime__microbatch=1, runtime__progress="lines", runtime__deadline=5,
        runtime__checkpoint=folder / "progress", runtime__checkpoint_interval=0,
        output__checkpoint=folder / "fp8")
    words = shlex.split(os.environ.get("FP8CAL_FAULT_KEYS", ""))
    return keys | {key.removeprefix("--"): value for key, value in zip(words[::2], words[1::2])}


class FollowedRun(Run):
    """A run whose events are seen within milliseconds, in this order: "ranks" are there, they are
    "guarded" from hanging, "load", "calibrate" and "evaluate" have ended (once a chunk of layers),
    "write" too, so that the export begins, and "export": the whole checkpoint is in place."""

    STAGE_END = re.compile(r"info: (load|calibrate|evaluate) .*\d s$")
    WARNING = re.compile(r"warning: calibration\.samples")  # the first line of a job of so few

    def __init__(self, folder, a_shape, environment=None, chunks=1):
        self.folder = folder
        self.chunks = chunks
        self.events = []  # (name, time)
        self.lines = 0
        super().__init__(job_keys(folder) | a_shape.keys, a_shape.ranks, folder / "log",
                         env=os.environ | (environment or {}))
        self.ranks = self.wait_for_ranks(a_shape.ranks)
        self.all_processes = self.processes()
        self.add("ranks")

    def add(self, name):
        self.events.append((name, time.monotonic()))

    def look(self):
        whole = self.log.read_text().split("\n")[:-1]
        for line in whole[self.lines :]:
            if found := self.STAGE_END.search(line):
                self.add(found[1])
            elif self.WARNING.search(line):
                self.add("guarded")
        self.lines = len(whole)
        last = self.events[-1][0]
        exported = self.folder / "fp8"
        if last == "evaluate" and any(exported.glob("model-*")):
            self.add("write")
        if last in ("evaluate", "write") and (exported / "config.json").exists():
            self.add("export")

    def wait_for_event(self, number, seconds=60):
        """Until there are more events than `number`, or the run has ended. Returns which."""
        end = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            self.look()
            if len(self.events) > number or ended:
                return len(self.events) > number
            if time.monotonic() > end:
                raise AssertionError(f"event {number} does not come: {self.log.read_text()}")
            time.sleep(0.001)

    def saves_later(self):
        """Whether points are still to come at which progress is saved: between units, or, where
        weights are streamed in several chunks of layers, between these."""
        evaluated = [name for name, _ in self.events].count("evaluate")
        return evaluated < max(1, self.chunks - 1)

    def stage(self):
        """The stage that follows the last event."""
        self.look()
        names = [name for name, _ in self.events]
        after = {"ranks": "load", "guarded": "load", "load": "calibrate", "calibrate": "evaluate",
                 "evaluate": "write", "write": "export", "export": "export"}
        return after[names[-1]]


class Interval(NamedTuple):
    """When a stage lasts: from the event of this number on."""
    event: int
    seconds: float


def measure(folder, a_shape):
    """An undisturbed run: {stage: [Interval]}, one a chunk of layers. None where FP8CAL_FAULT_KEYS
    make a job that cannot have this shape."""
    with FollowedRun(folder, a_shape) as run:
        run.wait_for_event(10**6)
        if run.process.wait() == 2 and "FP8CAL_FAULT_KEYS" in os.environ:
            print("left out:", *run.errors())
            return None
        if run.process.wait() != 0 or run.events[-1][0] != "export":
            raise AssertionError(f"{a_shape.name}: {run.events} {run.log.read_text()}")
    found = {stage: [] for stage in STAGES + ("start",)}
    for number, (before, after) in enumerate(zip(run.events, run.events[1:])):
        seconds = after[1] - before[1]
        stage = "start" if after[0] == "guarded" else after[0]
        found[stage].append(Interval(number, seconds))
        if before[0] == "calibrate":
            found["merge"].append(Interval(number, min(MERGE_SECONDS, seconds)))
    return found


def wait_for_moment(run, interval, dice):
    """A random moment of the interval. Returns whether the run got there."""
    delay = dice.random() * interval.seconds
    if not run.wait_for_event(interval.event):
        return False
    time.sleep(max(0, run.events[interval.event][1] + delay - time.monotonic()))
    return run.process.poll() is None


def contents(folder):
    return {one.name: one.read_bytes() for one in pathlib.Path(folder).iterdir()}


def verified_digest(result):
    """What `fp8cal audit RESULT --verify` says; the file must pass."""
    done = harness.run(["audit", result, "--verify"], env=harness.ALONE)
    if done.returncode != 0:
        raise AssertionError(f"{result}: {done.stdout}{done.stderr}")
    return re.search(r"^digest +(\w{64})$", done.stdout, re.MULTILINE)[1]


def dice_of(*names):
    seed = os.environ.get("FP8CAL_FAULT_SEED", "20250607")
    return random.Random(" ".join(map(str, (seed, *names))))
