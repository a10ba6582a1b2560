#include "coordinator/audit/rerun.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "coordinator/model_attributes.hpp"
#include "coordinator/protocol/overlap_check.hpp"
#include "jobs/error.hpp"
#include "jobs/tokenizer.hpp"

namespace fp8cal {
namespace {

/// The keys that read_job cannot do without, or that the stored job determines.
std::vector<JobOption> stored_options(const Result& result, const std::string& where,
                                      const std::vector<JobOption>& options) {
  std::vector<JobOption> all = options;
  const auto add = [&all](const char* key, const std::string& value) {
    const bool given =
        std::ranges::any_of(all, [&](const JobOption& one) { return one.key == key; });
    if (!given) all.push_back({key, value});
  };
  // Where the model was; empty where that is not known.
  add("model.path", find_attribute<std::string>(result.provenance, "model_path").value_or(""));
  add("output.result", where);
  add("evaluation.dataset", where);
  add("evaluation.compare", job_attribute<std::string>(result.job, "evaluation.compare", where));
  if (result.calibration.windows() == 0) return all;
  const auto add_number = [&](const char* key) {
    add(key, fmt::to_string(job_attribute<std::int64_t>(result.job, key, where)));
  };
  add("calibration.dataset", where);
  add_number("calibration.samples");
  add_number("calibration.sequence_length");
  add_number("calibration.seed");
  add("scales.policy", job_attribute<std::string>(result.job, "scales.policy", where));
  return all;
}

void expect_tokenizer(const std::string& model, const std::string& expected) {
  if (expected.empty()) return;  // both datasets were tokens already
  const std::filesystem::path file = std::filesystem::path(model) / "tokenizer.json";
  const std::string found = Tokenizer::load(file).sha256();
  if (found == expected) return;
  throw InputError(file.string(), "SHA-256: not the tokenizer of the result", expected, found);
}

}  // namespace

bool may_change_in_rerun(const std::string& key) {
  return key == "model.path" || key.starts_with("partition.") || key.starts_with("runtime.");
}

std::vector<JobOption> rerun_options(const std::filesystem::path& job_file,
                                     std::vector<JobOption> options) {
  for (const JobOption& option : options) {
    if (may_change_in_rerun(option.key)) continue;
    throw InputError("command line", "key that the stored job determines",
                     "model.path, partition.* or runtime.*", "'--" + option.key + "'");
  }
  if (job_file.empty()) return options;
  for (const auto& [key, values] : read_job_values(job_file, {}).by_key) {
    const bool given =
        std::ranges::any_of(options, [&](const JobOption& one) { return one.key == key; });
    if (may_change_in_rerun(key) && !given) {
      options.push_back({key, fmt::format("{}", fmt::join(values, ","))});
    }
  }
  return options;
}

Rerun rerun_of(const StoredResult& stored, const std::string& where,
               const std::vector<JobOption>& options) {
  const Result& result = stored.result;
  if (result.job.contains("parent_digest")) {
    throw InputError(where, "derived by 'fp8cal scales', which runs nothing",
                     "the result that it was derived from, with content digest " +
                         job_attribute<std::string>(result.job, "parent_digest", where),
                     stored.digest);
  }
  Rerun rerun;
  rerun.job = read_job({}, stored_options(result, where, options));
  rerun.job.scales.recipes =
      job_attribute<std::vector<std::string>>(result.job, "scales.recipe", where);
  rerun.job = fit_to_model(std::move(rerun.job));
  rerun.inputs.config = read_model_config(rerun.job.model.path);
  expect_same_model(rerun.inputs.config, result.job, rerun.job.model.path);
  rerun.inputs.calibration = result.calibration;
  rerun.inputs.evaluation = result.evaluation;
  rerun.inputs.sample_ids = result.sample_ids;
  rerun.inputs.tokenizer_sha256 = job_attribute<std::string>(result.job, "tokenizer_sha256", where);
  expect_tokenizer(rerun.job.model.path, rerun.inputs.tokenizer_sha256);
  // Marked or not, it is run again; that the mark is right is part of the comparison.
  rerun.inputs.overlap = overlap_mark(result.calibration, result.evaluation);
  return rerun;
}

}  // namespace fp8cal
