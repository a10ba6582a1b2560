"""`fp8cal report` and `fp8cal show`: pages, their numbers, and what is not there."""

import os
import re
import shutil
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness
from large_result import LAYERS, write_large_result
from page_parser import Page
from report_harness import (CHARTS, COLUMNS, HOSTILE, ReportTest, rows_of, set_timeline, strings,
                            timeline)

# What tidy of 2021 does not know: SVG's title may have an id, and list items a current one.
UNKNOWN_TO_TIDY = re.compile(r'<title> proprietary attribute "id"|attribute "aria-current"')


def luminance(colour):
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class PageTest(ReportTest):
    def test_every_chart_is_there(self):
        page = self.check_page(self.report(self.original)[0])
        self.assertEqual(set(CHARTS) - set(page.ids), set())
        older = self.edited(lambda file: set_timeline(file, []))
        self.assertIn("This result has no timeline.", Page(self.report(older)[0]).text())

    def test_an_html_checker_agrees(self):
        if shutil.which("tidy") is None:
            self.assertNotEqual(os.environ.get("FP8CAL_REQUIRE_BROWSER"), "1", "no tidy")
            self.skipTest("no tidy (apt-get install tidy)")
        done = subprocess.run(["tidy", "-q", "-e", self.report(self.original)[1]],
                              capture_output=True, text=True)
        said = [line for line in done.stderr.splitlines() if not UNKNOWN_TO_TIDY.search(line)]
        self.assertEqual(said, [])

    def test_verdict_comes_first(self):
        page = Page(self.report(self.original)[0])
        with h5py.File(self.original) as file:
            attributes = dict(file["perplexity/fp8-static"].attrs)
        text = page.text()
        for figure in ("difference", "difference_low", "difference_high"):
            self.assertIn(f"{attributes['ppl_' + figure]:+.4f}", text)
        self.assertLess(text.index("Verdict:"), text.index("95 % interval"))
        sections = [one["id"] for one in page.of("section")]
        self.assertEqual(sections[0], "verdict")
        self.assertEqual(sections[-1], "provenance-part")

    def test_warnings_stand_beside_the_verdict(self):
        def edit(file):
            file["provenance"].attrs["warnings"] = strings(["fewer than 32 samples are unstable"])
            file["provenance"].attrs["weights_streamed"] = np.bytes_("yes")
            length = file["job/evaluation_tokens"].shape[1]
            file["job/calibration_tokens"][:2] = (
                file["job/evaluation_tokens"][0].reshape(2, length // 2))
        text = Page(self.report(self.edited(edit))[0]).text()
        for words in ("Not reportable", "evaluation tokens lie in 32-grams", "fewer than 32 samples",
                      "streamed"):
            self.assertLess(text.index(words), text.index("What FP8 costs on the evaluation text"))
        self.assertIn(" Reportable ", Page(self.report(self.original)[0]).text())

    def test_timeline(self):
        def edit(file):
            lines = timeline(20) + ["0\t1\t", "x\t0\t1\t2\tnever", "0\t5\t4\t0\tbackwards"]
            set_timeline(file, lines)
        text, _ = self.report(self.edited(edit), "--csv", self.folder / "csv")
        page = self.check_page(text)
        self.assertIn("timeline-0", page.ids)
        self.assertIn("Drawn are 16 of 20 ranks", page.text())
        self.assertNotIn("backwards", page.text())
        rows = rows_of(self.folder / "csv/throughput.csv")
        self.assertEqual(len(rows), 100)
        computed = next(row for row in rows if (row["rank"], row["stage"]) == ("3", "calibrate"))
        self.assertAlmostEqual(float(computed["tokens_per_second"]), 2560 / 1.8)

    def test_hostile_names_stay_text(self):
        def edit(file):
            for name in ("model_path", "calibration_dataset", "version", "started"):
                file["provenance"].attrs[name] = np.bytes_(HOSTILE)
            file["provenance"].attrs["mpi"] = np.bytes_(b"\xff\x1b[31m")
            file["provenance"].attrs["warnings"] = strings([HOSTILE])
            set_timeline(file, ["0\t0\t1\t9\t<b onclick=x>"])
            file["job"].attrs["scales.recipe"] = strings(["</script><script>", "fp8-static"])
        name = "<img src=x onerror=y>&.h5"
        hostile = self.edited(edit, name)
        text, _ = self.report(hostile, self.original, "--csv", self.folder / "csv")
        page = self.check_page(text)
        self.assertEqual(page.of("img"), [])
        self.assertEqual([one for one in page.of("b")], [])
        for words in (HOSTILE, name, "<b onclick=x>"):
            self.assertIn(" ".join(words.split()), page.text())
        done = harness.run(["show", hostile])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\x1b", done.stdout)

    def test_missing_parts(self):
        def without_comparison(file):
            for variant in file["perplexity"].values():
                for name in ("kl", "same_top"):
                    if name in variant:
                        del variant[name]
                for name in ("mean_kl", "top1_agreement", "ppl_difference", "ppl_difference_low",
                             "ppl_difference_high"):
                    if name in variant.attrs:
                        del variant.attrs[name]

        def without(*parts):
            def edit(file):
                for part in parts:
                    del file[part]
            return edit

        cases = [
            (without_comparison, "without a confidence interval"),
            (without("diagnostics"), "This result holds no diagnostics"),
            (without("perplexity"), "This result holds no perplexity of a recipe."),
            (without("perplexity/bf16"), "not compared with BF16"),
            (without("perplexity/fp8-static", "scales/fp8-static", "diagnostics/fp8-static"),
             "fp8-dynamic"),
            (without("scales"), "no recipe has a static scale for it"),
            (without("scales", "diagnostics", "perplexity", "weights"), "holds no perplexity"),
            (without("scales", "diagnostics", "activations"),
             "This result holds no distributions of activations."),
            (without("scales", "diagnostics", "activations", "weights", "perplexity"),
             "This result holds no keys and values."),
        ]
        for edit, sentence in cases:
            with self.subTest(sentence=sentence):
                result = self.edited(edit)
                page = self.check_page(self.report(result)[0])
                self.assertIn(sentence, page.text())
                self.assertIsNone(re.search(r"\b(nan|inf)\b", page.text()))
                done = harness.run(["show", result])
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_fp8_checkpoint_has_no_calibration(self):
        model, result = self.folder / "fp8", self.folder / "fp8.h5"
        done = harness.run(["export", self.original, "--model", harness.NANO, "--out", model])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.succeed(harness.small_job(result, model__path=model))
        page = self.check_page(self.report(result)[0])
        self.assertIn("not compared with BF16", page.text())
        self.assertIn("This result holds no perplexity in BF16", page.text())

    def test_several_results_are_compared(self):
        other = self.folder / "mse.h5"
        done = harness.run(["scales", self.original, "--policy", "mse", "--out", other])
        self.assertEqual(done.returncode, 0, done.stderr)
        page = self.check_page(
            self.report(self.original, other, "--csv", self.folder / "csv")[0])
        sections = [one["id"] for one in page.of("section")]
        self.assertEqual(sections[:2], ["verdict", "comparison-part"])
        for name in ("amax-0", "amax-1", "distribution-0-3", "distribution-1-3"):
            self.assertIn(name, page.ids)
        rows = rows_of(self.folder / "csv/differences.csv")
        self.assertIn({"what": "scales.policy", "A": "amax", "B": "mse"}, rows)
        self.assertNotIn("calibration.seed", [row["what"] for row in rows])
        same = self.check_page(self.report(self.original, self.original)[0])
        self.assertIn("the same content digest, equal to the bit", same.text())

    def test_text_can_be_read(self):
        """Contrast of at least 4.5 wherever text stands, in both themes."""
        style = self.report(self.original)[0]
        style = style[style.index("<style>"):style.index("</style>")]
        themes = re.findall(r":root \{([^}]*)\}", style)
        self.assertEqual(len(themes), 2)
        for theme in themes:
            colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
            pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("ground", "card")]
            for ink, ground in [*pairs, ("on-accent", "accent")]:
                self.assertGreaterEqual(contrast(colours[ink], colours[ground]), 4.5, (ink, ground))
            for line in ("accent", "line"):  # of charts
                self.assertGreaterEqual(contrast(colours[line], colours["ground"]), 3, line)
        shades = [colour for _, colour in sorted(re.findall(r"\.h(\d) \{ fill: (#\w{6})", style))]
        light, dark = (re.search(rf"svg \.{name} \{{ fill: (#\w{{6}})", style)[1]
                       for name in ("light", "dark"))
        self.assertEqual(len(shades), 9)
        self.assertEqual(shades, sorted(shades, key=luminance, reverse=True))
        for index, shade in enumerate(shades):
            text = light if index >= 5 else dark
            self.assertGreaterEqual(contrast(text, shade), 4.5, f"shade {index}")


class CsvTest(ReportTest):
    def tables(self):
        self.report(self.original, "--csv", self.folder / "csv")
        tables = {path.stem: rows_of(path) for path in (self.folder / "csv").iterdir()}
        for rows in tables.values():
            self.assertTrue(all(row["result"] == str(self.original) for row in rows))
        return tables

    def test_numbers_are_those_of_the_file(self):
        tables = self.tables()
        with h5py.File(self.original) as file:
            self.check_perplexity(tables["perplexity"], file)
            self.check_amax(tables["amax"], file)
            self.check_distributions(tables["distribution"], tables["scales"], file)
            self.check_sqnr(tables["sqnr"], file)
            self.check_kv(tables["kv"], file)
            self.check_convergence(tables["convergence"], file)
            self.check_outliers(tables["outliers"], file)

    def check_perplexity(self, rows, file):
        self.assertEqual({row["variant"] for row in rows}, set(file["perplexity"]))
        for row in rows:
            stored = file["perplexity"][row["variant"]].attrs
            self.assertEqual(float(row["perplexity"]), stored["ppl"])
            for name, key in (("difference", "ppl_difference"), ("mean_kl", "mean_kl"),
                              ("difference_low", "ppl_difference_low"),
                              ("top1_agreement", "top1_agreement")):
                if key in stored:
                    self.assertEqual(float(row[name]), stored[key])
                else:
                    self.assertEqual(row[name], "")

    def check_amax(self, rows, file):
        self.assertEqual(len(rows), 4 * 6)
        for row in rows:
            module = f"model.layers.{row['layer']}.{COLUMNS[row['tensor']]}"
            self.assertEqual(np.float32(row["amax"]), file["activations"][module]["amax"][()])

    def check_distributions(self, bins, scales, file):
        magnitudes = (np.arange(32768, dtype=np.uint32) << 16).view(np.float32)
        for module in ("model.layers.2.mlp.down_proj", "model.layers.0.self_attn.k"):
            counts = file["activations"][module]["histogram"][:]
            found = [row for row in bins if row["module"] == module]
            self.assertEqual(sum(int(row["elements"]) for row in found), counts.sum())
            for row in found[1:]:
                inside = magnitudes >= np.float32(row["from"])
                inside &= magnitudes < np.float32(row["below"])
                inside[0] = False
                self.assertEqual(int(row["elements"]), counts[inside].sum())
            for row in (row for row in scales if row["module"] == module):
                error = file["diagnostics"][row["recipe"]][module].attrs
                for name in ("elements", "clipped", "flushed"):
                    self.assertEqual(int(row[name]), error[name])
                self.assertEqual(np.float32(row["largest"]),
                                 np.float32(row["scale"]) * np.float32(448))

    def check_sqnr(self, rows, file):
        for row in rows:
            columns = COLUMNS if row["of"] == "input" else {}
            module = f"model.layers.{row['layer']}." + columns.get(row["tensor"], row["tensor"])
            module += ".weight" if row["of"] == "weight" else ""
            for recipe in row["recipes"].split():
                error = file["diagnostics"][recipe][module].attrs
                self.assertAlmostEqual(float(row["sqnr_db"]),
                                       10 * np.log10(error["energy"] / error["squared_error"]))

    def check_kv(self, rows, file):
        heads = file["job"].attrs["model.num_key_value_heads"]
        self.assertEqual(len(rows), 8)
        for row in rows:
            module = f"model.layers.{row['layer']}.{COLUMNS[row['tensor']]}"
            channels = file["activations"][module]["channel_amax"][:].reshape(heads, -1)
            self.assertEqual(np.float32(row["amax"]), channels.max())
            self.assertEqual(np.float32(row["smallest_head_amax"]), channels.max(axis=1).min())

    def check_convergence(self, rows, file):
        self.assertEqual({row["sequences"] for row in rows}, {"32", "64", "70"})
        for row in rows:
            if row["sequences"] == "70":
                self.assertEqual((row["median_share"], row["least_share"]), ("1", "1"))
                continue
            place = [32, 64].index(int(row["sequences"]))
            shares = []
            for layer in range(4):
                tensor = file["activations"][f"model.layers.{layer}.{COLUMNS[row['tensor']]}"]
                shares.append(float(tensor["amax_after"][place]) / float(tensor["amax"][()]))
            self.assertAlmostEqual(float(row["median_share"]), np.median(shares))
            self.assertAlmostEqual(float(row["least_share"]), min(shares))

    def check_outliers(self, rows, file):
        self.assertEqual(len(rows), 10)
        for row in rows:
            channels = file["activations"][row["module"]]["channel_amax"][:]
            self.assertEqual(np.float32(row["amax"]), channels[int(row["channel"])])
            middle = np.sort(channels)[len(channels) // 2]
            self.assertEqual(np.float32(row["over_median"]), np.float32(row["amax"]) / middle)


class CommandTest(ReportTest):
    def refuse(self, arguments, *texts):
        done = harness.run(arguments)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_what_is_refused(self):
        def other_version(file):
            file.attrs["format_version"] = np.int64(2)
        damaged = self.folder / "damaged.h5"
        shutil.copy(self.original, damaged)
        with h5py.File(damaged, "r+") as file:
            file["job"].attrs["calibration.seed"] = np.int64(5)
        before = sorted(self.folder.iterdir())
        out = self.folder / "page.html"
        self.refuse(["report"], "needs a result")
        self.refuse(["show"], "needs a result")
        for command in (["report", "-o", out], ["show"]):
            self.refuse([*command, self.folder / "none.h5"], "none.h5")
            self.refuse([*command, harness.NANO / "config.json"], "config.json")
            self.refuse([*command, damaged], "content digest")
        self.refuse(["report", self.original, damaged, "-o", out], "content digest")
        self.refuse(["report", self.original, "-o", self.original], "the same")
        self.refuse(["report", self.original, "-o", self.folder / "no/page.html"], "page.html")
        self.refuse(["report", self.original, "-o", out, "--csv", self.original], "--csv")
        self.refuse(["report", *[self.original] * 9, "-o", out], "at most 8")
        self.refuse(["report", self.original, "-o"], "-o")
        self.refuse(["show", self.original, self.original], "more than one argument")
        self.refuse(["report", self.original, "--policy", "mse"], "--policy")
        self.assertEqual(sorted(self.folder.iterdir()), before)
        self.refuse(["show", self.edited(other_version)], "format_version")

    def test_the_page_stands_beside_the_result(self):
        result = self.edited(lambda file: None, "some.run.h5")
        done = harness.run(["report", result])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "some.run.report.html").exists())

    def test_show(self):
        done = harness.run(["show", self.original])
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.original) as file:
            self.assertIn(f"{file['perplexity/fp8-static'].attrs['ppl']:.4f}", done.stdout)
            self.assertIn(file.attrs["content_digest"].decode(), done.stdout)
        for layer in range(4):
            self.assertRegex(done.stdout, rf"(?m)^{layer} +[\d.]+ .* dB$")
        self.assertRegex(done.stdout, "[▁▂▃▄▅▆▇█]{4}")


class LargeResultTest(harness.TempFolderTest):
    """70B's shape, with every static scale and diagnostics."""

    SECONDS = 5
    BYTES = 2_000_000

    def test_is_quick_and_small(self):
        parent, result = self.folder / "parent.h5", self.folder / "result.h5"
        write_large_result(parent)
        done = harness.run(["scales", parent, "--policy", "amax", "--recipe",
                            "fp8-static,fp8-channel", "--kv", "none,e4m3", "--out", result])
        self.assertEqual(done.returncode, 0, done.stderr)
        for files in ([result], [result, parent]):
            page = self.folder / "page.html"
            command = [harness.PROGRAM, "report", *files, "-o", page]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            begin = time.monotonic()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            size = page.stat().st_size
            cpu = usage.ru_utime + usage.ru_stime
            print(f"{len(files)} of {LAYERS} layers: {seconds:.1f} s, {cpu:.1f} s of CPU, "
                  f"{size >> 10} KiB, {usage.ru_maxrss >> 10} MiB")
            self.assertLess(cpu / len(files), self.SECONDS)  # others may use the machine
            self.assertLess(size, self.BYTES)
            Page(page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
