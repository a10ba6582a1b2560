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

LATENCY_CHARTS = (["causes-prefill-0", "causes-decode-0"] +
                  [f"first-token-0-{kv}" for kv in range(2)] +
                  [f"output-token-0-{panel}" for panel in range(4)] +
                  [f"total-0-{panel}" for panel in range(4)])
CAUSES = ["products", "attention", "scaling", "norms", "collectives", "gaps"]


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


def profile_passes():
    """(phase, variant, kv, sequences, tokens, seconds) of three variants, made up."""
    speeds = {"bf16": 1.0, "fp8-static": 0.6, "fp8-weight-only": 0.8}
    for kv in ("bf16", "e4m3"):
        for variant, speed in speeds.items():
            for tokens in (128, 1024, 8192, 131072):
                late = 0.02 if variant == "fp8-static" else 0
                yield "prefill", variant, kv, 1, tokens, late + speed * tokens * 2e-5
            for sequences in (1, 32):
                for tokens in (1024, 8192):
                    yield ("decode", variant, kv, sequences, tokens,
                           speed * 4e-3 + sequences * tokens * (2e-8 if kv == "bf16" else 1e-8))


def write_profile(root):
    """Puts a latency profile into an open file, as docs/result-file.md says."""
    def column(group, name, values, kind, units=None):
        group[name] = np.array(values, kind) if kind != "S" else strings(values)
        if units:
            group[name].attrs["units"] = np.bytes_(units)

    def keys(group, rows):
        for index, name in enumerate(("phase", "variant", "kv")):
            column(group, name, [row[index] for row in rows], "S")
        for index, name in ((3, "sequences"), (4, "tokens")):
            column(group, name, [row[index] for row in rows], "<u8", name)

    profile = root.create_group("profile")
    for name, value in (("version", "0.1.0"), ("time", "2026-01-02T03:04:05Z"), ("scales", ""),
                        ("command_line", "fp8cal profile job.ini"), ("backend", "cuda"),
                        ("model", "/models/Llama-3.1-8B")):
        profile.attrs[name] = np.bytes_(value)
    for name in ("native_fp8", "planned_bytes", "peak_bytes"):
        profile.attrs[name] = np.int64(1)
    for name, value in (("bytes_per_s", 4e12), ("bf16_flop_per_s", 7e14),
                        ("fp8_flop_per_s", 1.4e15), ("gather_bytes_per_s", 0)):
        profile.attrs[name] = np.float64(value)
    profile["places"] = strings(["node1 gpu 0"])
    passes = list(profile_passes())
    group = profile.create_group("passes")
    keys(group, passes)
    seconds = np.array([row[5] for row in passes])
    column(group, "median_s", seconds, "<f8", "s")
    column(group, "p95_s", 1.1 * seconds, "<f8", "s")
    column(group, "runs", [20] * len(passes), "<u8", "runs")
    group = profile.create_group("causes")
    group["names"] = strings(CAUSES)
    shares = np.array([0.5, 0.2, 0.1, 0.1, 0, 0.1])
    column(group, "calls", np.full((len(passes), 6), 7), "<u8", "calls")
    column(group, "seconds", seconds[:, None] * shares, "<f8", "s")
    column(group, "flop", seconds[:, None] * shares * 1e14, "<f8", "flop")
    column(group, "bytes", seconds[:, None] * shares * 1e12, "<f8", "bytes")
    group = profile.create_group("unfit")
    keys(group, [("decode", "bf16", "bf16", 32, 131072)])
    column(group, "needed_bytes", [200 << 30], "<u8", "bytes")
    column(group, "budget_bytes", [100 << 30], "<u8", "bytes")
    group = profile.create_group("checks")
    column(group, "variant", ["fp8-static"], "S")
    column(group, "kv", ["e4m3"], "S")
    column(group, "tokens", [512], "<u8", "tokens")
    column(group, "mean_difference", [1e-5], "<f8", "nats")
    column(group, "most_difference", [0.01], "<f8", "nats")
    column(group, "same_bits", [0], "u1")


def write_profile_file(path):
    with h5py.File(path, "w") as file:
        file.attrs["format"] = np.bytes_("fp8cal-profile")
        file.attrs["format_version"] = np.int64(1)
        write_profile(file)
    return path


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
