#include "coordinator/study/study_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "coordinator/status/printable.hpp"
#include "coordinator/verdict.hpp"
#include "jobs/atomic_file.hpp"

namespace fp8cal {
namespace {

bool has_changes(const StudyTable& table) {
  return std::ranges::any_of(table.rows,
                             [](const StudyRow& row) { return row.change.has_value(); });
}

std::string digits(const std::optional<double>& value) {
  return value ? fmt::to_string(*value) : "";
}

std::vector<std::string> digits(const std::optional<Interval>& interval) {
  if (!interval) return {"", ""};
  return {fmt::to_string(interval->low), fmt::to_string(interval->high)};
}

TextTable full_table(const StudyTable& table) {
  TextTable text{.header = table.keys, .rows = {}};
  text.header.insert(text.header.end(),
                     {"results", "difference", "difference_low", "difference_high", "least", "most",
                      "deviation", "change", "change_low", "change_high", "verdict"});
  for (const StudyRow& row : table.rows) {
    std::vector<std::string> cells = row.keys;
    const auto add = [&cells](const std::vector<std::string>& more) {
      cells.insert(cells.end(), more.begin(), more.end());
    };
    add({fmt::to_string(row.results), fmt::to_string(row.difference)});
    add(digits(row.interval));
    add({fmt::to_string(row.least), fmt::to_string(row.most), fmt::to_string(row.deviation),
         digits(row.change)});
    add(digits(row.change_interval));
    add({verdict(row.difference)});
    text.rows.push_back(std::move(cells));
  }
  return text;
}

/// Where the result of a study lies, as the study file is named.
std::filesystem::path path_of(const StudyResult& result, const std::filesystem::path& study) {
  return study.parent_path() / result.file;
}

TextTable results_table(const StudyRecord& study, const std::filesystem::path& file) {
  TextTable text{.header = {"dataset", "seed", "samples", "policy", "recipe", "perplexity_bf16",
                            "perplexity", "difference", "verdict", "content_digest", "file"},
                 .rows = {}};
  for (const StudyResult& one : study.results) {
    for (const StudyPerplexity& own : one.recipes) {
      text.rows.push_back({one.dataset, fmt::to_string(one.seed), fmt::to_string(one.samples),
                           one.policy, own.recipe, fmt::to_string(own.bf16),
                           fmt::to_string(own.perplexity), fmt::to_string(own.difference()),
                           verdict(own.difference()), one.digest, path_of(one, file).string()});
    }
  }
  return text;
}

}  // namespace

StudyRecord study_record(const Study& study, const StudyFigures& figures,
                         const std::vector<StudyTable>& tables) {
  const Job& job = study.cells.front().job;
  StudyRecord record = {.model = job.model.path,
                        .calibration_sequence_length = job.calibration.sequence_length,
                        .evaluation_dataset = job.evaluation.dataset,
                        .evaluation_sequence_length = job.evaluation.sequence_length,
                        .evaluation_windows = figures.all.front().sums.base.size(),
                        .results = {},
                        .datasets = tables.at(0),
                        .samples = tables.at(1),
                        .settings = tables.at(2)};
  for (std::size_t cell = 0; cell < study.cells.size(); ++cell) {
    const StudyCell& one = study.cells[cell];
    record.results.push_back({.dataset = study.calibrations[one.calibration].dataset,
                              .seed = one.job.calibration.seed,
                              .samples = one.job.calibration.samples,
                              .policy = one.job.scales.policy,
                              .file = std::filesystem::path(one.job.output.result)
                                          .lexically_relative(study.file.parent_path())
                                          .string(),
                              .digest = figures.digests[cell],
                              .objection = figures.objections[cell],
                              .recipes = {}});
  }
  for (const StudyFigure& one : figures.all) {
    record.results[one.cell].recipes.push_back(
        {.recipe = one.recipe, .bf16 = one.bf16, .perplexity = one.perplexity});
  }
  return record;
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:+.4f} to {:+.4f}", interval->low, interval->high) : "-";
}

TextTable short_table(const StudyTable& table) {
  TextTable text{.header = table.keys, .rows = {}};
  const bool changes = has_changes(table);
  text.header.insert(text.header.end(),
                     {"results", "difference", "95 % interval", "least to most", "deviation"});
  if (changes) text.header.insert(text.header.end(), {"change to the most", "95 % interval"});
  text.header.push_back("verdict");
  for (const StudyRow& row : table.rows) {
    std::vector<std::string> cells = row.keys;
    cells.insert(cells.end(), {fmt::to_string(row.results), fmt::format("{:+.4f}", row.difference),
                               interval_text(row.interval),
                               fmt::format("{:+.4f} to {:+.4f}", row.least, row.most),
                               row.results > 1 ? fmt::format("{:.4f}", row.deviation) : "-"});
    if (changes) {
      cells.insert(cells.end(), {fmt::format("{:+.4f}", row.change.value_or(0)),
                                 interval_text(row.change_interval)});
    }
    cells.push_back(verdict(row.difference));
    text.rows.push_back(std::move(cells));
  }
  return text;
}

std::string protocol_text(const StudyRecord& study) {
  const std::string windows =
      study.evaluation_windows > 0 ? fmt::format("{} x ", study.evaluation_windows) : "";
  return printable(
      fmt::format("calibrated on sequences of {} tokens, evaluated on {}{} tokens of {}",
                  study.calibration_sequence_length, windows, study.evaluation_sequence_length,
                  std::filesystem::path(study.evaluation_dataset).filename().string()));
}

std::string study_text(const StudyRecord& study, const std::filesystem::path& file) {
  std::string text;
  for (const StudyTable* table : study.tables()) {
    text += fmt::format("\n{}: perplexity difference, FP8 minus BF16\n{}", printable(table->title),
                        aligned_text(short_table(*table)));
    for (const std::string& note : table->notes) text += printable(note) + "\n";
  }
  const auto objection = std::ranges::find_if_not(
      study.results, [](const StudyResult& one) { return one.objection.empty(); });
  if (objection != study.results.end()) {
    text += fmt::format("\n{}\n", printable(objection->objection));
  }
  return text + fmt::format("\n{}\n{} results in {}\nstudy {}\n", protocol_text(study),
                            study.results.size(),
                            printable(path_of(study.results.front(), file).parent_path().string()),
                            printable(file.string()));
}

void write_study_csv(const std::filesystem::path& folder, const StudyRecord& study,
                     const std::filesystem::path& file) {
  std::error_code ignored;  // writing says what is wrong
  std::filesystem::create_directories(folder, ignored);
  const auto write = [&folder](const std::string& name, const TextTable& table) {
    const std::string text = csv_text(table);
    write_atomically(folder / (name + ".csv"), std::as_bytes(std::span(text)));
  };
  write("results", results_table(study, file));
  for (const StudyTable* table : study.tables()) write(table->name, full_table(*table));
}

}  // namespace fp8cal
