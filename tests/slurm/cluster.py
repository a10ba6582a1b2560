"""A Slurm cluster on this machine (slurm/testing/cluster.sh), and jobs on it."""

import atexit
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import numpy as np  # noqa: E402

import harness  # noqa: E402  (from the folder above)

SCRIPT = harness.SOURCE / "slurm" / "testing" / "cluster.sh"
NODES, NODE_GPUS = 3, 2  # of cluster.sh

_folder = None


def control(*arguments):
    return subprocess.run([SCRIPT, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL)


def start():
    """Once, for all tests of a program. Ends it as skipped where Slurm cannot start, as failed where
    FP8CAL_REQUIRE_SLURM=1."""
    global _folder
    _folder = pathlib.Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    atexit.register(stop)
    started = control("start", _folder)
    if started.returncode != 0:
        reason = started.stderr.strip() or "cluster.sh failed"
        if os.environ.get("FP8CAL_REQUIRE_SLURM") == "1":
            sys.exit(f"failed: FP8CAL_REQUIRE_SLURM=1 and {reason}")
        print(f"skipped: {reason}")
        sys.exit(harness.SKIPPED)
    os.environ["SLURM_CONF"] = started.stdout.strip()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    # The shared memory of two "hosts" that are one has the same names; ranks may outnumber cores.
    os.environ |= {"OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_btl": "self,tcp",
                   "OMPI_MCA_btl_tcp_if_include": "lo", "OMPI_MCA_oob_tcp_if_include": "lo",
                   "OMPI_MCA_mpi_yield_when_idle": "1"}
    if os.geteuid() == 0:
        os.environ |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def stop():
    if _folder is not None:
        control("stop", _folder)
        shutil.rmtree(_folder, ignore_errors=True)


def on_node(what, node):
    """kill-daemon, crash or start-node."""
    done = control(what, _folder, node)
    assert done.returncode == 0, done.stderr


def ask(*command):
    """What a command of Slurm says on standard output."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout.strip()


def field(job, name):
    """Of the queue, as `squeue -O` names it."""
    return ask("squeue", "-h", "-t", "all", "-j", str(job), "-O", f"{name}:200").split("\n")[0].strip()


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED")


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s not {what}: {ask('squeue', '-t', 'all', '-l')}")
        time.sleep(0.2)
    return found


def wait_for_state(job, states, seconds=90):
    states = (states,) if isinstance(states, str) else states
    return wait_for(lambda: (state := field(job, "State")) in states and state, seconds,
                    f"{job} {' or '.join(states)}")


class SlurmTest(harness.TempFolderTest):
    """Jobs on the bundled model, on CPU ranks, one for each GPU that Slurm believes in."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.cancel_all)
        self.result = self.folder / "result.h5"
        self.run_folder = self.folder / "result.h5.slurm"

    @staticmethod
    def cancel_all():
        subprocess.run(["scancel", "--user", str(os.getuid())], timeout=30, check=False)
        wait_for(lambda: not ask("squeue", "-h"), 60, "an empty queue")

    def job_file(self, name="job.ini", **changes):
        """A small job; changes: other values of its keys, as harness.small_job takes them."""
        keys = harness.small_job(self.result, **{
            "runtime__device_memory": "2GiB", "runtime__threads": 1,
            "runtime__progress": "lines"} | changes)
        sections = {}
        for key, value in keys.items():
            section, _, rest = key.partition(".")
            sections.setdefault(section, []).append(f"{rest} = {value}\n")
        file = self.folder / name
        file.write_text("".join(f"[{section}]\n{''.join(lines)}"
                                for section, lines in sections.items()))
        return file

    def long_job(self, sequences, **changes):
        """Of as many sequences, about 400 a second; it saves its progress each second."""
        tokens = self.folder / "tokens.u32"
        rng = np.random.default_rng(1)
        tokens.write_bytes(rng.integers(0, 500, sequences * 64, dtype="<u4").tobytes())
        return self.job_file(**{
            "calibration__dataset": tokens, "calibration__samples": sequences,
            "calibration__sequence_length": 64, "runtime__microbatch": 1,
            "runtime__checkpoint": self.folder / "progress",
            "runtime__checkpoint_interval": 1} | changes)

    def site(self, **settings):
        file = self.folder / "site.conf"
        file.write_text("[site]\n" + "".join(f"{key} = {value}\n"
                                             for key, value in settings.items()))
        return file

    def submit(self, *arguments, code=0):
        done = harness.run(["submit", *map(str, arguments)], env=os.environ)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def submitted(self, *arguments):
        """The job's number."""
        said = self.submit(*arguments).stdout
        return int(re.search(r"^submitted job (\d+)", said, re.MULTILINE)[1])

    def status(self, *arguments):
        done = harness.run(["status", *map(str, arguments)], env=os.environ)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def said(self):
        """All that jobs said on standard error."""
        return "".join(one.read_text() for one in sorted(self.run_folder.glob("slurm-*.err")))

    def wait_until_said(self, text, seconds=60):
        wait_for(lambda: text in self.said(), seconds, f"said: {text}")

    def finish(self, job, state="COMPLETED", seconds=120):
        ended = wait_for_state(job, ENDED, seconds)
        self.assertEqual(ended, state, self.said())

    def digest(self, result=None):
        done = harness.run(["audit", str(result or self.result), "--verify"], env=harness.ALONE)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return re.search(r"^digest +(\w{64})$", done.stdout, re.MULTILINE)[1]

    def digest_without_slurm(self, file, **changes):
        """Of the same job, run here."""
        alone = self.folder / "alone.h5"
        keys = {"output.result": alone, "runtime.checkpoint": "none"} | changes
        done = harness.run(["run", str(file), *harness.options_of(keys)], ranks=2, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.digest(alone)
