#include "jobs/runtime_keys.hpp"

#include "jobs/job_values.hpp"

namespace fp8cal {
namespace {

using Values = std::vector<std::string>;

/// What computes.
void add_machine_keys(std::vector<JobKey>& keys) {
  keys.push_back(
      {.name = "runtime.backend",
       .argument = "NAME",
       .default_value = "auto",
       .help = "cpu, cuda or auto",
       .store = [](Job& job, const Values& v) {
         job.runtime.backend = parse_choice("runtime.backend", v[0], {"auto", "cpu", "cuda"});
       }});
  keys.push_back({.name = "runtime.device_memory",
                  .argument = "SIZE|auto",
                  .default_value = "auto",
                  .help =
                      "Memory that one rank may use, such as 80GiB; a model that does not fit is "
                      "streamed layer by layer",
                  .store = [](Job& job, const Values& v) {
                    if (v[0] == "auto") {
                      job.runtime.device_memory.reset();
                    } else {
                      job.runtime.device_memory = parse_bytes("runtime.device_memory", v[0]);
                    }
                  }});
  keys.push_back({.name = "runtime.threads",
                  .argument = "N|auto",
                  .default_value = "auto",
                  .help = "Threads of a rank on the cpu backend; auto: its share of the cores",
                  .store = [](Job& job, const Values& v) {
                    if (v[0] == "auto") {
                      job.runtime.threads.reset();
                    } else {
                      job.runtime.threads = static_cast<int>(
                          parse_number("runtime.threads", v[0], 1, 1024, "auto or "));
                    }
                  }});
  keys.push_back(
      {.name = "runtime.ranks",
       .argument = "N|any",
       .default_value = "any",
       .help = "How many ranks there must be; with others the job stops at once, so that "
               "a launch that fell apart into single ranks does not run as many jobs",
       .store = [](Job& job, const Values& v) {
         if (v[0] == "any") {
           job.runtime.ranks.reset();
         } else {
           job.runtime.ranks =
               static_cast<int>(parse_number("runtime.ranks", v[0], 1, 65536, "any or "));
         }
       }});
  keys.push_back({.name = "runtime.microbatch",
                  .argument = "N|auto",
                  .default_value = "auto",
                  .help = "Sequences that are computed at once; auto: as many as make a GPU fast "
                          "and fit, one on a CPU. No choice changes a bit of the content",
                  .store = [](Job& job, const Values& v) {
                    if (v[0] == "auto") {
                      job.runtime.microbatch.reset();
                    } else {
                      job.runtime.microbatch =
                          parse_number("runtime.microbatch", v[0], 1, 4096, "auto or ");
                    }
                  }});
}

/// What is told, kept and saved.
void add_record_keys(std::vector<JobKey>& keys) {
  keys.push_back({.name = "runtime.progress",
                  .argument = "KIND",
                  .default_value = "auto",
                  .help = "auto (a bar on a terminal, else lines), bar, lines or none",
                  .store = [](Job& job, const Values& v) {
                    job.runtime.progress =
                        parse_choice("runtime.progress", v[0], {"auto", "bar", "lines", "none"});
                  }});
  keys.push_back({.name = "runtime.status",
                  .argument = "FILE|none",
                  .default_value = "none",
                  .is_path = true,
                  .help =
                      "Where 'fp8cal run' and a rerun tell, in a small JSON file that they keep up "
                      "to date, how far they are and how they ended; 'fp8cal status' reads it",
                  .store = [](Job& job, const Values& v) {
                    job.runtime.status = v[0] == "none" ? "" : v[0];
                  }});
  keys.push_back({.name = "runtime.token_cache",
                  .argument = "FOLDER|none",
                  .default_value = "none",
                  .is_path = true,
                  .help =
                      "Where the token ids of text datasets are kept, for other jobs on the same "
                      "text with the same tokenizer",
                  .store = [](Job& job, const Values& v) {
                    job.runtime.token_cache = v[0] == "none" ? "" : v[0];
                  }});
  keys.push_back({.name = "runtime.checkpoint",
                  .argument = "FOLDER|none",
                  .default_value = "none",
                  .is_path = true,
                  .help = "Where progress is saved, so that the same job, run again, goes on from "
                          "there on any number of ranks; removed when the result is in place. "
                          "Needed for SIGTERM and SIGUSR1 to save progress and exit with 75",
                  .store = [](Job& job, const Values& v) {
                    job.runtime.checkpoint = v[0] == "none" ? "" : v[0];
                  }});
  keys.push_back({.name = "runtime.checkpoint_interval",
                  .argument = "SECONDS",
                  .default_value = "60",
                  .help = "From one save to the next; what a crash can cost. 0: after every "
                          "microbatch",
                  .store = [](Job& job, const Values& v) {
                    job.runtime.checkpoint_interval =
                        parse_seconds("runtime.checkpoint_interval", v[0], 0);
                  }});
  keys.push_back({.name = "runtime.deadline",
                  .argument = "SECONDS",
                  .default_value = "120",
                  .help = "Without progress for so long, the job fails and names the rank",
                  .store = [](Job& job, const Values& v) {
                    job.runtime.deadline = parse_seconds("runtime.deadline", v[0], 1);
                  }});
  keys.push_back(
      {.name = "runtime.allow_variant_gemm",
       .argument = "yes|no",
       .default_value = "no",
       .help = "Run on a GPU whose matrix products depend on how they are sliced; the result "
               "says so, and may differ on other partitions",
       .store = [](Job& job, const Values& v) {
         job.runtime.allow_variant_gemm =
             parse_choice("runtime.allow_variant_gemm", v[0], {"yes", "no"}) == "yes";
       }});
}

}  // namespace

void add_runtime_keys(std::vector<JobKey>& keys) {
  add_machine_keys(keys);
  add_record_keys(keys);
}

}  // namespace fp8cal
