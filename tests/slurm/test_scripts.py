"""Every shell script of the project pleases shellcheck. (The rendered ones: e2e.submit.)"""

import pathlib
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # the exit status that CTest takes for a skipped test


class ScriptTest(unittest.TestCase):
    def test_all(self):
        scripts = [SOURCE / ".ci" / "run"]
        for folder in ("scripts", "slurm", "tests"):
            scripts += sorted((SOURCE / folder).rglob("*.sh"))
        self.assertGreater(len(scripts), 7)
        done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    if shutil.which("shellcheck") is None:
        print("skipped: shellcheck is not installed")
        sys.exit(SKIPPED)
    unittest.main()
