"""`fp8cal report` and `fp8cal show` of latency profiles, in a result and alone."""

import pathlib
import re
import shutil
import unittest

import h5py
import numpy as np

import harness
from audit_harness import audit
from report_harness import (CAUSES, CHARTS, HOSTILE, LATENCY_CHARTS, ReportTest, profile_passes,
                            rows_of, write_profile, write_profile_file)

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "result-file.md"


def documented_objects():
    """The paths below /profile in the document's table."""
    found = set()
    for row in re.findall(r"^\| `(/profile[^|]*) \|", DOCUMENT.read_text(), re.MULTILINE):
        first, *others = re.findall(r"[\w/]+", row)
        found |= {first} | {f"{first.rsplit('/', 1)[0]}/{name}" for name in others}
    return found


class ReportProfileTest(ReportTest):
    def setUp(self):
        super().setUp()
        self.profile = write_profile_file(self.folder / "profile.h5")

    def profiled(self, name="profiled.h5"):
        """The result with a profile: nothing is stamped, as the digest does not cover it."""
        path = pathlib.Path(shutil.copy(self.original, self.folder / name))
        with h5py.File(path, "r+") as file:
            write_profile(file)
        return path

    def show(self, file):
        done = harness.run(["show", file])
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_document_lists_what_there_is(self):
        with h5py.File(self.profile) as file:
            names = []
            file.visit(names.append)
            datasets = {"/" + name for name in names if isinstance(file[name], h5py.Dataset)}
        self.assertEqual(documented_objects() - {"/profile"}, datasets)

    def test_a_profile_alone(self):
        text, _ = self.report(self.profile, "--csv", self.folder / "csv")
        page = self.check_page(text)
        self.assertEqual(set(LATENCY_CHARTS) - set(page.ids), set())
        self.assertEqual(page.of("script"), [])
        self.assertIn("200.0 GiB", page.text())
        self.assertRegex(page.text(), r"faster from \d+ tokens on")
        self.assertRegex(self.show(self.profile), r"(?m)^131072 +2621 \(2884\) ")
        self.check_csv(self.folder / "csv")

    def check_csv(self, folder):
        self.assertEqual({path.stem for path in folder.iterdir()},
                         {"latency", "latency_causes", "latency_ceilings", "latency_checks",
                          "latency_totals", "latency_unfit"})
        passes = rows_of(folder / "latency.csv")
        names = ("phase", "variant", "kv", "sequences", "tokens", "median_s")
        self.assertEqual([tuple(row[name] for name in names) for row in passes],
                         [(*map(str, row[:5]), repr(row[5])) for row in profile_passes()])
        causes = rows_of(folder / "latency_causes.csv")
        self.assertEqual([row["cause"] for row in causes], CAUSES * len(passes))
        for row in causes:
            if row["cause"] == "products" and row["variant"] == "fp8-static":
                least = max(float(row["flop"]) / 1.4e15, float(row["bytes"]) / 4e12)
                self.assertAlmostEqual(float(row["share_of_ceiling"]), least / float(row["seconds"]))
        for row in rows_of(folder / "latency_totals.csv"):
            if row["variant"] == "fp8-static" and row["kv"] == "bf16":
                first = 0.02 - 0.4 * int(row["prompt"]) * 2e-5
                expected = first / (0.4 * 4e-3)
                if expected >= 1:
                    self.assertAlmostEqual(float(row["crosses_bf16_at"]), expected, 6)
                else:
                    self.assertEqual(row["crosses_bf16_at"], "")

    def test_a_profile_of_a_result(self):
        profiled = self.profiled()
        page = self.check_page(self.report(profiled, "--csv", self.folder / "csv")[0])
        self.assertEqual({*CHARTS, *LATENCY_CHARTS} - set(page.ids), set())
        self.assertEqual(len(rows_of(self.folder / "csv/latency.csv")), len(list(profile_passes())))
        self.assertIn("time per output token", self.show(profiled))
        self.assertNotIn("time per output token", self.show(self.original))
        both = self.check_page(self.report(self.original, profiled)[0])
        self.assertIn("Result A holds no latencies", both.text())
        self.assertIn("B: Time to first token", both.text())

    def test_audits_pass_over_it(self):
        profiled = self.profiled()
        for arguments in ([profiled, "--verify"], [self.original, profiled]):
            done = audit(*arguments)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_broken_one_is_told_of_where_it_is_needed(self):
        profiled = self.profiled()
        with h5py.File(profiled, "r+") as file:
            file["profile/passes/median_s"][3] = np.nan
        for command in (["show", profiled], ["report", profiled]):
            done = harness.run(command)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(f"{profiled}:/profile/passes/median_s", done.stderr)
            self.assertIn("found nan", done.stderr)
        done = audit(profiled, "--verify")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("1 finding", done.stdout)
        self.assertIn("/profile/passes/median_s", done.stdout)
        self.assertEqual(audit(self.original, profiled).returncode, 0)
        done = harness.run(["scales", profiled, "--policy", "mse", "--out", self.folder / "mse.h5"])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_profiles_stand_alone(self):
        other = pathlib.Path(shutil.copy(self.profile, self.folder / "other.h5"))
        page = self.check_page(self.report(self.profile, other)[0])
        self.assertIn("total-1-0", page.ids)
        for files in ([self.original, self.profile], [self.profile, self.original]):
            done = harness.run(["report", *files])
            self.assertEqual(done.returncode, 2)
            self.assertIn("a latency profile beside other files", done.stderr)
        done = harness.run(["scales", self.profile, "--policy", "mse", "--out", other])
        self.assertEqual(done.returncode, 2)
        self.assertIn("fp8cal-profile", done.stderr)

    def test_hostile_text_stays_text(self):
        with h5py.File(self.profile, "r+") as file:
            file["profile"].attrs["model"] = np.bytes_(HOSTILE)
            file["profile"].attrs["command_line"] = np.bytes_(b"\xff\x1b[31m")
        page = self.check_page(self.report(self.profile)[0])
        self.assertEqual(page.of("img"), [])
        self.assertIn(" ".join(HOSTILE.split()), page.text())
        self.assertNotIn("\x1b", self.show(self.profile))


if __name__ == "__main__":
    unittest.main()
