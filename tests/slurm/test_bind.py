"""Which cores slurm/bind.sh gives to each rank, on hosts that a folder describes."""

import os
import pathlib
import subprocess
import tempfile
import unittest

BIND = pathlib.Path(__file__).resolve().parents[2] / "slurm" / "bind.sh"


class BindTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="fp8cal-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.bin = self.folder / "bin"
        self.bin.mkdir()

    def program(self, name, text):
        file = self.bin / name
        file.write_text("#!/bin/bash\n" + text)
        file.chmod(0o755)

    def host(self, cpus, threads=1, gpus=(), allowed=None):
        """cpus: how many; thread t of core c is CPU t * cores + c, as Linux counts on x86.
        gpus: the cores near each, as the kernel writes them."""
        cores = cpus // threads
        for cpu in range(cpus):
            topology = self.folder / f"sys/devices/system/cpu/cpu{cpu}/topology"
            topology.mkdir(parents=True)
            siblings = [str(thread * cores + cpu % cores) for thread in range(threads)]
            (topology / "thread_siblings_list").write_text(",".join(siblings) + "\n")
        for number, near in enumerate(gpus):
            device = self.folder / f"sys/bus/pci/devices/0000:{number:x}b:00.0"
            device.mkdir(parents=True)
            (device / "local_cpulist").write_text(near + "\n")
        if gpus:
            indices = "\\n".join(map(str, range(len(gpus))))
            self.program("nvidia-smi", f"""case "$*" in
  "-i "*bus_id*) printf '00000000:%XB:00.0\\n' "$2" ;;
  *index*) printf '{indices}\\n' ;;
esac
""")
        # What the rank may use, and what it is bound to.
        self.program("taskset", f"""case $1 in
  -cp) echo "pid $2's current affinity list: {allowed or f'0-{cpus - 1}'}" ;;
  -c) echo "bound $2" ;;
esac
""")

    def bound(self, rank, ranks, **environment):
        """The CPUs that a rank is bound to, as a list; None where it is not bound."""
        done = subprocess.run(
            ["bash", BIND, "echo", "free"], capture_output=True, text=True, timeout=30,
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "FP8CAL_SYS": str(self.folder / "sys"),
                 "OMPI_COMM_WORLD_LOCAL_RANK": str(rank),
                 "OMPI_COMM_WORLD_LOCAL_SIZE": str(ranks)} | environment)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        if done.stdout == "free\n":
            return None
        return [int(cpu) for cpu in done.stdout.split()[1].split(",")]

    def test_near_its_gpu(self):
        # Two sockets of four cores with two threads each; two GPUs at each.
        self.host(16, threads=2, gpus=["0-3,8-11"] * 2 + ["4-7,12-15"] * 2)
        self.assertEqual([self.bound(rank, 4) for rank in range(4)],
                         [[0, 8, 1, 9], [2, 10, 3, 11], [4, 12, 5, 13], [6, 14, 7, 15]])

    def test_no_core_of_two_ranks(self):
        self.host(24, threads=1, gpus=["0-11"] * 5)
        shares = [self.bound(rank, 5) for rank in range(5)]
        self.assertEqual(sorted(sum(shares, [])), list(range(12)))
        self.assertLessEqual(max(map(len, shares)) - min(map(len, shares)), 1)

    def test_only_cores_of_the_job(self):
        self.host(16, gpus=["0-7", "8-15"], allowed="4-9")
        self.assertEqual([self.bound(rank, 2) for rank in range(2)], [[4, 5, 6, 7], [8, 9]])

    def test_only_gpus_of_the_job(self):
        self.host(16, gpus=["0-3", "4-7", "8-11", "12-15"])
        self.assertEqual([self.bound(rank, 2, CUDA_VISIBLE_DEVICES="3,1") for rank in range(2)],
                         [[12, 13, 14, 15], [4, 5, 6, 7]])

    def test_without_gpus(self):
        self.host(8)
        self.assertEqual([self.bound(rank, 3) for rank in range(3)], [[0, 1], [2, 3, 4], [5, 6, 7]])

    def test_more_ranks_than_cores(self):
        self.host(2)
        self.assertEqual([self.bound(rank, 4) for rank in range(4)], [None] * 4)

    def test_a_host_that_tells_nothing_of_its_gpus(self):
        self.host(4, gpus=[""])
        self.assertIsNone(self.bound(0, 1))


if __name__ == "__main__":
    unittest.main()
