"""Stand-ins for sbatch, sinfo and squeue that write down how they were called."""

import json
import os
import subprocess

import harness

FAKE = """#!/usr/bin/python3 -B
import json, os, pathlib, sys
name = pathlib.Path(sys.argv[0]).name
folder = pathlib.Path(sys.argv[0]).resolve().parent.parent
calls = folder / "calls"
number = len(list(calls.iterdir()))
script = open(sys.argv[-1]).read() if name == "sbatch" else None
(calls / f"{number:03}.json").write_text(json.dumps(
    {"name": name, "arguments": sys.argv[1:], "environment": dict(os.environ), "script": script}))
answer = folder / f"{name}-{sum(name in f.read_text()[:30] for f in calls.iterdir())}.json"
if not answer.exists():
    answer = folder / f"{name}.json"
status, output, errors = json.loads(answer.read_text())
sys.stdout.write(output)
sys.stderr.write(errors)
sys.exit(status)
"""
WIDTHS = (256, 32, 32, 32, 4096)


def sinfo_line(*cells):
    """Partition, nodes, MiB of memory, time limit and Gres, as `sinfo --Format` pads them."""
    return "".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS)) + "\n"


CLUSTER = (sinfo_line("gpu*", "4", "1031000", "2-00:00:00", "gpu:h100:8(S:0-1)")
           + sinfo_line("cpu", "20", "64000+", "infinite", "(null)"))


class FakeSlurm:
    """Commands in a folder that is all of PATH."""

    def __init__(self, folder, commands=("sbatch", "sinfo", "squeue")):
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        (folder / "calls").mkdir()
        for name in commands:
            program = folder / "bin" / name
            program.write_text(FAKE)
            program.chmod(0o755)
        self.answer("sinfo", CLUSTER)
        self.answer("squeue", "")
        self.answer("sbatch-1", "123\n")
        self.answer("sbatch-2", "124;cluster\n")

    def answer(self, name, output="", errors="", status=0):
        """name: of a command, or NAME-N for its Nth call."""
        (self.folder / f"{name}.json").write_text(json.dumps([status, output, errors]))

    def environment(self):
        # Without PATH, Open MPI looks in vain for what it would start ranks elsewhere with.
        return harness.ALONE | {"PATH": str(self.folder / "bin"),
                                "OMPI_MCA_plm_rsh_agent": "/bin/true"}

    def calls(self, name):
        all_calls = [json.loads(f.read_text()) for f in sorted((self.folder / "calls").iterdir())]
        return [call for call in all_calls if call["name"] == name]


def directives(script):
    """{option: value} of a batch script, as sbatch's own parser takes its #SBATCH lines apart."""
    found = {}
    for line in script.splitlines():
        if not line.startswith("#SBATCH "):
            if line.strip() and not line.startswith("#"):
                break
            continue
        option, quote, escaped = "", None, False
        for c in line[len("#SBATCH "):]:
            if escaped:
                option, escaped = option + c, False
            elif c == "\\":
                escaped = True
            elif quote:
                option, quote = (option, None) if c == quote else (option + c, quote)
            elif c in "'\"":
                quote = c
            elif c in " #":
                break
            else:
                option += c
        name, _, value = option.removeprefix("--").partition("=")
        assert name not in found, line
        found[name] = value
    return found


def settings(script, task=None):
    """The bash arrays `fp8cal` and `arguments` of a batch script, as lists, and other settings."""
    lines = script.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("fp8cal=("))
    last = next(i for i, line in enumerate(lines) if line.startswith(("retries=", "run_folder=")))
    while last + 1 < len(lines) and lines[last + 1].partition("=")[0].isidentifier():
        last += 1
    dump = """
printf '%s\\0' "${fp8cal[@]}" --- "${arguments[@]}" --- "$run_folder" "${launcher-}" \
  "${ranks_per_node-}" "${bind-}" "${retries-}" "${launcher_options[@]}"
"""
    done = subprocess.run(
        ["/bin/bash", "-euc", "\n".join(lines[first : last + 1]) + dump], capture_output=True,
        env=os.environ | ({"SLURM_ARRAY_TASK_ID": str(task)} if task is not None else {}))
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    words = [os.fsdecode(word) for word in done.stdout.split(b"\0")[:-1]]
    program = words[: words.index("---")]
    rest = words[words.index("---") + 1 :]
    arguments = rest[: rest.index("---")]
    others = rest[rest.index("---") + 1 :]
    return {"fp8cal": program, "arguments": arguments, "run_folder": others[0],
            "launcher": others[1], "ranks_per_node": others[2], "bind": others[3],
            "retries": others[4], "launcher_options": others[5:]}


def options_in(arguments):
    """{key: value} of the words after the job file."""
    assert len(arguments) % 2 == 0, arguments
    pairs = {key: value for key, value in zip(arguments[2::2], arguments[3::2])}
    assert len(pairs) == len(arguments) / 2 - 1, arguments  # each key once
    return pairs
