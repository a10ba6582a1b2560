#include "coordinator/study/study_results.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "coordinator/audit/attribute_text.hpp"
#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/result_builder.hpp"
#include "jobs/error.hpp"
#include "jobs/result_reader.hpp"
#include "sharding/vital_signs.hpp"

namespace fp8cal {
namespace {

constexpr std::array<std::string_view, 4> kMadeBy = {"weights_digest", "weights_format", "numerics",
                                                     "fp8_products"};

bool is_made_by(const std::string& key) { return std::ranges::find(kMadeBy, key) != kMadeBy.end(); }

/// Throws for the first key in which they differ.
void expect_equal(const Attributes& expected, const Attributes& found, const std::string& where,
                  const std::string& what) {
  for (const Attributes* side : {&expected, &found}) {
    for (const auto& [key, value] : *side) {
      const auto here = expected.find(key);
      const auto there = found.find(key);
      if (here != expected.end() && there != found.end() && here->second == there->second) continue;
      throw InputError(where, what + " (or remove the file): " + key, attribute_text(expected, key),
                       attribute_text(found, key));
    }
  }
}

}  // namespace

Inputs inputs_of(const StudyCell& cell, const std::vector<Inputs>& inputs) {
  Inputs own = inputs[cell.calibration];
  const std::size_t samples = cell.job.calibration.samples;
  own.calibration.tokens.resize(samples * own.calibration.sequence_length);
  own.sample_ids.resize(std::min(samples, own.sample_ids.size()));
  if (!own.overlap.empty()) {  // all of its sequences may overlap, and the first ones not
    own.overlap = overlap_mark(own.calibration, own.evaluation);
  }
  return own;
}

Attributes made_by(const Attributes& job) {
  Attributes all;
  for (const auto& [key, value] : job) {
    if (is_made_by(key)) all[key] = value;
  }
  return all;
}

void expect_made_alike(const Attributes& before, const Attributes& now, const std::string& where) {
  if (!before.empty()) expect_equal(before, now, where, "made otherwise than the study's results");
}

StudyResults look_for_results(const Study& study, const std::vector<Inputs>& inputs) {
  StudyResults results;
  for (std::size_t cell = 0; cell < study.cells.size(); ++cell) {
    const StudyCell& one = study.cells[cell];
    const std::string& file = one.job.output.result;
    tell_progress();
    if (!std::filesystem::exists(file)) {
      results.missing.push_back(cell);
      continue;
    }
    Attributes found = read_result(file).result.job;
    const Attributes made = made_by(found);
    expect_made_alike(results.made_by, made, file);
    results.made_by = made;
    std::erase_if(found, [](const auto& entry) { return is_made_by(entry.first); });
    expect_equal(describe_content(one.job, inputs_of(one, inputs)), found, file,
                 "result of another job");
  }
  return results;
}

}  // namespace fp8cal
