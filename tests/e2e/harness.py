"""What the end-to-end tests share: running the program, and where test data lies."""

import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np

PROGRAM = os.environ["FP8CAL_PROGRAM"]
SOURCE = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ["FP8CAL_DATA"])
DEMO = SOURCE / "jobs" / "demo"
NANO = DEMO / "nano-llama"
RECIPES = ("fp8-static", "fp8-channel", "fp8-dynamic", "fp8-weight-only")
SKIPPED = 77  # the exit status that CTest takes for a skipped test
# One process needs no network; looking for one takes Open MPI longer than an audit takes.
ALONE = os.environ | {"OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self"}


def require_data():
    """Ends the test as skipped where the test data is absent, as failed where it must be there."""
    if DATA.is_dir():
        return
    if os.environ.get("FP8CAL_REQUIRE_DATA") == "1":
        sys.exit(f"failed: FP8CAL_REQUIRE_DATA=1 and there is no test data at {DATA}")
    print(f"skipped: no test data at {DATA}")
    sys.exit(SKIPPED)


def options_of(keys):
    return [word for key, value in keys.items() for word in ("--" + key, str(value))]


def command_line(arguments, ranks=1):
    """`fp8cal ARGUMENTS`, under mpirun where ranks > 1."""
    command = [PROGRAM, *map(str, arguments)]
    if ranks > 1:
        command = ["mpirun", "-q", "--oversubscribe", "-n", str(ranks), *command]
        if os.geteuid() == 0:
            command.insert(1, "--allow-run-as-root")
    return command


def run(arguments, ranks=1, timeout=120, **keywords):
    """Runs `fp8cal ARGUMENTS`, under mpirun where ranks > 1. Returns the finished process."""
    return subprocess.run(
        command_line(arguments, ranks), capture_output=True, text=True, timeout=timeout,
        stdin=subprocess.DEVNULL, **keywords,
    )


def small_job(result, **changes):
    """Keys of a job on the bundled model that takes well under a second of arithmetic."""
    keys = {
        "model.path": NANO,
        "calibration.dataset": DEMO / "calibration.txt",
        "calibration.samples": 8,
        "calibration.sequence_length": 64,
        "evaluation.dataset": DEMO / "evaluation.txt",
        "evaluation.sequence_length": 128,
        "evaluation.windows": 5,
        "runtime.progress": "none",
        "output.result": result,
    }
    keys.update({key.replace("__", "."): value for key, value in changes.items()})
    return keys


def read_tensors(file):
    """A safetensors file as {name: (dtype, shape, bytes)}."""
    blob = pathlib.Path(file).read_bytes()
    (size,) = struct.unpack("<Q", blob[:8])
    header = json.loads(blob[8 : 8 + size])
    data = blob[8 + size :]
    return {
        name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def write_tensors(file, tensors):
    header, data = {}, b""
    for name, (dtype, shape, blob) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [len(data), len(data) + len(blob)],
        }
        data += blob
    text = json.dumps(header).encode()
    pathlib.Path(file).write_bytes(struct.pack("<Q", len(text)) + text + data)


def change_tensors(file, changes):
    """Rewrites a safetensors file; changes: {name: (dtype, shape, bytes), or None to drop it}."""
    tensors = read_tensors(file) | changes
    write_tensors(file, {name: tensor for name, tensor in tensors.items() if tensor is not None})


def split_into_shards(model, count):
    """Replaces a folder's model.safetensors by `count` shards and their index."""
    tensors = read_tensors(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    weight_map = {}
    for number in range(1, count + 1):
        shard = f"model-{number:05}-of-{count:05}.safetensors"
        names = sorted(tensors)[number - 1 :: count]
        write_tensors(model / shard, {name: tensors[name] for name in names})
        weight_map |= dict.fromkeys(names, shard)
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def bf16_to_float(blob, shape):
    bits = np.frombuffer(blob, "<u2").astype(np.uint32) << 16
    return bits.view(np.float32).reshape(shape)


def float_to_bf16(values):
    """Exact: the values must be BF16 numbers."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    assert not np.any(bits & 0xFFFF), "not a BF16 number"
    return (bits >> 16).astype("<u2").tobytes()


class TempFolderTest(unittest.TestCase):
    """A test with an empty folder of its own."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fp8cal-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def copy_of_nano(self):
        folder = self.folder / "model"
        shutil.copytree(NANO, folder)
        return folder

    def succeed(self, keys, ranks=1, timeout=120):
        done = run(["run", *options_of(keys)], ranks, timeout)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done


class RefusalTest(TempFolderTest):
    """Runs that must end soon, with one line that says why and with no result."""

    SECONDS = 10  # from the start: these jobs fail before they do much work
    LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d [\d:]{8} (info|warning): ")

    def setUp(self):
        super().setUp()
        self.output = self.folder / "output"
        self.output.mkdir()
        self.result = self.output / "result.h5"

    def job(self, **changes):
        """Options of small_job() with `changes` (section__key); a key with None is left out."""
        keys = small_job(self.result, **changes)
        return options_of({key: value for key, value in keys.items() if value is not None})

    def refuse(self, arguments, texts, code=2, ranks=(1, 2), **keywords):
        """On each number of ranks: exit status `code`, one line that holds all `texts`, no file."""
        for count in ranks:
            with self.subTest(arguments=[str(word) for word in arguments], ranks=count):
                self.refuse_once(arguments, texts, code, count, **keywords)

    def refuse_once(self, arguments, texts, code, ranks, **keywords):
        before = sorted(self.output.iterdir())
        begin = time.monotonic()
        done = run(arguments, ranks, **keywords)
        seconds = time.monotonic() - begin
        said = [line for line in done.stderr.splitlines() if line.startswith("fp8cal: ")]
        self.assertEqual(len(said), 1, done.stderr)
        for text in texts:
            self.assertIn(text, said[0])
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(sorted(self.output.iterdir()), before)
        self.assertLess(seconds, self.SECONDS)
        if ranks == 1:  # mpirun may add lines of its own
            for line in done.stderr.splitlines():
                if line != said[0]:
                    self.assertRegex(line, self.LOG_LINE)
