"""Checks docs/result-file.md against the result file named by FP8CAL_RESULT."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py

from content_digest import content_digest

RESULT = pathlib.Path(os.environ["FP8CAL_RESULT"])
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "result-file.md"


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
