#include "coordinator/study/study_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "coordinator/status/text_table.hpp"
#include "coordinator/verdict.hpp"
#include "jobs/atomic_file.hpp"

namespace fp8cal {
namespace {

using Json = nlohmann::ordered_json;

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:+.4f} to {:+.4f}", interval->low, interval->high) : "-";
}

bool has_changes(const StudyTable& table) {
  return std::ranges::any_of(table.rows,
                             [](const StudyRow& row) { return row.change.has_value(); });
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

TextTable results_table(const Study& study, const StudyFigures& figures) {
  TextTable text{.header = {"dataset", "seed", "samples", "policy", "recipe", "perplexity_bf16",
                            "perplexity", "difference", "verdict", "content_digest", "file"},
                 .rows = {}};
  for (const StudyFigure& one : figures.all) {
    text.rows.push_back({one.dataset, fmt::to_string(one.seed), fmt::to_string(one.samples),
                         one.policy, one.recipe, fmt::to_string(one.bf16),
                         fmt::to_string(one.perplexity), fmt::to_string(one.difference()),
                         verdict(one.difference()), figures.digests[one.cell],
                         study.cells[one.cell].job.output.result});
  }
  return text;
}

Json json_of(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return {{"low", interval->low}, {"high", interval->high}};
}

Json json_of(const StudyTable& table) {
  Json rows = Json::array();
  for (const StudyRow& row : table.rows) {
    Json one = {{"keys", row.keys},
                {"results", row.results},
                {"difference", row.difference},
                {"interval", json_of(row.interval)},
                {"least", row.least},
                {"most", row.most},
                {"deviation", row.deviation},
                {"verdict", verdict(row.difference)}};
    if (row.change) {
      one["change"] = *row.change;
      one["change_interval"] = json_of(row.change_interval);
    }
    rows.push_back(std::move(one));
  }
  return {{"name", table.name},
          {"title", table.title},
          {"keys", table.keys},
          {"rows", std::move(rows)},
          {"notes", table.notes}};
}

Json results_json(const Study& study, const StudyFigures& figures) {
  Json results = Json::array();
  for (std::size_t cell = 0; cell < study.cells.size(); ++cell) {
    const StudyCell& one = study.cells[cell];
    const Job& job = one.job;
    results.push_back({{"dataset", study.calibrations[one.calibration].dataset},
                       {"seed", job.calibration.seed},
                       {"samples", job.calibration.samples},
                       {"policy", job.scales.policy},
                       {"file", std::filesystem::path(job.output.result)
                                    .lexically_relative(study.file.parent_path())
                                    .string()},
                       {"content_digest", figures.digests[cell]},
                       {"reportable", figures.objections[cell].empty()},
                       {"recipes", Json::array()}});
  }
  for (const StudyFigure& one : figures.all) {
    results[one.cell]["recipes"].push_back({{"recipe", one.recipe},
                                            {"perplexity_bf16", one.bf16},
                                            {"perplexity", one.perplexity},
                                            {"difference", one.difference()},
                                            {"verdict", verdict(one.difference())}});
  }
  return results;
}

Json protocol_json(const Study& study) {
  const Job& job = study.cells.front().job;
  return {{"model", job.model.path},
          {"calibration_sequence_length", job.calibration.sequence_length},
          {"evaluation_dataset", job.evaluation.dataset},
          {"evaluation_sequence_length", job.evaluation.sequence_length}};
}

}  // namespace

std::string study_text(const Study& study, const StudyFigures& figures,
                       const std::vector<StudyTable>& tables) {
  std::string text;
  for (const StudyTable& table : tables) {
    text += fmt::format("\n{}: perplexity difference, FP8 minus BF16\n{}", table.title,
                        aligned_text(short_table(table)));
    for (const std::string& note : table.notes) text += note + "\n";
  }
  const auto objection =
      std::ranges::find_if_not(figures.objections, [](const auto& one) { return one.empty(); });
  if (objection != figures.objections.end()) text += "\n" + *objection + "\n";
  const Job& job = study.cells.front().job;
  return text + fmt::format(
                    "\ncalibrated on sequences of {} tokens, evaluated on {} x {} tokens of {}\n"
                    "{} results in {}\nstudy {}\n",
                    job.calibration.sequence_length, figures.all.front().sums.base.size(),
                    job.evaluation.sequence_length,
                    std::filesystem::path(job.evaluation.dataset).filename().string(),
                    study.cells.size(), study.results.string(), study.file.string());
}

std::string study_json(const Study& study, const StudyFigures& figures,
                       const std::vector<StudyTable>& tables) {
  Json all = Json::array();
  for (const StudyTable& table : tables) all.push_back(json_of(table));
  const Json json = {{"format", "fp8cal-study"},
                     {"version", 1},
                     {"protocol", protocol_json(study)},
                     {"results", results_json(study, figures)},
                     {"tables", std::move(all)}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_study_csv(const std::filesystem::path& folder, const Study& study,
                     const StudyFigures& figures, const std::vector<StudyTable>& tables) {
  std::error_code ignored;  // writing says what is wrong
  std::filesystem::create_directories(folder, ignored);
  const auto write = [&folder](const std::string& name, const TextTable& table) {
    const std::string text = csv_text(table);
    write_atomically(folder / (name + ".csv"), std::as_bytes(std::span(text)));
  };
  write("results", results_table(study, figures));
  for (const StudyTable& table : tables) write(table.name, full_table(table));
}

}  // namespace fp8cal
