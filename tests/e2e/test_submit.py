"""`fp8cal submit`: the batch script, what is checked before it is handed over, and how."""

import json
import pathlib
import shutil
import subprocess
import unittest

import harness
import slurm_fakes
from slurm_fakes import directives, options_in, settings, sinfo_line

HOSTILE = "it's $(touch x) `touch y` ;\"q\" #1 50%j Bl\u00e4tter"


class SubmitTest(harness.TempFolderTest):
    def setUp(self):
        super().setUp()
        self.slurm = slurm_fakes.FakeSlurm(self.folder / "slurm")
        self.output = self.folder / "output"
        self.output.mkdir()
        self.result = self.output / "result.h5"
        self.job = self.folder / "my job.ini"
        self.write_job(self.job)

    def write_job(self, path, **changes):
        keys = harness.small_job("unset", runtime__device_memory="8GiB", **changes)
        del keys["output.result"], keys["runtime.progress"]
        sections = {}
        for key, value in keys.items():
            section, name = key.split(".")
            sections.setdefault(section, []).append(f"{name} = {value}\n")
        path.write_text("".join(
            f"[{name}]\n" + "".join(lines) for name, lines in sections.items()))

    def submit(self, *words, result=None, job=None, **environment):
        """The finished process. Options come before the job, which --array would take for a key."""
        return harness.run(
            ["submit", job or self.job, "--output.result", result or self.result, *words],
            env=self.slurm.environment() | environment, cwd=self.folder)

    def dry_run(self, *words, **keywords):
        done = self.submit("--dry-run", *words, **keywords)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(list(self.output.iterdir()), [])
        self.assertEqual(self.slurm.calls("sbatch"), [])
        return done

    def refuse(self, text, *words, **keywords):
        """Exit code 2, one line that holds `text`, and nothing left behind."""
        before = {path: path.read_bytes() for path in self.output.rglob("*") if path.is_file()}
        folders = sorted(path for path in self.output.rglob("*") if path.is_dir())
        done = self.submit(*words, **keywords)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("fp8cal: "), done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(
            before, {path: path.read_bytes() for path in self.output.rglob("*") if path.is_file()})
        self.assertEqual(folders, sorted(p for p in self.output.rglob("*") if p.is_dir()))
        return done


class Script(SubmitTest):
    def test_says_all_that_slurm_needs(self):
        done = self.dry_run("--nodes", 2, "--gpus-per-node", 2, "--time", "1:30:00", "--account",
                            "science", "--partition", "gpu", "--after", "77")
        said = directives(done.stdout)
        memory = said.pop("mem")
        self.assertRegex(memory, r"^\d+M$")
        self.assertGreater(int(memory[:-1]), 2 * 3072)  # two ranks with CUDA
        run_folder = f"{self.result}.slurm"
        self.assertEqual(said, {
            "job-name": "my_job", "nodes": "2", "ntasks-per-node": "2", "gpus-per-node": "2",
            "time": "1:30:00", "partition": "gpu", "account": "science",
            "dependency": "afterok:77", "output": f"{run_folder}/slurm-%j.out",
            "error": f"{run_folder}/slurm-%j.err", "open-mode": "append", "requeue": "",
            "signal": "B:USR1@120", "comment": f"fp8cal {run_folder}", "chdir": str(self.folder)})
        found = settings(done.stdout)
        self.assertEqual(found["fp8cal"], [str(pathlib.Path(harness.PROGRAM).resolve())])
        self.assertEqual(found["arguments"][:2], ["run", str(self.job)])
        self.assertEqual(options_in(found["arguments"]), {
            "--output.result": str(self.result), "--runtime.status": f"{run_folder}/status.json",
            "--runtime.checkpoint": f"{run_folder}/progress"})
        self.assertEqual(
            [found[key] for key in ("run_folder", "launcher", "ranks_per_node", "bind", "retries")],
            [run_folder, "mpirun", "2", "auto", "5"])
        for text in ("on 2 nodes x 2 ranks", "of 8.0 GiB a rank", "TFLOP/s a GPU",
                     f"{self.result} (about", f"{run_folder}/progress (up to"):
            self.assertIn(text, done.stderr)

    def test_is_good_bash(self):
        for words in ((), ("--array", "calibration.seed=1,2")):
            script = self.dry_run("--nodes", 2, *words).stdout
            subprocess.run(["/bin/bash", "-n"], input=script, text=True, check=True)
            shellcheck = shutil.which("shellcheck")
            if shellcheck:
                subprocess.run([shellcheck, "-"], input=script, text=True, check=True)

    def test_asks_for_no_gpu_on_cpus(self):
        script = self.dry_run("--partition", "cpu", "--runtime.backend", "cpu").stdout
        self.assertNotIn("gpus-per-node", directives(script))

    def test_plans_with_what_the_node_has(self):
        self.write_job(self.job, runtime__backend="cpu")
        self.job.write_text(self.job.read_text().replace("device_memory = 8GiB\n", ""))
        done = self.dry_run("--partition", "cpu", "--gpus-per-node", 2)
        budget = options_in(settings(done.stdout)["arguments"])["--runtime.device_memory"]
        self.assertEqual(int(budget), (64000 << 20) // 10 * 8 // 2)

    def test_is_what_hostile_names_are(self):
        folder = self.folder / HOSTILE
        folder.mkdir()
        job = folder / f"{HOSTILE}.ini"
        self.write_job(job)
        done = harness.run(
            ["submit", job, "--dry-run", "--output.result", folder / "r.h5", "--scales.policy",
             "amax"], env=self.slurm.environment(), cwd=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = directives(done.stdout)
        escaped = str(folder).replace("%", "%%")
        self.assertEqual(said["output"], f"{escaped}/r.h5.slurm/slurm-%j.out")
        self.assertEqual(said["comment"], f"fp8cal {folder}/r.h5.slurm")
        self.assertEqual(said["chdir"], str(folder))
        self.assertRegex(said["job-name"], r"^[A-Za-z0-9._-]+$")
        found = settings(done.stdout)
        self.assertEqual(found["arguments"][1], str(job))
        self.assertEqual(options_in(found["arguments"])["--output.result"], f"{folder}/r.h5")
        self.assertEqual(sorted(folder.iterdir()), [job])  # nothing was touched

    def test_needs_no_slurm_to_look_at(self):
        shutil.rmtree(self.slurm.folder)
        self.slurm = slurm_fakes.FakeSlurm(self.slurm.folder, commands=())
        self.dry_run("--nodes", 8)
        self.refuse("sinfo: cannot be run: expected Slurm's commands on PATH")

    def test_takes_a_template_of_the_site(self):
        template = self.folder / "my.sbatch"
        template.write_text("#!/bin/sh\n@DIRECTIVES@\n@SETUP@\n@SETTINGS@\necho mine\n")
        script = self.dry_run("--template", template).stdout
        self.assertTrue(script.startswith("#!/bin/sh\n#SBATCH "))
        self.assertTrue(script.endswith("\necho mine\n"))
        template.write_text("#!/bin/sh\n@DIRECTIVES@\n@SETTINGS@\n")
        self.refuse(f"{template}: batch template: line @SETUP@", "--template", template)


class Site(SubmitTest):
    def test_says_what_the_command_line_does_not(self):
        site = self.folder / "site.conf"
        site.write_text("[site]\nmodules = cuda/12 open'mpi\ncontainer = apptainer exec --nv x.sif\n"
                        "launcher = srun\nlauncher_options = --mpi=pmix -v\nbind = none\n"
                        "memory = 4GiB\npartition = gpu\naccount = science\ntime = 30\n"
                        "retries = 2\nwarning = 60\n")
        for words, environment in ((("--site", site), {}), ((), {"FP8CAL_SITE": str(site)})):
            script = self.dry_run("--time", "45", *words, **environment).stdout
            said = directives(script)
            self.assertEqual([said[key] for key in ("mem", "partition", "account", "time", "signal")],
                             ["4096M", "gpu", "science", "45", "B:USR1@60"])
            self.assertIn("\nmodule load 'cuda/12' 'open'\\''mpi'\n", script)
            found = settings(script)
            self.assertEqual(found["fp8cal"], ["apptainer", "exec", "--nv", "x.sif", "fp8cal"])
            self.assertEqual(found["launcher_options"], ["--mpi=pmix", "-v"])
            self.assertEqual([found["launcher"], found["bind"], found["retries"]],
                             ["srun", "none", "2"])
        self.refuse("site.conf.gone", "--site", f"{site}.gone")

    def test_example_is_one(self):
        self.dry_run("--site", harness.SOURCE / "slurm" / "site.conf")


class HandedOver(SubmitTest):
    def test_goes_to_sbatch_as_it_is(self):
        environment = {"MY_OWN": "a 'b' $c", "SBATCH_PARTITION": "other", "SLURM_JOB_ID": "7"}
        done = self.submit("--gpus-per-node", 2, **environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        run_folder = pathlib.Path(f"{self.result}.slurm")
        (call,) = self.slurm.calls("sbatch")
        self.assertEqual(call["arguments"], ["--parsable", f"{run_folder}/batch.sh"])
        self.assertEqual(call["script"], (run_folder / "batch.sh").read_text())
        expected = self.slurm.environment() | {"MY_OWN": "a 'b' $c"}
        for name in ("LC_CTYPE", "_", "PWD", "SHLVL", "OLDPWD"):  # of the interpreter of the fake
            call["environment"].pop(name, None)
            expected.pop(name, None)
        self.assertEqual(call["environment"], expected)
        for text in ("submitted job 123 (1 node x 2 ranks)\n", "follow  fp8cal status 123\n",
                     f"output  {run_folder}/slurm-123.out\n", f"result  {self.result}\n"):
            self.assertIn(text, done.stdout)
        self.assertEqual([path.name for path in run_folder.iterdir()], ["batch.sh"])

    def test_array_has_a_task_for_each_combination(self):
        done = self.submit("--array", "calibration.seed=1,2", "scales.recipe=fp8-static+fp8-dynamic,"
                           "fp8-channel", "--output.checkpoint", self.output / "fp8",
                           "--runtime.checkpoint", "none")
        self.assertEqual(done.returncode, 0, done.stderr)
        run_folder = pathlib.Path(f"{self.result}.slurm")
        run, collect = self.slurm.calls("sbatch")
        said = directives(run["script"])
        self.assertEqual(said["array"], "0-3")
        self.assertEqual(said["output"], f"{run_folder}/slurm-%A_%a.out")
        expected = [("1", "fp8-static,fp8-dynamic"), ("1", "fp8-channel"),
                    ("2", "fp8-static,fp8-dynamic"), ("2", "fp8-channel")]
        for task, (seed, recipe) in enumerate(expected):
            self.assertEqual(options_in(settings(run["script"], task)["arguments"]), {
                "--calibration.seed": seed, "--scales.recipe": recipe,
                "--output.result": f"{self.output}/result-{task}.h5",
                "--output.checkpoint": f"{self.output}/fp8-{task}",
                "--runtime.status": f"{run_folder}/status-{task}.json",
                "--runtime.checkpoint": f"{run_folder}/progress-{task}",
                "--runtime.token_cache": f"{run_folder}/tokens"})
        with self.assertRaisesRegex(RuntimeError, "fp8cal: no task 4 in this sweep"):
            settings(run["script"], 4)
        sweep = json.loads((run_folder / "sweep.json").read_text())
        self.assertEqual([sweep[key] for key in ("format", "version", "job", "keys")],
                         ["fp8cal-sweep", 1, str(self.job), ["calibration.seed", "scales.recipe"]])
        self.assertEqual(sweep["tasks"][3], {
            "task": 3, "values": ["2", "fp8-channel"], "result": f"{self.output}/result-3.h5",
            "status": f"{run_folder}/status-3.json"})
        self.assertEqual(len(sweep["tasks"]), 4)
        self.assertEqual(collect["arguments"],
                         ["--parsable", "--dependency=afterany:123", f"{run_folder}/collect.sh"])
        said = directives(collect["script"])
        self.assertEqual([said[key] for key in ("nodes", "ntasks", "output", "job-name")],
                         ["1", "1", f"{run_folder}/slurm-%j.out", "my_job-collect"])
        self.assertEqual(settings(collect["script"])["arguments"],
                         ["collect", f"{run_folder}/sweep.json", "--csv",
                          f"{run_folder}/collected.csv"])
        for text in ("submitted job 123 (4 tasks of 1 node x 1 rank)", "collect job 124",
                     f"table   {run_folder}/collected.txt",
                     f"result  {self.output}/result-0.h5 to {self.output}/result-3.h5"):
            self.assertIn(text, done.stdout)

    def test_study_has_a_task_for_each_dataset_and_seed(self):
        (self.folder / "other.txt").write_text((harness.DEMO / "calibration.txt").read_text()[9:])
        study = self.output / "study.json"
        self.write_job(self.job, calibration__samples="4, 8", calibration__seed="1, 2, 3",
                       calibration__dataset=f"{harness.DEMO / 'calibration.txt'}, other.txt")
        done = self.submit("--study", "--scales.policy", "amax,mse", result=study)
        self.assertEqual(done.returncode, 0, done.stderr)
        run_folder = pathlib.Path(f"{study}.slurm")
        run, collect = self.slurm.calls("sbatch")
        self.assertEqual(directives(run["script"])["array"], "0-5")
        for task in (0, 5):
            arguments = settings(run["script"], task)["arguments"]
            self.assertEqual(arguments[:2], ["study", str(self.job)])
            self.assertEqual(options_in(arguments), {
                "--scales.policy": "amax,mse", "--output.result": str(study),
                "--part": f"{task}/6", "--runtime.token_cache": f"{run_folder}/tokens",
                "--runtime.status": f"{run_folder}/status-{task}.json"})
        self.assertEqual(settings(collect["script"])["arguments"], [
            "study", str(self.job), "--tables", "--csv", f"{run_folder}/collected",
            "--output.result", str(study), "--scales.policy", "amax,mse"])
        sweep = json.loads((run_folder / "sweep.json").read_text())
        self.assertEqual(sweep["tasks"][4]["values"], ["other", "2"])
        for text in ("array       6 tasks: calibration.dataset (2 values) x calibration.seed (3 ",
                     f"writes      {study}.results (results of about", f"study   {study}\n"):
            self.assertIn(text, done.stdout)
        self.refuse("--rerun, --study and --array", "--study", "--array", "calibration.seed=1,2",
                    result=self.output / "other.json")

    def test_tasks_share_no_progress_of_the_jobs_own(self):
        script = self.dry_run("--array", "calibration.seed=1,2", "--runtime.checkpoint",
                              self.folder / "saved").stdout
        for task in (0, 1):
            options = options_in(settings(script, task)["arguments"])
            self.assertEqual(options["--runtime.checkpoint"], f"{self.folder}/saved-{task}")
        script = self.dry_run("--runtime.checkpoint", "saved").stdout
        self.assertEqual(options_in(settings(script)["arguments"])["--runtime.checkpoint"], "saved")

    def test_says_so_where_only_the_collecting_task_is_refused(self):
        self.slurm.answer("sbatch-2", "", "sbatch: error: no\n", 1)
        done = self.submit("--array", "calibration.seed=1,2")
        self.assertEqual(done.returncode, 2)
        self.assertIn("submitted job 123", done.stdout)
        self.assertIn("fp8cal: sbatch: no; job 123 is submitted without its collecting task",
                      done.stderr)


class Rerun(SubmitTest):
    def setUp(self):
        super().setUp()
        self.stored = self.folder / "sto'red.h5"
        done = harness.run(["run", *harness.options_of(harness.small_job(self.stored))])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_folder = pathlib.Path(f"{self.stored}.rerun.slurm")
        self.job.write_text("[runtime]\nbackend = cuda\ndevice_memory = 8GiB\n"
                            "[calibration]\nsamples = 99\n")

    def submit(self, *words, **environment):
        return harness.run(["submit", self.job, "--rerun", self.stored, *words],
                           env=self.slurm.environment() | environment, cwd=self.folder)

    def test_is_audited_there(self):
        done = self.submit("--gpus-per-node", 4, "--partition.mode", "tensor", "--tolerance-scale",
                           "2^-7", "--tolerance-ppl", "0.05")
        self.assertEqual(done.returncode, 0, done.stderr)
        (call,) = self.slurm.calls("sbatch")
        arguments = settings(call["script"])["arguments"]
        self.assertEqual(arguments[:8], ["audit", str(self.stored), str(self.job), "--rerun",
                                         "--tolerance-scale", "0.0078125", "--tolerance-ppl", "0.05"])
        self.assertEqual(options_in(arguments[6:]), {
            "--partition.mode": "tensor", "--runtime.status": f"{self.run_folder}/status.json",
            "--runtime.checkpoint": f"{self.run_folder}/progress"})
        self.assertEqual(directives(call["script"])["gpus-per-node"], "4")
        for text in ("on 1 node x 4 ranks", f"compares    {self.stored}, run again\n",
                     f"output  {self.run_folder}/slurm-123.out\n", "4 a difference"):
            self.assertIn(text, done.stdout)
        self.assertNotIn("\nresult ", done.stdout)

    def test_refused(self):
        gone = self.folder / "gone.h5"
        for text, words in (("gone.h5", ("--rerun", gone)),
                            ("--calibration.seed", ("--calibration.seed", 3)),
                            ("does not fit", ("--runtime.device_memory", "1MiB")),
                            ("config.json", ("--model.path", self.folder / "gone"))):
            done = self.submit(*words)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse(self.run_folder.exists())
        self.assertEqual(self.slurm.calls("sbatch"), [])


class Refused(SubmitTest):
    def test_by_sbatch(self):
        for call in ("sbatch-1", "sbatch-2"):
            self.slurm.answer(call, "", "sbatch: warning: w\nsbatch: error: Batch job "
                              "submission failed: Invalid account\nsbatch: error: more\n", 1)
        done = self.refuse("fp8cal: sbatch: Batch job submission failed: Invalid account\n")
        self.assertNotIn("submitted", done.stdout)
        self.refuse("Invalid account", "--array", "calibration.seed=1,2")

    def test_by_sbatch_leaves_what_was_there(self):
        run_folder = pathlib.Path(f"{self.result}.slurm")
        run_folder.mkdir()
        (run_folder / "batch.sh").write_text("earlier\n")
        self.slurm.answer("sbatch-1", "", "sbatch: error: no\n", 1)
        self.refuse("fp8cal: sbatch: no\n")
        self.assertEqual((run_folder / "batch.sh").read_text(), "earlier\n")

    def test_while_a_job_for_the_result_is_queued(self):
        self.slurm.answer("squeue", f"40 (null)\n41 fp8cal {self.result}.slurm2\n"
                                    f"42 fp8cal {self.result}.slurm\n")
        self.refuse("a job for this result is queued or running: expected its end, or 'scancel 42', "
                    "found job 42")
        self.assertEqual(self.slurm.calls("sbatch"), [])

    def test_by_what_the_cluster_has(self):
        for text, words in (
                ("--partition: unknown partition: expected one of cpu, gpu, found \"gpus\"",
                 ("--partition", "gpus")),
                ("more than partition 'gpu' has: expected at most 4, found 8",
                 ("--nodes", 8)),
                ("--gpus-per-node: more than any node of partition 'gpu' has: expected at most 8",
                 ("--gpus-per-node", 16)),
                ("expected runtime.backend = cpu, since there are none", ("--partition", "cpu")),
                ("--time: longer than partition 'gpu' allows", ("--time", "2-1")),
                ("site.memory: the job needs more than any such node", ("--site", self.big_site()))):
            self.refuse(text, *words)
        self.slurm.answer("sinfo", sinfo_line("gpu", "4", "1031000", "infinite", "gpu:8"))
        self.refuse("this cluster has no default: expected one of gpu, found none")
        self.slurm.answer("sinfo", "", "sinfo: error: a\nsinfo: fatal: no controller\n", 1)
        self.refuse("fp8cal: sinfo: no controller\n")
        self.assertEqual(self.slurm.calls("sbatch"), [])

    def big_site(self):
        site = self.folder / "big.conf"
        site.write_text("[site]\nmemory = 2TiB\n")
        return site

    def test_by_bad_options(self):
        for text, words in (
                ("--time: bad value", ("--time", "soon")),
                ("--time: no longer than the warning", ("--time", "2")),
                ("--after: bad value", ("--after", "12;rm")),
                ("bad value of --nodes", ("--nodes", "0")),
                ("perhaps 'calibration.seed'", ("--array", "calibration.sed=1")),
                ("an option of all tasks, too",
                 ("--calibration.seed", 1, "--array", "calibration.seed=1,2")),
                ("task 1: ", ("--array", "scales.policy=amax,best")),
                ("control character", ("--output.result", self.output / "a\nb.h5")),
                ("backslash", ("--output.result", self.output / "a\\b.h5")),
                ("cannot write", ("--output.result", self.output / "no" / "r.h5"))):
            if "--output.result" in words:
                self.refuse(text, result=words[1])
            else:
                self.refuse(text, *words)
        self.assertEqual(self.slurm.calls("sbatch"), [])

    def test_where_the_memory_of_a_rank_is_not_known(self):
        self.job.write_text(self.job.read_text().replace("device_memory = 8GiB\n", ""))
        self.refuse("runtime.device_memory: memory of a rank is not known: expected it, or "
                    "site.gpu_memory in a site file, found neither")

    def test_where_the_checkpoints_folder_is_taken(self):
        taken = self.output / "fp8-1"
        taken.mkdir()
        (taken / "file").write_text("x")
        self.refuse("folder for the checkpoint", "--array", "calibration.seed=1,2",
                    "--output.checkpoint", self.output / "fp8")


if __name__ == "__main__":
    unittest.main()
