"""Checks docs/result-file.md against the result file named by FP8CAL_RESULT."""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

RESULT = pathlib.Path(os.environ["FP8CAL_RESULT"])
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "result-file.md"


def number(value):
    return int(value).to_bytes(8, "little")


def text(value):
    return number(len(value)) + value


def array(dtype, shape, values):
    """The serialisation of a dataset or attribute; values is what h5py read."""
    if dtype.kind == "S":
        name = b"str"
        strings = np.asarray(values, dtype=dtype).ravel().tolist()
        elements = b"".join(text(string) for string in strings)
    else:
        name = {"i": b"i", "u": b"u", "f": b"f"}[dtype.kind] + b"%d" % (8 * dtype.itemsize)
        elements = np.asarray(values, dtype=dtype.newbyteorder("<")).tobytes()
    return text(name) + number(len(shape)) + b"".join(map(number, shape)) + elements


def objects(group, prefix="/"):
    """All paths below a group with their objects, hard links under every name."""
    for name in group:
        path = prefix + name
        if path in ("/provenance", "/profile"):
            continue
        item = group[name]
        yield path, item
        if isinstance(item, h5py.Group):
            yield from objects(item, path + "/")


def attributes(path, item):
    names = [name for name in item.attrs if (path, name) != ("/", "content_digest")]
    yield number(len(names))
    for name in sorted(names, key=str.encode):
        attribute = item.attrs.get_id(name)
        yield text(name.encode())
        yield array(attribute.dtype, attribute.shape, item.attrs[name])


def content_digest(file):
    digest = hashlib.sha256(text(b"fp8cal content digest 1"))
    everything = [("/", file), *objects(file)]
    for path, item in sorted(everything, key=lambda entry: entry[0].encode()):
        is_dataset = isinstance(item, h5py.Dataset)
        digest.update(b"D" if is_dataset else b"G")
        digest.update(text(path.encode()))
        if is_dataset:
            digest.update(array(item.dtype, item.shape, item[()]))
        for piece in attributes(path, item):
            digest.update(piece)
    return digest.hexdigest()


class ResultFileDocument(unittest.TestCase):
    def snippet(self):
        blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
        self.assertEqual(len(blocks), 1)
        return blocks[0]

    def run_snippet(self, result):
        return subprocess.run(
            [sys.executable, "-c", self.snippet(), str(result)],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_snippet_recomputes_scale_and_perplexity(self):
        run = self.run_snippet(RESULT)
        self.assertEqual(run.returncode, 0, run.stderr)
        lines = run.stdout.splitlines()
        self.assertEqual(len(lines), 2, run.stdout)
        for line in lines:
            recomputed, stored = line.split()[-2:]
            self.assertEqual(recomputed, stored)

    def test_digest_follows_the_document(self):
        with h5py.File(RESULT, "r") as file:
            self.assertEqual(content_digest(file), file.attrs["content_digest"].decode())

    def test_a_changed_value_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            changed = pathlib.Path(folder) / "changed.h5"
            shutil.copy(RESULT, changed)
            with h5py.File(changed, "r+") as file:
                file["perplexity/bf16/nll"][0, 0] += 1
                self.assertNotEqual(content_digest(file), file.attrs["content_digest"].decode())
            self.assertNotEqual(self.run_snippet(changed).returncode, 0)


if __name__ == "__main__":
    unittest.main()
