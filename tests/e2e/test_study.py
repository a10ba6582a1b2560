"""`fp8cal study`: every result equals that of a job of its own, to the bit; tables; going on."""

import csv
import itertools
import json
import os
import signal
import statistics
import subprocess
import time
import unittest

import h5py
import numpy as np

import harness

SEEDS, SAMPLES = (1, 2, 3), (1, 2, 4, 33, 64)
RECIPES = ("fp8-static", "fp8-dynamic")


class StudyTest(harness.TempFolderTest):
    def setUp(self):
        super().setUp()
        text = (harness.DEMO / "calibration.txt").read_text()
        parts = [text[at : at + len(text) // 3] for at in range(0, 3 * (len(text) // 3),
                                                               len(text) // 3)]
        (self.folder / "plain.txt").write_text(parts[0])
        (self.folder / "documents.jsonl").write_text(
            "".join(json.dumps({"text": one}) + "\n" for one in parts[1].split("\n\n")))
        (self.folder / "chats.jsonl").write_text("".join(
            json.dumps({"question": one[:40], "response": one[40:]}) + "\n"
            for one in parts[2].split("\n\n")))
        self.datasets = {  # name: what a job of its own has
            "plain": ("plain.txt", "text"), "documents": ("documents.jsonl", "text"),
            "chats": ("chats.jsonl", "question,response")}
        self.study = self.folder / "study.json"

    def write_study(self, **changes):
        keys = {"model.path": harness.NANO,
                "calibration.dataset": "plain.txt, documents.jsonl, chats.jsonl:question+response",
                "calibration.samples": ", ".join(map(str, reversed(SAMPLES))),
                "calibration.sequence_length": 16, "calibration.seed": "1, 2, 3",
                "scales.recipe": ", ".join(RECIPES), "evaluation.dataset":
                harness.DEMO / "evaluation.txt", "evaluation.sequence_length": 64,
                "evaluation.windows": 3, "runtime.progress": "none", "output.result": self.study}
        keys |= {key.replace("__", "."): value for key, value in changes.items()}
        sections = {}
        for key, value in keys.items():
            section, name = key.split(".")
            sections.setdefault(section, []).append(f"{name} = {value}\n")
        file = self.folder / "study.ini"
        file.write_text("".join(f"[{one}]\n{''.join(lines)}" for one, lines in sections.items()))
        return file

    def run_study(self, *options, ranks=1, code=0, **changes):
        done = harness.run(["study", self.write_study(**changes), *options], ranks)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def results(self):
        return json.loads(self.study.read_text())["results"]

    def digest_alone(self, cell, ranks=1, **changes):
        """Of the cell as a job of its own."""
        file, fields = self.datasets[cell["dataset"]]
        result = self.folder / "alone.h5"
        keys = {"model.path": harness.NANO, "calibration.dataset": self.folder / file,
                "calibration.field": fields, "calibration.samples": cell["samples"],
                "calibration.sequence_length": 16, "calibration.seed": cell["seed"],
                "scales.policy": cell["policy"], "scales.recipe": ",".join(RECIPES),
                "evaluation.dataset": harness.DEMO / "evaluation.txt",
                "evaluation.sequence_length": 64, "evaluation.windows": 3,
                "runtime.progress": "none", "output.result": result}
        self.succeed(keys | {key.replace("__", "."): value for key, value in changes.items()},
                     ranks)
        with h5py.File(result) as file:
            return file.attrs["content_digest"].decode()

    def test_every_result_is_that_of_a_job_of_its_own(self):
        said = self.run_study("--csv", self.folder / "csv")
        cells = self.results()
        self.assertEqual([(one["dataset"], one["seed"], one["samples"]) for one in cells],
                         list(itertools.product(self.datasets, SEEDS, SAMPLES)))
        for number in (0, 3, 9, 19, 27, 44):
            self.assertEqual(cells[number]["content_digest"], self.digest_alone(cells[number]))
        self.assertEqual(len({one["content_digest"] for one in cells}), len(cells))
        for one in cells:
            with h5py.File(self.folder / one["file"]) as file:
                self.assertEqual(file.attrs["content_digest"].decode(), one["content_digest"])
                for recipe in one["recipes"]:
                    ppl = file["perplexity"][recipe["recipe"]].attrs["ppl"]
                    self.assertEqual(ppl, recipe["perplexity"])
        self.check_tables(said.stdout, cells)
        self.check_going_on(cells)

    def check_tables(self, said, cells):
        tables = {one["name"]: one for one in json.loads(self.study.read_text())["tables"]}
        self.assertEqual(list(tables), ["datasets", "samples", "settings"])
        static = {(one["dataset"], one["seed"], one["samples"]): one["recipes"][0]
                  for one in cells}
        for row in tables["datasets"]["rows"][:3]:
            recipe, dataset = row["keys"]
            self.assertEqual(recipe, "fp8-static")
            own = [static[dataset, seed, 64]["difference"] for seed in SEEDS]
            self.assertAlmostEqual(row["difference"], statistics.mean(own), 12)
            self.assertAlmostEqual(row["deviation"], statistics.stdev(own), 12)
            self.assertEqual((row["least"], row["most"]), (min(own), max(own)))
        rows = [row for row in tables["samples"]["rows"] if row["keys"][0] == "fp8-static"]
        self.assertEqual([row["keys"][1] for row in rows], [str(one) for one in SAMPLES])
        for row in rows:
            own = [static[dataset, seed, int(row["keys"][1])]["perplexity"]
                   for dataset in self.datasets for seed in SEEDS]
            most = [static[dataset, seed, 64]["perplexity"]
                    for dataset in self.datasets for seed in SEEDS]
            self.assertAlmostEqual(row["change"], np.mean(np.subtract(most, own)), 12)
            self.assertLessEqual(row["change_interval"]["low"], row["change_interval"]["high"])
        self.assertEqual(rows[-1]["change_interval"], {"low": 0, "high": 0})
        # What has no static scales does not depend on what was calibrated on.
        for row in tables["samples"]["rows"]:
            if row["keys"][0] == "fp8-dynamic":
                self.assertEqual((row["change"], row["deviation"]), (0, 0))
        with open(self.folder / "csv" / "samples.csv", newline="") as stream:
            written = list(csv.DictReader(stream))
        self.assertEqual([float(row["change"]) for row in written],
                         [row["change"] for row in tables["samples"]["rows"]])
        with open(self.folder / "csv" / "results.csv", newline="") as stream:
            self.assertEqual(len(list(csv.DictReader(stream))), 2 * len(cells))
        for text in ("by calibration dataset, 64 sequences", "fp8-static", "documents", "deviation",
                     f"45 results in {self.study}.results"):
            self.assertIn(text, said)

    def check_going_on(self, cells):
        """Only what is missing is computed again; what is of another job or damaged is refused."""
        folder = self.folder / "study.json.results"
        files = sorted(folder.iterdir())
        times = {file: file.stat().st_mtime_ns for file in files}
        gone = self.folder / cells[7]["file"]
        gone.unlink()
        done = self.run_study("--tables", code=1)
        self.assertIn(f"1 of 45 results are missing, first {gone}", done.stderr)
        done = self.run_study("--part", "0/9", ranks=2, partition__mode="tensor")
        self.assertIn("part 0/9: 5 results in ", done.stdout)
        self.assertFalse(gone.exists())  # it is of another part
        self.run_study(ranks=2, partition__mode="tensor")
        self.assertEqual(self.results(), cells)
        for file in files:
            self.assertEqual(file == gone, file.stat().st_mtime_ns != times[file])
        done = self.run_study("--evaluation.windows", 2, code=2)
        self.assertRegex(done.stderr, r"result of another job .*evaluation\.windows: expected 2, found 3")
        content = gone.read_bytes()
        gone.write_bytes(content[: len(content) // 2])
        self.assertIn(gone.name, self.run_study(code=2).stderr)

    def test_policies_and_partitions(self):
        small = {"calibration__dataset": "plain.txt", "calibration__seed": "1, 2",
                 "calibration__samples": "3, 5", "scales__policy": "amax, percentile:99.5",
                 "scales__kv": "none, e4m3-head"}
        self.run_study(**small)
        cells = self.results()
        self.assertEqual(len(cells), 8)
        self.assertEqual(len(cells[0]["recipes"]), 4)
        self.assertEqual(cells[3]["content_digest"],
                         self.digest_alone(cells[3], 2, scales__kv="none,e4m3-head"))
        digests = [one["content_digest"] for one in cells]
        for ranks, more in ((4, {"partition__mode": "layers:2+sequences:2"}),
                            (2, {"partition__mode": "sequences",
                                 "runtime__device_memory": "9MiB"})):
            self.study = self.folder / f"study-{ranks}.json"
            self.run_study(ranks=ranks, **small, **more)
            self.assertEqual([one["content_digest"] for one in self.results()], digests)

    def test_texts_that_overlap(self):
        """A leak that only the larger number of samples draws marks only its result."""
        evaluation = (harness.DEMO / "evaluation.txt").read_text()
        clean = (harness.DEMO / "calibration.txt").read_text()
        (self.folder / "plain.txt").write_text(clean[:20000] + evaluation[:600] + clean[20000:40000])
        small = {"calibration__dataset": "plain.txt", "calibration__sequence_length": 64,
                 "calibration__seed": 1, "calibration__samples": "2, 190"}
        done = self.run_study(code=2, **small)
        self.assertRegex(done.stderr, r"^fp8cal: .*plain\.txt: overlaps the evaluation text.*--allow-")
        self.assertFalse((self.folder / "study.json.results").exists())
        said = self.run_study("--allow-overlap", **small).stdout
        self.assertIn("not reportable: calibration and evaluation text overlap", said)
        cells = self.results()
        self.assertEqual([one["reportable"] for one in cells], [True, False])
        for cell in cells:
            self.assertEqual(cell["content_digest"], self.digest_alone(
                cell, calibration__sequence_length=64, evaluation__allow_overlap="yes"))

    def test_small_llama(self):
        if not harness.DATA.is_dir():
            self.assertNotEqual(os.environ.get("FP8CAL_REQUIRE_DATA"), "1", "no test data")
            self.skipTest("no test data")
        model = harness.DATA / "models" / "small-llama"
        self.run_study(model__path=model, calibration__samples="2, 4", calibration__seed="1, 2",
                       calibration__dataset="plain.txt, documents.jsonl", ranks=2)
        cells = self.results()
        self.assertEqual(len(cells), 8)
        for number in (2, 5):
            self.assertEqual(cells[number]["content_digest"],
                             self.digest_alone(cells[number], model__path=model))

    def test_stopped_and_gone_on(self):
        file = self.write_study(evaluation__windows=6)
        folder = self.folder / "study.json.results"
        process = subprocess.Popen(harness.command_line(["study", file]), text=True,
                                   stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        while not (folder.is_dir() and len(list(folder.glob("*.h5"))) >= 3):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
        errors = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 75, errors)
        self.assertRegex(errors, r"fp8cal: stopped by SIGUSR1, run the same study again to go on: "
                                 r"\d+ of 45 results in ")
        self.assertFalse(self.study.exists())
        self.assertEqual([one for one in folder.iterdir() if one.suffix != ".h5"], [])
        before = len(list(folder.iterdir()))
        self.assertLess(before, 45)
        self.run_study(evaluation__windows=6)
        self.assertEqual(len(self.results()), 45)

    def test_bad_input(self):
        for text, changes in (
                ("value given twice", {"calibration__seed": "1, 1"}),
                ("output.checkpoint in a study", {"output__checkpoint": "fp8"}),
                ("evaluation.max_kl in a study", {"evaluation__max_kl": "0.1"}),
                ("FILE.jsonl:FIELD+FIELD", {"calibration__dataset": "chats.jsonl:question+"}),
                ("whole number from 1", {"calibration__samples": "1, 0"}),
                ("'best'", {"scales__policy": "amax, best"}),
                ("too many combinations",
                 {"calibration__seed": ",".join(map(str, range(1000)))}),
                ("plain.txt", {"calibration__samples": "100000"}),
                ("0/9 to 8/9", {"--part": "9/9"}),
                ("cannot write", {"output__result": self.folder / "no" / "study.json"})):
            options = [word for key in list(changes) if key.startswith("--")
                       for word in (key, changes.pop(key))]
            done = self.run_study(*options, code=2, **changes)
            self.assertEqual(done.stderr.count("fp8cal: "), 1, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse(self.study.exists())


if __name__ == "__main__":
    unittest.main()
