#include "coordinator/resume/earlier_progress.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <set>

#include "coordinator/resume/progress_file.hpp"
#include "coordinator/resume/work_left.hpp"
#include "jobs/error.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

constexpr const char* kNotUsed = "saved progress is not used, beginning anew: {}";

void expect_same_job(const std::string& file, const std::map<std::string, std::string>& own,
                     const std::map<std::string, std::string>& saved) {
  std::set<std::string> keys;
  for (const auto* side : {&own, &saved}) {
    for (const auto& [key, text] : *side) keys.insert(key);
  }
  const auto text_of = [](const auto& texts, const std::string& key) -> std::string {
    const auto found = texts.find(key);
    return found == texts.end() ? "nothing" : "'" + found->second + "'";
  };
  for (const std::string& key : keys) {
    const std::string expected = text_of(own, key);
    const std::string found = text_of(saved, key);
    if (expected == found) continue;
    throw InputError(file, "progress of another job; remove it or name another folder: " + key,
                     expected, found);
  }
}

SavedProgress read_on_rank_0(const Job& job, const Attributes& must_equal,
                             const Preparation& ready) {
  const std::filesystem::path folder = job.runtime.checkpoint;
  prepare_progress_folder(folder);
  try {
    std::optional<SavedProgress> saved = read_progress(folder);
    if (!saved) return {};
    expect_same_job(progress_file(folder).string(), as_text(must_equal), saved->job);
    check_progress(*saved, ready.inputs.config, ready.plan.work);
    return std::move(*saved);
  } catch (const InputError&) {
    throw;
  } catch (const Error& error) {
    spdlog::warn(kNotUsed, error.what());
    return {};
  }
}

/// Each rank reads what it goes on from; what is not whole on one is not used by any.
void read_hidden_states(EarlierProgress& earlier, const Job& job,
                        const std::vector<std::string>& variants, const Preparation& ready,
                        const Control& control) {
  if (ready.plan.grid.layers > 1) {
    throw AgreedError(ExitCode::bad_input,
                      fmt::format("partition.mode: to go on between layers: expected a partition "
                                  "without 'layers', found {}",
                                  ready.plan.grid.to_string()));
  }
  const WorkLeft left(earlier.done, variants, ready);
  std::string failure;
  try {
    for (const std::string& pass : left.passes()) {
      earlier.hidden[pass] = read_hidden(job.runtime.checkpoint, earlier.done.hidden, pass,
                                         left.own(pass), left.hidden_elements(pass));
    }
  } catch (const Error& error) {
    failure = error.what();
  }
  if (control.max(failure.empty() ? 0 : 1) == 0) return;
  for (const std::string& one : control.gather(failure)) {
    if (!one.empty()) spdlog::warn(kNotUsed, one);
  }
  earlier = {};
}

}  // namespace

std::map<std::string, std::string> as_text(const Attributes& attributes) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : attributes) {
    texts[key] = std::visit([](const auto& one) { return fmt::format("{}", one); }, value);
  }
  return texts;
}

EarlierProgress read_earlier_progress(const Job& job, const Attributes& must_equal,
                                      const std::vector<std::string>& variants,
                                      const Preparation& ready, const Control& control) {
  EarlierProgress earlier;
  if (job.runtime.checkpoint.empty()) return earlier;
  run_agreed(control, [&] {
    if (control.rank() == 0) earlier.done = read_on_rank_0(job, must_equal, ready);
  });
  earlier.done = unpack_progress(control.broadcast(pack_progress(earlier.done)));
  if (earlier.done.layers_done > 0) read_hidden_states(earlier, job, variants, ready, control);
  if (control.rank() == 0 && !earlier.done.runs.empty()) {
    spdlog::info("going on from saved progress: {}",
                 describe_progress(earlier.done, ready.inputs.config, ready.plan.work));
  }
  return earlier;
}

}  // namespace fp8cal
