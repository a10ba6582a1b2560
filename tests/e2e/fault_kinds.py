"""What befalls a running job, and how it must end: an exit status, one line, in time."""

import os
import re
import signal

from processes import supervisors_of

SLACK = 8  # seconds from a fault, or from the deadline, to the end of a job
RANK = r"^fp8cal: rank {}( \({}.*?\))?: "
DAMAGED = "saved progress is not used, beginning anew: "


class Fault:
    """One trial's fault. dice: the trial's random numbers."""

    waits_for_moment = True

    def __init__(self, stage, dice):
        self.stage = stage
        self.dice = dice

    def environment(self, reference, folder, ranks):
        """What the job is started with."""
        return {}

    def strike(self, run):
        pass

    def seconds(self, deadline):
        """From the strike to the end of the job."""
        return SLACK

    def check(self, test, run, code):
        """How it ended. Returns the stage that was struck; None where the fault came too late."""
        raise NotImplementedError

    def the_line(self, test, run):
        said = run.errors()
        test.assertEqual(len(said), 1, run.log.read_text())
        return said[0]


def stage_of(position):
    """position: as the program tells it, such as "in calibrate layers 0-3, layer 2"."""
    word = position.removeprefix("in ").split()[0]
    return {"calibrate": "calibrate", "merge": "merge", "evaluate": "evaluate", "collect": "write",
            "write": "write", "export": "export"}.get(word, "load")


class OnARank(Fault):
    def strike(self, run):
        self.victim = self.dice.choice(sorted(run.ranks))
        os.kill(run.ranks[self.victim], self.SIGNAL)

    def check(self, test, run, code):
        if code == 0:
            return None
        test.assertEqual(code, 1, run.log.read_text())
        line = self.the_line(test, run)
        form = RANK.format(self.victim, re.escape(os.uname().nodename)) + self.WHAT
        test.assertRegex(line, form)
        return stage_of(re.search(form, line)["position"])


class Kill(OnARank):
    name = "SIGKILL a rank"
    SIGNAL = signal.SIGKILL
    WHAT = r"killed by signal 9 \(Killed\) (?P<position>(at the start|in \w.*))$"


class Stop(OnARank):
    name = "SIGSTOP a rank"
    SIGNAL = signal.SIGSTOP
    WHAT = r"(not heard of for \d+ s, last|stopped for \d+ s) (?P<position>(at the start|in \w.*))$"

    def seconds(self, deadline):
        return deadline + SLACK


class Terminate(Fault):
    """All processes of all ranks at once, as batch systems do."""

    name = "SIGTERM all"
    NUMBER = signal.SIGTERM

    def strike(self, run):
        self.struck = run.stage()
        self.saves = self.struck in ("load", "calibrate", "merge") and run.saves_later()
        for process in self.targets(run):
            try:
                os.kill(process, self.NUMBER)
            except ProcessLookupError:
                pass  # it has ended, and the job with it

    def targets(self, run):
        mpirun = [run.process.pid] if len(run.ranks) > 1 else []
        return [process for process in run.all_processes if process not in mpirun]

    def check(self, test, run, code):
        if code == 0:
            test.assertFalse(self.saves, run.log.read_text())
            test.assertEqual(run.errors(), [])
            return self.struck
        test.assertEqual(code, 75, run.log.read_text())
        test.assertRegex(self.the_line(test, run), rf"^fp8cal: stopped by {self.NUMBER.name}, "
                         "run the same job again to go on: .* saved in ")
        test.assertTrue((run.folder / "progress" / "progress.fp8cal").exists())
        return self.struck


class Warn(Terminate):
    """One rank alone is asked, at its supervisor; all stop. Not through mpirun: that of Open MPI
    4.1.4 in Debian passes SIGUSR1 on, that of 4.1.6 in Ubuntu does not."""

    name = "SIGUSR1 to one rank"
    NUMBER = signal.SIGUSR1

    def targets(self, run):
        return [self.dice.choice(sorted(supervisors_of(run.process.pid).values()))]


class Truncate(Kill):
    """Killed, and then what it had saved is damaged."""

    name = "saved file truncated"
    HIDDEN = re.compile(r"hidden-(\d+)-")

    def check(self, test, run, code):
        struck = super().check(test, run, code)
        return struck if struck and self.damage(run.folder / "progress") else None

    def damage(self, folder):
        """One of the files that are in use, if there are any."""
        saved = folder / "progress.fp8cal"
        files = [one for one in sorted(folder.iterdir()) if self.HIDDEN.match(one.name)]
        layers = {self.HIDDEN.match(one.name)[1] for one in files}
        if not saved.exists() or len(layers) > 1:  # of two states: who knows which is in use
            return False
        chosen = self.dice.choice([saved] + files)
        chosen.write_bytes(self.damaged(chosen.read_bytes()))
        return True

    def damaged(self, data):
        return data[: self.dice.randrange(len(data))]


class Flip(Truncate):
    name = "saved byte flipped"

    def damaged(self, data):
        at = self.dice.randrange(len(data))
        return data[:at] + bytes([data[at] ^ (1 << self.dice.randrange(8))]) + data[at + 1 :]


class Injected(Fault):
    """By faulty_io.c. part: of the paths that fail; count: calls or bytes that go well before."""

    def settings(self, what, part, count, rank=None, begin=None):
        found = {"LD_PRELOAD": os.environ["FP8CAL_FAULTY_IO"],
                 "FP8CAL_FAULT": f"{what} {part} {count}"}
        if rank is not None:
            found["FP8CAL_FAULT_RANK"] = str(rank)
        if begin is not None:
            found["FP8CAL_FAULT_FROM"] = str(begin)
        return found


class FullDisk(Injected):
    """Where the result or the checkpoint is written."""

    name = "no space for the result"
    waits_for_moment = False

    def environment(self, reference, folder, ranks):
        if self.stage == "write":
            space = self.dice.randrange(reference.result_bytes)
            return self.settings("write ENOSPC", "/result.h5", space)
        space = self.dice.randrange(sum(map(len, reference.export.values())))
        return self.settings("write ENOSPC", "/fp8/", space)

    def check(self, test, run, code):
        test.assertEqual(code, 1, run.log.read_text())
        place = run.folder / {"write": "result.h5", "export": "fp8"}[self.stage]
        test.assertRegex(self.the_line(test, run),
                         f"^fp8cal: {place}.*: cannot write: No space left on device$")
        test.assertEqual(list(run.folder.rglob("*.partial")), [])
        return self.stage


class FullProgress(Injected):
    """From the moment on there is no space for progress: the job goes on without saving it."""

    name = "no space for progress"

    def environment(self, reference, folder, ranks):
        self.trigger = folder / "trigger"
        space = self.dice.randrange(1 << 20)
        return self.settings("write ENOSPC", "/progress/", space, begin=self.trigger)

    def strike(self, run):
        self.struck = run.stage()
        self.trigger.touch()

    def seconds(self, deadline):
        return 60  # it ends when its work is done

    def check(self, test, run, code):
        test.assertEqual(code, 0, run.log.read_text())
        test.assertEqual(run.errors(), [])
        warned = re.search(r"warning: progress could not be saved, the job goes on: "
                           r".*/progress/.*: cannot write: No space left on device$",
                           run.log.read_text(), re.MULTILINE)
        return self.struck if warned else None


class BrokenShard(Injected):
    """A read of the weights fails on one rank."""

    name = "read error on a shard"
    waits_for_moment = False

    def environment(self, reference, folder, ranks):
        exports = self.stage == "export"  # rank 0 writes the only file
        return self.settings(
            "read EIO", ".safetensors", self.dice.randrange(20),
            rank=0 if exports else self.dice.randrange(ranks),
            begin=folder / "result.h5" if exports else None)

    def check(self, test, run, code):
        if code == 0:
            return None
        test.assertEqual(code, 1, run.log.read_text())
        test.assertRegex(self.the_line(test, run),
                         r"safetensors: cannot read at byte \d+: Input/output error$")
        return self.stage
