"""Jobs in the background, and the processes that they are made of."""

import ctypes
import os
import pathlib
import signal
import subprocess
import threading
import time

import harness


def parent_and_state(process):
    """From /proc; None where the process is gone."""
    try:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0]


def is_running(process):
    found = parent_and_state(process)
    return found is not None and found[1] not in "ZX"


def state_of(process):
    """As ps shows it, such as T for stopped; None where the process is gone."""
    found = parent_and_state(process)
    return found and found[1]


def children_of(parent):
    children = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        found = parent_and_state(folder.name)
        if found is not None and found[0] == parent and found[1] not in "ZX":
            children.append(int(folder.name))
    return children


def rank_number(process):
    """Of a process that an mpirun started; None of any other."""
    try:
        environment = pathlib.Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return None
    for entry in environment.split(b"\0"):
        if entry.startswith(b"OMPI_COMM_WORLD_RANK="):
            return int(entry.split(b"=")[1])
    return None


def supervisors_of(job):
    """{rank: process id}. job: the process of an mpirun, or of `fp8cal run` alone."""
    ranks = {rank_number(process): process for process in children_of(job)}
    ranks.pop(None, None)
    return ranks or {0: job}


def ranks_of(job):
    """{rank: process id} of those that compute: each is the child of its supervisor."""
    ranks = {}
    for rank, supervisor in supervisors_of(job).items():
        for child in children_of(supervisor):
            ranks[rank] = child
    return ranks


class HeldThread:
    """The main thread of a process, held as by a debugger; its other threads go on."""

    SEIZE, INTERRUPT = 0x4206, 0x4207  # ptrace requests

    def __init__(self, process):
        self.process = process
        self.libc = ctypes.CDLL(None, use_errno=True)

    def hold(self):
        for request in (self.SEIZE, self.INTERRUPT):
            if self.libc.ptrace(request, self.process, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace")
        threading.Thread(target=self.see_to_its_end, daemon=True).start()

    def see_to_its_end(self):
        """Its parent hears of that only when the one who holds it has."""
        status = None
        while status is None or os.WIFSTOPPED(status):
            status = os.waitpid(self.process, 0)[1]


class Run:
    """A job that runs in the background; killed with the `with` block. log: what it says on standard
    error."""

    def __init__(self, keys, ranks, log, **keywords):
        self.log = pathlib.Path(log)
        with open(log, "w") as stream:
            self.process = subprocess.Popen(
                harness.command_line(["run", *harness.options_of(keys)], ranks),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stream, **keywords,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            processes = self.processes()
            for process in processes:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass  # it ended with another
            self.process.wait()
            self.all_gone(processes)

    def processes(self):
        """Each once: alone, a job is its rank's supervisor."""
        job = self.process.pid
        return list(dict.fromkeys([job, *supervisors_of(job).values(), *ranks_of(job).values()]))

    @staticmethod
    def all_gone(processes, seconds=10):
        """Those that still run after so many seconds."""
        end = time.monotonic() + seconds
        while any(map(is_running, processes)) and time.monotonic() < end:
            time.sleep(0.02)
        return list(filter(is_running, processes))

    def wait_for(self, text, seconds=60):
        """Until the run has printed `text`."""
        end = time.monotonic() + seconds
        while text not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no {text!r} in: {self.log.read_text()}")
            time.sleep(0.02)

    def wait_for_ranks(self, ranks, seconds=30):
        """Until all ranks are there. Returns ranks_of the job."""
        end = time.monotonic() + seconds
        while len(found := ranks_of(self.process.pid)) < ranks:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{len(found)} of {ranks} ranks: {self.log.read_text()}")
            time.sleep(0.02)
        return found

    def errors(self):
        """The lines that tell of failures."""
        return [line for line in self.log.read_text().splitlines() if line.startswith("fp8cal: ")]
