#include "coordinator/study/study.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "coordinator/inputs.hpp"
#include "jobs/error.hpp"
#include "jobs/model_config.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDataset = "calibration.dataset";
constexpr const char* kSeed = "calibration.seed";
constexpr const char* kSamples = "calibration.samples";
constexpr const char* kPolicy = "scales.policy";

/// The values of a key, or one that stands for its default.
using Values = std::vector<std::string>;

Values values_of(const JobValues& study, const char* key) {
  const auto found = study.by_key.find(key);
  if (found == study.by_key.end()) return {""};
  const Values& values = found->second;
  if (std::set(values.begin(), values.end()).size() < values.size()) {
    throw InputError(study.where, "value given twice", "each once",
                     fmt::format("{} = {}", key, fmt::join(values, ", ")));
  }
  return values;
}

/// One job out of the study's lists; "": as it is.
JobValues with(JobValues values, const char* key, const std::string& value) {
  if (!value.empty()) values.by_key[key] = {value};
  return values;
}

/// "openorca.jsonl:question+response" is the file and its fields.
JobValues with_dataset(JobValues values, const std::string& dataset) {
  const std::size_t colon = dataset.rfind(':');
  const std::string file = dataset.substr(0, colon);
  if (colon == dataset.npos || !(file.ends_with(".jsonl") || file.ends_with(".json"))) {
    return with(std::move(values), kDataset, dataset);
  }
  Values fields;
  for (std::size_t at = colon + 1; at <= dataset.size();) {
    const std::size_t end = std::min(dataset.find('+', at), dataset.size());
    fields.push_back(dataset.substr(at, end - at));
    at = end + 1;
  }
  if (std::ranges::count(fields, "") > 0) {
    throw InputError(values.where, kDataset, "FILE.jsonl:FIELD+FIELD", "'" + dataset + "'");
  }
  values.by_key["calibration.field"] = fields;
  return with(std::move(values), kDataset, file);
}

/// Names for the datasets: the files' stems, numbered where two are alike.
Values names_of(const Values& datasets) {
  Values names;
  for (const std::string& dataset : datasets) {
    const fs::path file = dataset.substr(0, dataset.find(".jsonl:"));
    std::string name = file.stem().string();
    const auto is_plain = [](unsigned char c) {
      return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-');
    };
    std::replace_if(
        name.begin(), name.end(), [&](char c) { return !is_plain(c); }, '_');
    if (std::ranges::count(names, name) > 0) name += fmt::format("-{}", names.size() + 1);
    names.push_back(name);
  }
  return names;
}

void check(const JobValues& study, const Job& job) {
  const auto refuse = [&](const char* key, bool given) {
    if (!given) return;
    throw InputError(study.where, fmt::format("{} in a study", key), "none",
                     study.by_key.at(key).front());
  };
  refuse("output.checkpoint", !job.output.checkpoint.empty());
  refuse("evaluation.max_delta_ppl", job.evaluation.max_delta_ppl.has_value());
  refuse("evaluation.max_kl", job.evaluation.max_kl.has_value());
  if (!read_model_config(job.model.path).stored_recipe) return;
  throw InputError(job.model.path, "model of a study", "one in BF16", "one that is FP8 already");
}

std::string cell_name(const StudyCalibration& calibration, const Job& job) {
  std::string policy = job.scales.policy;
  std::ranges::replace(policy, ':', '-');
  return fmt::format("{}-seed{}-n{}-{}", calibration.dataset, job.calibration.seed,
                     job.calibration.samples, policy);
}

/// The calibration's cells: the samples that are asked for, fewest first.
void add_cells(const JobValues& values, const Values& samples, const Values& policies,
               StudyCalibration& calibration, Study& study) {
  std::vector<StudyCell> cells;
  for (const std::string& count : samples) {
    for (const std::string& policy : policies) {
      StudyCell cell;
      cell.calibration = study.calibrations.size();
      cell.job = fit_to_model(make_job(with(with(values, kSamples, count), kPolicy, policy)));
      cells.push_back(std::move(cell));
    }
  }
  std::ranges::stable_sort(cells, {},
                           [](const StudyCell& cell) { return cell.job.calibration.samples; });
  for (StudyCell& cell : cells) {
    cell.job.output.result = study.results / (cell_name(calibration, cell.job) + ".h5");
    study.cells.push_back(std::move(cell));
  }
  calibration.job = study.cells.back().job;
}

}  // namespace

Study read_study(const fs::path& file, const std::vector<JobOption>& options) {
  const JobValues values = read_job_values(file, options, {kDataset, kSeed, kSamples, kPolicy});
  const Values datasets = values_of(values, kDataset);
  const Values seeds = values_of(values, kSeed);
  const Values samples = values_of(values, kSamples);
  const Values policies = values_of(values, kPolicy);
  const std::size_t count = datasets.size() * seeds.size() * samples.size() * policies.size();
  if (count > kMaxStudyCells) {
    throw InputError(values.where, "too many combinations",
                     fmt::format("at most {}", kMaxStudyCells), fmt::to_string(count));
  }
  const Values names = names_of(datasets);
  Study study;
  for (std::size_t d = 0; d < datasets.size(); ++d) {
    const JobValues of_dataset = with_dataset(values, datasets[d]);
    for (const std::string& seed : seeds) {
      const JobValues of_seed = with(of_dataset, kSeed, seed);
      if (study.cells.empty()) {
        const Job first = make_job(with(with(of_seed, kSamples, samples[0]), kPolicy, policies[0]));
        check(values, first);
        study.file = fs::absolute(first.output.result).lexically_normal();
        study.results = study.file.string() + ".results";
      }
      StudyCalibration calibration = {.dataset = names[d], .job = {}};
      add_cells(of_seed, samples, policies, calibration, study);
      study.calibrations.push_back(std::move(calibration));
    }
  }
  return study;
}

Study part_of(const Study& study, std::size_t calibration) {
  Study part = {.file = study.file,
                .results = study.results,
                .calibrations = {study.calibrations[calibration]},
                .cells = {}};
  for (const StudyCell& cell : study.cells) {
    if (cell.calibration != calibration) continue;
    part.cells.push_back(cell);
    part.cells.back().calibration = 0;
  }
  return part;
}

}  // namespace fp8cal
