"""What the tests of runtime.status, `fp8cal status` and `fp8cal collect` share."""

import json
import os
import subprocess
import time

import h5py
import numpy as np

import harness
from processes import Run

WIDTHS = [("id", 24), ("task", 24), ("state", 24), ("reason", 128), ("restarts", 16),
          ("time_left", 24), ("time_limit", 24), ("priority", 24), ("start", 32), ("name", 256),
          ("comment", 4608), ("nodes", 16)]


def squeue_line(**values):
    """A job as `squeue -h -O` prints it."""
    job = {"id": "123", "task": "N/A", "state": "RUNNING", "reason": "None", "restarts": "0",
           "time_left": "3:12", "time_limit": "10:00", "priority": "42", "start": "N/A",
           "name": "llama", "comment": "(null)", "nodes": "n[1-2]"} | values
    return "".join(job[name].ljust(width) for name, width in WIDTHS)


class StatusTest(harness.RefusalTest):
    def setUp(self):
        super().setUp()
        self.status = self.folder / "status.json"
        self.log = self.folder / "log"
        self.bin = self.folder / "bin"
        self.bin.mkdir()

    def keys(self, **changes):
        return harness.small_job(self.result, runtime__status=self.status, runtime__threads=1,
                                 **changes)

    def long_job(self, **changes):
        """Many seconds of calibration."""
        dataset = self.folder / "tokens.u32"
        dataset.write_bytes((np.arange(4000 * 256, dtype="<u4") % 1000).tobytes())
        return self.keys(**{"calibration__dataset": dataset, "calibration__samples": 4000,
                            "calibration__sequence_length": 256} | changes)

    def told(self, file=None):
        status = json.loads((file or self.status).read_text())
        self.assertEqual((status["format"], status["version"]), ("fp8cal-status", 1))
        return status

    def digest(self):
        with h5py.File(self.result) as file:
            return file.attrs["content_digest"].decode()

    def wait_for(self, run, holds, seconds=30):
        """Until the status file is as `holds` wants it. Whenever it is read, it is whole."""
        end = time.monotonic() + seconds
        while not self.status.exists() or not holds(self.told()):
            if run.process.poll() is not None or time.monotonic() > end:
                self.fail(f"{self.status.exists() and self.told()}: {run.log.read_text()}")
            time.sleep(0.01)
        return self.told()

    def start(self, keys, ranks=1):
        run = Run(keys, ranks, self.log)
        self.addCleanup(run.__exit__)
        return run

    def job_file(self, **keys):
        """A job file with these keys; only output.result and runtime.status matter to `status`."""
        keys = {key.replace(".", " ", 1): value for key, value in self.keys(**keys).items()}
        file = self.folder / "job.ini"
        file.write_text("".join(
            "[{}]\n{} = {}\n".format(*key.split(" "), value) for key, value in keys.items()))
        return file

    def fake(self, program, script):
        file = self.bin / program
        file.write_text("#!/bin/sh\n" + script)
        file.chmod(0o755)

    def fake_squeue(self, *lines):
        """Tells of these jobs, to whoever asks; what it was asked is in the file `asked`."""
        (self.folder / "queue").write_text("".join(line + "\n" for line in lines))
        self.fake("squeue", f'echo "$@" >> {self.folder}/asked; cat {self.folder}/queue\n')

    def ask(self, *words, command="status", path=None, code=0):
        """`fp8cal status WORDS` with only our Slurm on PATH. Returns what it prints."""
        environment = os.environ | {"PATH": path or f"{self.bin}:/usr/bin:/bin"}
        if path is None:  # what is not faked here must not be found elsewhere
            for program in ("squeue", "sacct"):
                if not (self.bin / program).exists():
                    self.fake(program, "exit 1\n")
        done = subprocess.run([harness.PROGRAM, command, *map(str, words)], env=environment,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 0 if code == 0 else 1, done.stderr)
        return done.stdout if code == 0 else lines[0]
