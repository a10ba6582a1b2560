"""What the tests of `fp8cal report` and `fp8cal show` share."""

import csv
import pathlib
import re
import shutil
import tempfile

import h5py
import numpy as np

import harness
from audit_harness import stamp
from page_parser import Page

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
COLUMNS = {"q k v": "self_attn.q_proj", "o": "self_attn.o_proj", "gate up": "mlp.gate_proj",
           "down": "mlp.down_proj", "K": "self_attn.k", "V": "self_attn.v"}
CHARTS = (["difference", "perplexity", "amax-0", "amax-legend", "outliers-0",
           "distribution-chosen", "keys-0", "values-0", "timeline-0"] +
          [f"{name}-{column}" for name in ("distribution-0", "convergence", "sqnr-input")
           for column in range(6)] + [f"sqnr-weight-{column}" for column in range(7)])
STUDY_CHARTS = ["settings"] + [f"{name}-{recipe}" for name in ("datasets", "samples", "variation")
                               for recipe in range(4)]


def timeline(ranks):
    stages = [("load", 0), ("calibrate", 2560), ("merge", 0), ("evaluate bf16", 640),
              ("evaluate fp8-static", 640)]
    return [f"{rank}\t{2 * i:.3f}\t{2 * i + 1.5 + 0.1 * (rank % 4):.3f}\t{tokens}\t{stage}"
            for rank in range(ranks) for i, (stage, tokens) in enumerate(stages)]


def strings(lines):
    return np.array([line.encode() for line in lines])


def set_timeline(file, lines):
    """Puts them in the place of the timeline of a result."""
    del file["provenance/timeline"]
    if lines:
        file["provenance/timeline"] = strings(lines)


def rows_of(path):
    """The rows of a CSV file, by the names of its columns."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class PageTest(harness.TempFolderTest):
    def report(self, *arguments, out="page.html"):
        """The page as text, and its path."""
        out = self.folder / out
        done = harness.run(["report", *arguments, "-o", out])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, f"report {out}\n")
        return out.read_text(encoding="utf-8"), out

    def check_page(self, text):
        """Well-formed, of itself alone, with a text alternative for every picture."""
        page = Page(text)
        self.assertIsNone(re.search(r"https?://|@import|url\((?!#)", text))
        for tag, attributes, _ in page.elements:
            self.assertFalse({"src", "href", "onload", "onerror", "srcset"} & set(attributes), tag)
            for name in attributes.get("aria-labelledby", "").split():
                self.assertIn(name, page.ids)
        pictures = [one for one in page.of("svg") if "aria-hidden" not in one]
        self.assertTrue(all(one["role"] == "img" for one in pictures))
        self.assertEqual(len(page.of("title")), len(pictures) + 1)
        self.assertEqual(len(page.of("desc")), len(pictures))
        self.assertLessEqual(len(page.of("script")), 2)
        return page


class ReportTest(PageTest):
    """Tests on the result of one small job."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.results = pathlib.Path(tempfile.mkdtemp(prefix="fp8cal-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.results, ignore_errors=True)
        cls.original = cls.results / "original.h5"
        keys = harness.small_job(cls.original, calibration__samples=70,
                                 scales__recipe="fp8-static,fp8-dynamic", scales__kv="none,e4m3")
        done = harness.run(["run", *harness.options_of(keys)])
        assert done.returncode == 0, done.stderr

    def edited(self, edit, name="edited.h5"):
        """A copy of the result after edit(file), with a digest that fits."""
        path = pathlib.Path(shutil.copy(self.original, self.folder / name))
        with h5py.File(path, "r+") as file:
            edit(file)
            stamp(file)
        return path


def write_study(folder):
    """The study file of a small study: 2 datasets x 2 seeds x 2 numbers of samples x 2 policies."""
    text = (harness.DEMO / "calibration.txt").read_text()
    for name, part in (("plain.txt", text[: len(text) // 2]), ("other.txt", text[len(text) // 2 :])):
        (folder / name).write_text(part)
    study = folder / "study.json"
    job = folder / "study.ini"
    job.write_text(f"""[model]
path = {harness.NANO}
[calibration]
dataset = plain.txt, other.txt
samples = 2, 8
sequence_length = 16
seed = 1, 2
[scales]
recipe = fp8-static, fp8-dynamic
kv = none, e4m3
policy = amax, mse
[evaluation]
dataset = {harness.DEMO / "evaluation.txt"}
sequence_length = 64
windows = 3
[runtime]
progress = none
[output]
result = {study}
""")
    done = harness.run(["study", job, "--csv", folder / "study-csv"])
    assert done.returncode == 0, done.stderr
    return study, done.stdout
