"""What the tests of `fp8cal audit` share."""

import json
import pathlib
import shutil
import tempfile

import numpy as np

import harness
from harness import ALONE
from content_digest import content_digest


def audit(*arguments):
    return harness.run(["audit", *arguments], env=ALONE)


def stamp(file):
    file.attrs["content_digest"] = np.bytes_(content_digest(file))


class AuditTest(harness.TempFolderTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.results = pathlib.Path(tempfile.mkdtemp(prefix="fp8cal-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.results, ignore_errors=True)
        cls.original = cls.make("original")

    @classmethod
    def make(cls, name, ranks=1, **changes):
        result = cls.results / f"{name}.h5"
        if not result.exists():
            keys = harness.small_job(result, **changes)
            done = harness.run(["run", *harness.options_of(keys)], ranks)
            assert done.returncode == 0, done.stderr
        return result

    @classmethod
    def make_fp8(cls):
        """The result of an FP8 checkpoint that is evaluated as it is."""
        model = cls.results / "checkpoint"
        if not model.exists():
            done = harness.run(["export", cls.original, "--model", harness.NANO, "--out", model])
            assert done.returncode == 0, done.stderr
        return cls.make("fp8", model__path=model)

    def copy(self, name="copy.h5"):
        return pathlib.Path(shutil.copy(self.original, self.folder / name))

    def expect(self, code, *arguments):
        """Exit status `code`, and the same told as text and as JSON. Returns both."""
        done = audit(*arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        as_json = audit(*arguments, "--json")
        self.assertEqual(as_json.returncode, code, as_json.stderr)
        said = [line for line in done.stderr.splitlines() if line.startswith("fp8cal: ")]
        self.assertEqual(len(said), int(code != 0), done.stderr)
        return done.stdout, json.loads(as_json.stdout)
