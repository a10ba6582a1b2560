#include "coordinator/submission/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <string_view>

#include "coordinator/submission/text_checks.hpp"
#include "jobs/error.hpp"
#include "jobs/job_keys.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

constexpr const char* kWhere = "--array";
constexpr std::size_t kMaxTasks = 1000;  // Slurm's MaxArraySize is 1001 where a site sets none

/// Each task has its own of these, or all have one.
constexpr std::array<std::string_view, 7> kOfSubmit = {
    "output.result",       "output.checkpoint",  "runtime.status", "runtime.ranks",
    "runtime.token_cache", "runtime.checkpoint", "runtime.backend"};

const JobKey& expect_sweepable(const std::string& name, const std::vector<JobOption>& given) {
  if (std::find(kOfSubmit.begin(), kOfSubmit.end(), name) != kOfSubmit.end()) {
    throw InputError(kWhere, "key that cannot differ from task to task",
                     "one such as calibration.seed or scales.policy", "'" + name + "'");
  }
  const auto& keys = job_keys();
  const auto found =
      std::find_if(keys.begin(), keys.end(), [&](const JobKey& key) { return key.name == name; });
  if (found == keys.end()) {
    throw InputError(kWhere, "unknown job key",
                     fmt::format("a key of 'fp8cal help job', perhaps '{}'", nearest_job_key(name)),
                     in_quotes(name));
  }
  for (const JobOption& option : given) {
    if (option.key != name) continue;
    throw InputError(kWhere, "key that is an option of all tasks, too", "it once",
                     "'" + name + "' twice");
  }
  return *found;
}

SweepKey parse_key(const std::string& word, const std::vector<JobOption>& given) {
  const std::size_t equals = word.find('=');
  if (equals == std::string::npos) {
    throw InputError(kWhere, "no values", "KEY=VALUE,VALUE such as calibration.seed=1,2,3",
                     in_quotes(word));
  }
  const JobKey& key = expect_sweepable(word.substr(0, equals), given);
  SweepKey swept = {.key = key.name, .values = {}};
  std::istringstream stream(word.substr(equals + 1) + ",");
  for (std::string text; std::getline(stream, text, ',');) {
    std::string value = trimmed(text);
    if (key.is_list) std::replace(value.begin(), value.end(), '+', ',');
    const bool twice =
        std::find(swept.values.begin(), swept.values.end(), value) != swept.values.end();
    if (value.empty() || twice) {
      throw InputError(kWhere, "bad values of '" + key.name + "'", "one or more, each once",
                       in_quotes(word));
    }
    swept.values.push_back(value);
  }
  return swept;
}

}  // namespace

Sweep::Sweep(const std::vector<std::string>& words, const std::vector<JobOption>& given) {
  std::size_t tasks = 1;
  for (const std::string& word : words) {
    SweepKey key = parse_key(word, given);
    if (has(key.key)) {
      throw InputError(kWhere, "key '" + key.key + "' given twice", "it once", in_quotes(word));
    }
    tasks *= key.values.size();
    if (tasks > kMaxTasks) {
      throw InputError(kWhere, "too many tasks", fmt::format("at most {}", kMaxTasks),
                       fmt::format("at least {}", tasks));
    }
    keys_.push_back(std::move(key));
  }
}

bool Sweep::has(const std::string& key) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [&](const SweepKey& one) { return one.key == key; });
}

std::size_t Sweep::tasks() const {
  std::size_t tasks = 1;
  for (const SweepKey& key : keys_) tasks *= key.values.size();
  return tasks;
}

std::vector<std::string> Sweep::values(std::size_t task) const {
  std::vector<std::string> values(keys_.size());
  for (std::size_t i = keys_.size(); i-- > 0;) {
    const std::vector<std::string>& all = keys_[i].values;
    values[i] = all[task % all.size()];
    task /= all.size();
  }
  return values;
}

}  // namespace fp8cal
