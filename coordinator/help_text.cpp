#include "coordinator/help_text.hpp"

#include <algorithm>

#include "coordinator/command_line.hpp"
#include "jobs/error.hpp"
#include "jobs/job.hpp"

namespace fp8cal {
namespace {

constexpr const char* kOverview =
    R"(fp8cal: what does FP8 cost this Llama model, and can you prove it?

  fp8cal run JOB [--key value ...]             calibrate, derive scales, measure perplexity in BF16
                                               and FP8, write one auditable result file
  fp8cal plan JOB [--ranks N] [--key value ...]  who would do what, and how much memory it takes
  fp8cal scales RESULT --policy POLICY [--recipe NAME,... [--kv NAME,...]] --out NEW_RESULT
                                               scales by another policy from the distributions of a
                                               result, in seconds, without model or GPU
  fp8cal export RESULT --model FOLDER --out FOLDER [--recipe NAME] [--format compressed-tensors|modelopt]
                       [--force]               an FP8 checkpoint with the scales of a result, as
                                               vLLM, SGLang and TensorRT-LLM load it; --force
                                               replaces an older one there. A job with that folder
                                               as model.path evaluates it
  fp8cal audit A B [--json] [--tolerance-scale X] [--tolerance-ppl X]
                                               compare two results: equal to the bit, or what differs
                                               first and how far (in BF16 steps at the larger number).
                                               X is 0; above it, as for results of other hardware,
                                               scales and amax may differ by X relative (such as
                                               2^-7), perplexities by X
  fp8cal audit A --verify [--json]             hash everything in a result, recompute what follows
                                               from the rest, and name what was changed
  fp8cal audit A --rerun [JOB] [--json] [--tolerance-scale X] [--tolerance-ppl X] [--key value ...]
                                               run the stored job again, on whatever this is, and
                                               compare: with its own tokens, on the weights that its
                                               digest names. Keys, also those that a job file gives:
                                               model.path, partition.*, runtime.*
  fp8cal report RESULT...|PROFILE...|STUDY.json [-o FILE.html] [--csv FOLDER]
                                               one self-contained HTML page: the verdict, and charts of
                                               everything measured; of several results, side by side,
                                               with what differs first. FILE: else RESULT with
                                               '.report.html' for its ending. --csv: the numbers of
                                               every chart. Of a study: its tables as charts.
                                               Of latency profiles: their charts alone
  fp8cal show RESULT|PROFILE|STUDY.json        the same in a terminal
  fp8cal bench JOB [--json] [--key value ...]  how fast this cluster would run it: time, tokens/s and
                                               TFLOP/s of each stage, share of each kernel; writes no
                                               result, and needs no output.result
  fp8cal profile --model.path MODEL [--scales RESULT] [--json] [...]
                                               what FP8 costs before the first token and gains after
                                               it: time to first token and per output token of BF16
                                               and FP8, their causes, and from how many output tokens
                                               on FP8 wins. 'fp8cal help profile' has its options
  fp8cal study STUDY [--csv FOLDER] [--tables | --part K/N] [--key value ...]
                                               a job file whose calibration.dataset, seed and samples
                                               and scales.policy may be lists: the result of every
                                               combination, as 'run' gives it, with the weights
                                               loaded once and equal work done once; tables with
                                               confidence intervals. Run again, it goes on with the
                                               results that are missing. --tables: computes none.
                                               --part: those of the K-th calibration (dataset and
                                               seed) of N, and no tables
  fp8cal submit JOB [--nodes N] [--gpus-per-node G] [--partition P] [--account A] [--time T]
                    [--array KEY=V,... [KEY=V,...] | --study] [--after ID] [--site FILE] [--template FILE]
                    [--rerun RESULT [--tolerance-scale X] [--tolerance-ppl X]]
                    [--dry-run] [--key value ...]
                                               check the job against model and cluster, and let Slurm
                                               run it on N x G ranks. --array: a task for each
                                               combination of values, and one table of all ('+' joins
                                               a value that is a list). --study: JOB is a study, with
                                               a task for each dataset and seed, and its tables when
                                               all are done. --after: when that job has
                                               succeeded. --site: the cluster's settings, else those
                                               of the file that FP8CAL_SITE names. --rerun: 'fp8cal
                                               audit RESULT --rerun JOB' instead of 'fp8cal run JOB'.
                                               --dry-run: print the batch script, submit nothing
  fp8cal status [ID|JOB] [--json]              how a job of 'fp8cal submit' is: what Slurm and the job
                                               itself say, by Slurm's id or by the job file; without
                                               one: all of yours in the queue
  fp8cal collect SWEEP.json [--csv FILE]       one table of the results of an array of jobs; exit
                                               code 1 where one has no result
  fp8cal synth --config CONFIG.json [--seed N] FOLDER
                                               a random checkpoint of that shape with a few planted
                                               outlier channels, for trying a cluster without weights
  fp8cal help job                              every key of a job file
  fp8cal version

On several ranks: mpirun -n N fp8cal run JOB. The content of the result does not depend on N.
Every key of a job file is also an option: --calibration.samples 128.

A job whose calibration and evaluation text overlap stops with exit code 2. With --allow-overlap
(evaluation.allow_overlap = yes) it goes on, and its result is marked as not reportable.

A rank of 'fp8cal run' that dies, hangs or fails ends the job with one line that names it (a hang:
after runtime.deadline seconds without progress). With runtime.checkpoint, SIGUSR1 and SIGTERM save
progress and stop within 30 seconds; a second SIGTERM stops at once.

Exit codes: 0 done; 1 failed; 2 bad usage or input; 3 a quality gate failed;
4 an audit found a difference; 75 stopped on a signal with progress saved, run it again.
)";

constexpr const char* kProfileHelp =
    R"(fp8cal profile --model.path MODEL [option ...]

  --scales RESULT          scales from this result of 'fp8cal run', which must be of the same model;
                           the profile is added to it. Else they are made up: as fast, but not right
  --variants NAME,...      bf16 and recipes without keys and values: fp8-static, fp8-channel,
                           fp8-dynamic, fp8-weight-only. Default: all but fp8-channel
  --kv NAME,...            what keys and values are kept in: bf16, e4m3, e5m2. Default: each
  --prompts N,...          tokens of a prompt whose first token is timed.
                           Default: 128,512,2048,8192,32768,131072
  --decode-batches N,...   sequences that are decoded together. Default: 1,8,32,128
  --contexts N,...         tokens that each of them has already. Default: 2048,32768
  --json                   everything as one JSON object
  --output.result FILE     keep the profile here: with --scales in a copy of RESULT, else alone
  --runtime.backend NAME, --runtime.device_memory SIZE, --runtime.threads N
                           as for a job: 'fp8cal help job'

Of the default lengths, those that the model has positions for. Prompts must fit in device memory;
batches that do not fit are named and left out. mpirun -n N fp8cal profile ... slices every tensor
over N ranks.
)";

constexpr const char* kJobHelp =
    R"(A job file has [sections] of 'key = value' lines; '#' begins a comment. Lists hold commas or
repeat the key. Relative paths are relative to the job file; those given as options
(--section.key value) to the current folder. Options win over the file.

)";

}  // namespace

std::string help_text(const std::string& topic) {
  if (topic == "profile") return kProfileHelp;
  const bool is_command = std::ranges::find(command_names(), topic) != command_names().end();
  if (topic.empty() || is_command) return kOverview;
  if (topic == "job") return kJobHelp + describe_job_keys();
  throw InputError("command line", "no help on '" + topic + "'",
                   "'fp8cal help' or 'fp8cal help job'", "'fp8cal help " + topic + "'");
}

}  // namespace fp8cal
