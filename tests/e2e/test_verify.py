"""`fp8cal audit RESULT --verify`: what was changed in a result is found and named."""

import concurrent.futures
import json
import random
import unittest

import h5py
import numpy as np

import harness
from audit_harness import ALONE, AuditTest, audit, stamp
from content_digest import object_digests


def replace_table(file):
    """Object digests of what the file holds now, as a careful forger would write them."""
    digests = object_digests(file)
    del file["provenance/object_names"], file["provenance/object_sha256"]
    file["provenance/object_names"] = np.array([name.encode() for name in digests])
    file["provenance/object_sha256"] = np.array([one.encode() for one in digests.values()])


class VerifyTest(AuditTest):
    def expect_finding(self, file, text):
        stdout, found = self.expect(4, file, "--verify")
        self.assertFalse(found["verified"])
        first = found["findings"][0]
        line = "{object}: {what}: expected {expected}, found {found}".format(**first)
        self.assertIn(line, stdout)
        self.assertTrue(line.startswith(text), f"{line}\n{text}")
        return found

    def test_honest_results(self):
        everything = self.make(
            "everything", scales__recipe=",".join(harness.RECIPES), calibration__samples=64,
            scales__kv="none,e4m3,e5m2,e4m3-head,e5m2-head", scales__policy="percentile:99.9")
        derived = self.results / "mse.h5"
        done = harness.run(["scales", everything, "--policy", "mse", "--kv", "none,e4m3",
                            "--recipe", "fp8-channel,fp8-dynamic", "--out", derived])
        self.assertEqual(done.returncode, 0, done.stderr)
        one_window = self.make("one", evaluation__windows=1, evaluation__compare="no")
        for result in (self.original, everything, derived, one_window, self.make_fp8()):
            with self.subTest(result=result.name):
                stdout, found = self.expect(0, result, "--verify")
                self.assertTrue(stdout.startswith(f"{result}: verified\n"), stdout)
                self.assertTrue(found["verified"] and found["numbers_checked"])
                with h5py.File(result) as file:
                    expected = object_digests(file)
                    names = [name.decode() for name in file["provenance/object_names"][:]]
                    digests = [one.decode() for one in file["provenance/object_sha256"][:]]
                self.assertEqual(dict(zip(names, digests)), expected)
                self.assertEqual(found["objects"], len(expected))
        old = self.copy()
        with h5py.File(old, "r+") as file:
            del file["provenance/object_names"], file["provenance/object_sha256"]
        stdout, found = self.expect(0, old, "--verify")
        self.assertFalse(found["object_digests"])
        self.assertIn("written before there were object digests", stdout)
        self.assertEqual(audit(old, self.original).returncode, 0)

    FLIPS = 200

    @staticmethod
    def datasets_of(result):
        """Offset in the file -> size and names, of each dataset that has elements."""
        datasets = {}

        def add(group, prefix):
            for name, item in group.items():
                if isinstance(item, h5py.Group):
                    add(item, f"{prefix}{name}/")
                elif item.size:
                    offset, size = item.id.get_offset(), item.id.get_storage_size()
                    datasets.setdefault(offset, (size, set()))[1].add(prefix + name)

        with h5py.File(result) as file:
            timeline = file["provenance/timeline"].id.get_offset()
            add(file, "/")
        del datasets[timeline]  # of the provenance, which may say anything
        return datasets

    def test_every_flipped_bit_is_found_and_its_dataset_named(self):
        original = self.make("snapshots", calibration__samples=32)
        datasets = self.datasets_of(original)
        blob = original.read_bytes()
        dice = random.Random(20240820)

        offsets = sorted(datasets)

        def flip(number):
            offset = dice.choice(offsets)
            size, names = datasets[offset]
            at, bit = offset + dice.randrange(size), dice.randrange(8)
            flipped = self.folder / f"{number}.h5"
            flipped.write_bytes(blob[:at] + bytes([blob[at] ^ 1 << bit]) + blob[at + 1 :])
            return flipped, names, at - offset, bit

        def check(flipped):
            done = harness.run(["audit", flipped, "--verify", "--json"], env=ALONE)
            flipped.unlink()
            return done

        found = 0
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for first in range(0, self.FLIPS, 10):  # ten files at a time
                flips = [flip(number) for number in range(first, first + 10)]
                audits = pool.map(check, [flipped for flipped, *_ in flips])
                for done, (_, names, at, bit) in zip(audits, flips):
                    told = f"{sorted(names)}, byte {at}, bit {bit}: {done.stdout}{done.stderr}"
                    self.assertEqual(done.returncode, 4, told)
                    self.assertIn(json.loads(done.stdout)["findings"][0]["object"], names, told)
                    found += 1
        print(f"{found} of {self.FLIPS} flipped bits found, over {len(datasets)} datasets")
        self.assertEqual(found, self.FLIPS)

    def test_attributes(self):
        blob = self.original.read_bytes()
        with h5py.File(self.original) as file:
            needles = {
                file["job"].attrs["weights_digest"]: "/job: ",
                b"evaluation.sequence_length": "/job: ",
                b"ppl_difference_low": "/perplexity/",
                b"squared_error": "/diagnostics/",
                b"nats": "/perplexity/",
                file.attrs["content_digest"]: "/: ",
                b"format_version": "/: ",
            }
        damaged = self.folder / "damaged.h5"
        for needle, text in needles.items():
            at = blob.index(needle)
            damaged.write_bytes(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])
            self.expect_finding(damaged, text)
            done = audit(damaged, self.original)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"'fp8cal audit {damaged} --verify' says more", done.stderr)
        edited = self.copy()
        with h5py.File(edited, "r+") as file:
            file["perplexity/bf16"].attrs["ppl"] += 1
        found = self.expect_finding(edited, "/perplexity/bf16: SHA-256: expected ")
        self.assertEqual(found["findings"][1]["object"], "/perplexity/bf16/ppl")

    def test_damage_of_the_digests(self):
        damaged = self.copy()
        with h5py.File(damaged, "r+") as file:
            file.attrs["content_digest"] = np.bytes_("0" * 64)
        self.expect_finding(damaged, "/: attribute content_digest: expected ")
        for column, text in (("object_sha256", "/provenance/object_sha256: entry /job: "),
                             ("object_names", "/provenance/object_names: entry /job: ")):
            damaged = self.copy()
            with h5py.File(damaged, "r+") as file:
                names = file["provenance/object_names"][:].tolist()
                values = file["provenance"][column][:]
                index = names.index(b"/job")
                values[index] = values[index][:-1] + b"x"
                file["provenance"][column][:] = values
            self.expect_finding(damaged, text)
            self.assertEqual(audit(damaged, self.original).returncode, 0)

    def test_honest_digests_of_inconsistent_numbers(self):
        layer = "model.layers.1."

        def set_item(path, index, change):
            def edit(file):
                values = file[path][()]
                if values.ndim:
                    values[index] = change(values[index])
                else:
                    values = change(values)
                file[path][()] = values
            return edit

        def set_attribute(path, name, change):
            def edit(file):
                file[path].attrs[name] = change(file[path].attrs[name])
            return edit

        def move_count(file):
            counts = file[f"activations/{layer}self_attn.o_proj/histogram"]
            low, high = np.flatnonzero(counts[:])[[0, 1]]
            counts[low] -= np.uint64(1)
            counts[high] += np.uint64(1)

        q = f"activations/{layer}self_attn.q_proj"
        up = f"scales/fp8-static/{layer}mlp.up_proj"
        down = f"{layer}mlp.down_proj"
        one_more = lambda value: value + type(value)(1)
        edits = [
            (set_item(f"{q}/histogram", 16000, one_more), f"/{q}/histogram: elements: "),
            (set_item(f"{q}/amax", (), one_more), f"/{q}/amax: value: "),
            (set_item(f"{q}/channel_amax", 5, one_more), f"/{q}/channel_amax: "),
            (set_item(f"{up}/input_scale", 0, one_more), f"/{up}/input_scale: scale 0: "),
            (set_item(f"{up}/weight_scale", 0, one_more), f"/{up}/weight_scale: scale 0: "),
            (set_item("job/calibration_tokens", (3, 5), one_more),
             "/job: attribute calibration_tokens_sha256: "),
            (set_item("job/sample_ids", 0, lambda _: np.uint32(10**6)), None),
            (set_attribute("job", "calibration.samples", one_more),
             "/job: attribute calibration.samples: expected 8, found 9"),
            (set_attribute("job", "calibration.seed", one_more),
             "/perplexity/fp8-dynamic: attribute ppl_difference: "),
            (set_attribute("job", "scales.policy", lambda _: np.bytes_("mse")),
             "/scales/fp8-static/"),
            (set_attribute("perplexity/fp8-static", "ppl_difference_high", one_more),
             "/perplexity/fp8-static: attribute ppl_difference: "),
            (set_item("perplexity/bf16/nll", (0, 0), one_more), "/perplexity/bf16/ppl: value: "),
            (set_attribute(f"diagnostics/fp8-static/{down}", "clipped", one_more),
             f"/diagnostics/fp8-static/{down}: attributes: "),
            (set_attribute(f"diagnostics/fp8-dynamic/{down}.weight", "elements", one_more),
             f"/diagnostics/fp8-dynamic/{down}.weight: counts: "),
            (move_count, "/diagnostics/fp8-static/model.layers.1.self_attn.o_proj: attributes: "),
            (lambda file: file.__delitem__(f"weights/{layer}mlp.up_proj"),
             "/weights: weights: expected 28, found 27"),
        ]
        for number, (edit, text) in enumerate(edits):
            edited = self.copy(f"edited{number}.h5")
            with h5py.File(edited, "r+") as file:
                edit(file)
                stamp(file)
                replace_table(file)
            with self.subTest(edit=text):
                if text is None:  # which windows were drawn follows from nothing in the file
                    self.expect(0, edited, "--verify")
                else:
                    self.expect_finding(edited, text)

    def test_usage(self):
        missing = self.folder / "none.h5"
        text = harness.NANO / "config.json"
        foreign = self.folder / "foreign.h5"
        with h5py.File(foreign, "w") as file:
            file["x"] = 1
        for file in (missing, text, self.folder, foreign):
            for arguments in ([file, "--verify"], [self.original, file], [file, self.original]):
                done = audit(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertIn(str(file), done.stderr)
        for arguments in ([], [self.original], [self.original] * 3, [self.original, "--depth", 3],
                          [self.original, self.original, "--tolerance-scale", "much"]):
            self.assertEqual(audit(*arguments).returncode, 2)
        truncated = self.folder / "truncated.h5"
        truncated.write_bytes(self.original.read_bytes()[:1_000_000])
        self.expect_finding(truncated, "/: format: expected a complete HDF5 file")
        done = harness.run(["audit", truncated, "--verify"], ranks=2)
        self.assertEqual(done.returncode, 4, done.stderr)


if __name__ == "__main__":
    unittest.main()
