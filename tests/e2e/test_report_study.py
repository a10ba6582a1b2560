"""`fp8cal report` and `fp8cal show` of a study: its tables as a page and as text."""

import json
import pathlib
import re
import shutil
import tempfile
import unittest

import harness
from page_parser import Page
from report_harness import HOSTILE, STUDY_CHARTS, PageTest, rows_of, write_study

RECIPES = ["fp8-static", "fp8-static-kv-e4m3", "fp8-dynamic", "fp8-dynamic-kv-e4m3"]


class StudyReportTest(PageTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="fp8cal-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        cls.study, cls.said = write_study(cls.shared)
        cls.record = json.loads(cls.study.read_text())

    def written(self, record, name="study.json"):
        """A study file in the test's own folder."""
        path = self.folder / name
        path.write_text(record if isinstance(record, str) else json.dumps(record))
        return path

    def copy(self):
        return json.loads(self.study.read_text())

    def refuse(self, files, *texts, command=("report", "-o", "page.html")):
        options = [str(self.folder / one) if one == "page.html" else one for one in command]
        done = harness.run([options[0], *files, *options[1:]])
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)
        self.assertFalse((self.folder / "page.html").exists())

    def test_every_chart_is_there(self):
        page = self.check_page(self.report(self.study)[0])
        self.assertEqual(set(STUDY_CHARTS) - set(page.ids), set())
        self.assertEqual([one["id"] for one in page.of("section")],
                         ["verdict", "datasets-part", "samples-part", "settings-part",
                          "variation-part", "results-part"])
        self.assertEqual(page.of("script"), [])
        text = page.text()
        for table in self.record["tables"]:
            for note in table["notes"]:
                self.assertIn(note, text)
        for one in self.record["results"]:
            self.assertIn(one["content_digest"], text)
            self.assertIn(one["file"], text)

    def test_verdict_comes_first(self):
        text = Page(self.report(self.study)[0]).text()
        best = min(self.record["tables"][2]["rows"], key=lambda row: abs(row["difference"]))
        said = re.search(r"Smallest difference: ([\w-]+), (any policy|policy [\w ]+)\. Perplexity "
                         r"changes by (\S+) \(95 % interval (\S+) to ([-+.\d]+)(; it reaches '.*?')?\) "
                         r"from (\S+) in BF16: "
                         r"(.*?)\. ", text)
        self.assertEqual(said[1], best["keys"][0])
        self.assertEqual(said[3], f"{best['difference']:+.3f}")
        self.assertEqual(said[4], f"{best['interval']['low']:+.3f}")
        self.assertEqual(said[5], f"{best['interval']['high']:+.3f}")
        self.assertIn(best["verdict"], text[said.start():])
        verdict = text[:text.index("Calibration datasets")]
        for recipe in RECIPES:
            self.assertIn(recipe, verdict)
        self.assertIn(" Reportable ", verdict)
        far = max(map(abs, (best["interval"]["low"], best["interval"]["high"])))
        self.assertEqual(best["verdict"], "within run-to-run variation")
        self.assertEqual(said[6] is not None, far >= 0.05)
        if "dynamic" in said[1] and "kv" not in said[1]:  # has no static scales
            self.assertEqual(said[2], "any policy")

    def test_lines_and_whiskers_are_the_numbers(self):
        """The whiskers of the samples are the changes, held against the last point."""
        page = self.report(self.study)[0]
        rows = [row for row in self.record["tables"][1]["rows"] if row["keys"][0] == RECIPES[0]]
        chart = page[page.index('<svg id="samples-0"'):]
        chart = chart[:chart.index("</svg>")]
        ticks = {float(text): float(y) - 3.5 for y, text in re.findall(
            r'<text x="40" y="([\d.]+)" class="tick end">([-\d.]+)<', chart)}
        (low, low_y), (high, high_y) = min(ticks.items()), max(ticks.items())
        value = lambda y: low + (float(y) - low_y) / (high_y - low_y) * (high - low)
        points = re.search(r'<path d="M([^"]*)" class="l s0"', chart)[1].split(" L")
        whiskers = re.findall(r'<line x1="([\d.]+)" y1="([\d.]+)" x2="\1" y2="([\d.]+)" '
                              r'class="whisker"', chart)
        self.assertEqual((len(points), len(whiskers)), (len(rows), len(rows)))
        tolerance = 0.2 * (high - low) / abs(high_y - low_y)  # a tenth of a unit, twice
        for row, point, (_, bottom, top) in zip(rows, points, whiskers):
            self.assertAlmostEqual(value(point.split(",")[1]), row["difference"], delta=tolerance)
            last = rows[-1]["difference"]
            change = row["change_interval"]
            self.assertAlmostEqual(value(bottom), last - change["high"], delta=tolerance)
            self.assertAlmostEqual(value(top), last - change["low"], delta=tolerance)

    def test_csv_is_that_of_the_study(self):
        self.report(self.study, "--csv", self.folder / "csv")
        written = {path.name: path.read_bytes() for path in (self.folder / "csv").iterdir()}
        expected = {path.name: path.read_bytes() for path in (self.shared / "study-csv").iterdir()}
        self.assertEqual(written, expected)
        for table in self.record["tables"]:
            for row, stored in zip(rows_of(self.folder / f"csv/{table['name']}.csv"),
                                   table["rows"], strict=True):
                self.assertEqual([row[key] for key in table["keys"]], stored["keys"])
                for name in ("difference", "least", "most", "deviation"):
                    self.assertEqual(float(row[name]), stored[name])
                self.assertEqual(float(row["difference_low"]), stored["interval"]["low"])

    def test_show_prints_what_study_prints(self):
        done = harness.run(["show", self.study])
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, self.said)

    def test_hostile_names_stay_text(self):
        record = self.copy()
        record["protocol"]["model"] = record["protocol"]["evaluation_dataset"] = HOSTILE
        for result in record["results"]:
            result |= {"dataset": HOSTILE, "policy": HOSTILE, "file": HOSTILE, "reportable": False,
                       "objection": HOSTILE}
            for number, recipe in enumerate(result["recipes"]):
                recipe["recipe"] = f"{number}{HOSTILE}"
        for table in record["tables"]:
            table["title"], table["notes"] = HOSTILE, [HOSTILE, "\x1b[31m"]
            for row in table["rows"]:
                row["keys"][0] += HOSTILE
                if table["name"] != "samples":
                    row["keys"][1] += HOSTILE * 20
        path = self.written(record, "<img src=x>.json")
        page = self.check_page(self.report(path, "--csv", self.folder / "csv")[0])
        self.assertEqual(page.of("img") + page.of("script"), [])
        self.assertIn(HOSTILE, page.text())
        self.assertIn("16 of 16 results: " + HOSTILE, page.text())
        self.assertIn("Not reportable", page.text())
        done = harness.run(["show", path])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        self.assertIn(HOSTILE, done.stdout)

    def test_the_least_and_the_largest_figures(self):
        """One result of one window; figures as far apart as are read."""
        record = self.copy()
        record["results"] = record["results"][:1]
        for table in record["tables"]:
            table["rows"], table["notes"] = table["rows"][:1], []
            table["rows"][0] |= {"results": 1, "interval": None}
            if "change" in table["rows"][0]:
                table["rows"][0]["change_interval"] = None
        page = self.check_page(self.report(self.written(record))[0])
        for sentence in ("without a confidence interval", "too few evaluation windows",
                         "This study has one seed", "one number of calibration sequences"):
            self.assertIn(sentence, page.text())
        for size in (1e12, -1e12, 1e-300, 0):
            for table in record["tables"]:
                table["rows"][0] |= {"difference": size, "least": -1e12, "most": 1e12,
                                     "deviation": abs(size), "results": 2,
                                     "interval": {"low": -1e12, "high": 1e12}}
            record["tables"][1]["rows"][0]["change_interval"] = {"low": -1e12, "high": 1e12}
            text = self.report(self.written(record))[0]
            self.check_page(text)
            self.assertIsNone(re.search(r"\b(nan|inf)\b", text))

    def test_what_is_refused(self):
        result = self.shared / self.record["results"][0]["file"]
        for files in ([self.study, result], [result, self.study], [self.study, self.study]):
            self.refuse(files, "a study beside other files", "study.json")
        broken = self.study.read_text()
        wrong = self.copy() | {"version": 2}
        for text, said in ((broken[: len(broken) // 2], "cut.json"), ("", "cut.json"),
                           ("nonsense", "cut.json"), ("[]", "object"), ("\x89HDF", "cut.json"),
                           ("{}", "format"), (wrong, "version"), ("[" * 1000, "cut.json")):
            path = self.written(text, "cut.json")
            self.refuse([path], said)
            self.refuse([path], said, command=("show",))
        other = self.copy()
        other["results"][3]["content_digest"] = "none"
        self.refuse([self.written(other)], "content_digest", "64 hexadecimal digits")
        self.refuse([self.study], "--csv",
                    command=("report", "-o", "page.html", "--csv", str(self.study)))
        done = harness.run(["report", self.study, "-o", self.study])
        self.assertEqual(done.returncode, 2)
        self.assertEqual(json.loads(self.study.read_text()), self.record)

    def test_the_page_stands_beside_the_study(self):
        done = harness.run(["report", self.written(self.record, "some.json")])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "some.report.html").exists())


if __name__ == "__main__":
    unittest.main()
