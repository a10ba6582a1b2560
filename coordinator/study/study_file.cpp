#include "coordinator/study/study_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/study/study.hpp"
#include "coordinator/verdict.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using Ordered = nlohmann::ordered_json;

constexpr const char* kFormat = "fp8cal-study";
constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20;
constexpr std::size_t kMaxString = 4096;  // bytes of a path
constexpr std::size_t kMaxRecipes = 256;
constexpr std::size_t kMaxNotes = 1024;
constexpr std::uint64_t kMaxCount = 1'000'000'000;
/// Of perplexities: what is beyond says no more than that a recipe is broken.
constexpr double kMaxFigure = 1e12;

Ordered json_of(const std::optional<Interval>& interval) {
  if (!interval) return nullptr;
  return {{"low", interval->low}, {"high", interval->high}};
}

Ordered json_of(const StudyTable& table) {
  Ordered rows = Ordered::array();
  for (const StudyRow& row : table.rows) {
    Ordered one = {{"keys", row.keys},
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

Ordered json_of(const StudyResult& result) {
  Ordered one = {{"dataset", result.dataset},
                 {"seed", result.seed},
                 {"samples", result.samples},
                 {"policy", result.policy},
                 {"file", result.file},
                 {"content_digest", result.digest},
                 {"reportable", result.objection.empty()},
                 {"recipes", Ordered::array()}};
  if (!result.objection.empty()) one["objection"] = result.objection;
  for (const StudyPerplexity& own : result.recipes) {
    one["recipes"].push_back({{"recipe", own.recipe},
                              {"perplexity_bf16", own.bf16},
                              {"perplexity", own.perplexity},
                              {"difference", own.difference()},
                              {"verdict", verdict(own.difference())}});
  }
  return one;
}

Ordered protocol_of(const StudyRecord& study) {
  return {{"model", study.model},
          {"calibration_sequence_length", study.calibration_sequence_length},
          {"evaluation_dataset", study.evaluation_dataset},
          {"evaluation_sequence_length", study.evaluation_sequence_length},
          {"evaluation_windows", study.evaluation_windows}};
}

/// Reads members of the objects of one file.
class Reader {
 public:
  explicit Reader(std::string where) : where_(std::move(where)) {}

  StudyRecord study(const json& object) const;

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& expected,
                           const std::string& found) const {
    throw InputError(where_, what, expected, found);
  }

  std::string text(const json& object, const char* key) const {
    return bounded(require_string(object, key, where_), key);
  }

  std::string bounded(const std::string& text, const char* key) const {
    if (text.size() > kMaxString) {
      refuse(key, fmt::format("at most {} bytes", kMaxString), fmt::to_string(text.size()));
    }
    return text;
  }

  std::size_t count(const json& object, const char* key, std::uint64_t least = 1) const {
    return require_unsigned(object, key, where_, least, kMaxCount);
  }

  double figure(const json& object, const char* key, double least = -kMaxFigure) const {
    return require_number(object, key, where_, least, kMaxFigure);
  }

  const json& array(const json& object, const char* key, std::size_t least,
                    std::size_t most) const {
    const json& all = require_array(object, key, where_);
    if (all.size() >= least && all.size() <= most) return all;
    refuse(key, fmt::format("{} to {} of them", least, most), fmt::to_string(all.size()));
  }

  std::vector<std::string> texts(const json& object, const char* key, std::size_t least,
                                 std::size_t most) const {
    std::vector<std::string> all;
    for (const json& one : array(object, key, least, most)) {
      if (!one.is_string()) refuse(key, "strings", shown(one));
      all.push_back(bounded(one.get<std::string>(), key));
    }
    return all;
  }

  std::optional<Interval> interval(const json& object, const char* key) const;
  StudyPerplexity perplexity(const json& object) const;
  StudyResult result(const json& object) const;
  StudyRow row(const json& object) const;
  StudyTable table(const json& object, const char* name, const char* key) const;

  std::string where_;
};

std::optional<Interval> Reader::interval(const json& object, const char* key) const {
  if (require_member(object, key, where_).is_null()) return std::nullopt;
  const json& range = require_object(object, key, where_);
  const Interval own = {.low = figure(range, "low"), .high = figure(range, "high")};
  if (own.low <= own.high) return own;
  refuse(key, "low up to high", fmt::format("{} to {}", own.low, own.high));
}

StudyPerplexity Reader::perplexity(const json& object) const {
  return {.recipe = text(object, "recipe"),
          .bf16 = figure(object, "perplexity_bf16", 0),
          .perplexity = figure(object, "perplexity", 0)};
}

StudyResult Reader::result(const json& object) const {
  StudyResult one = {.dataset = text(object, "dataset"),
                     .seed = require_unsigned(object, "seed", where_),
                     .samples = count(object, "samples"),
                     .policy = text(object, "policy"),
                     .file = text(object, "file"),
                     .digest = text(object, "content_digest"),
                     .objection = {},
                     .recipes = {}};
  const bool is_digest = one.digest.size() == 64 &&
                         one.digest.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_digest) refuse("content_digest", "64 hexadecimal digits", in_quotes(one.digest));
  if (!require_bool(object, "reportable", where_)) one.objection = text(object, "objection");
  for (const json& own : array(object, "recipes", 1, kMaxRecipes)) {
    one.recipes.push_back(perplexity(own));
  }
  return one;
}

StudyRow Reader::row(const json& object) const {
  StudyRow row = {.keys = texts(object, "keys", 2, 2),
                  .results = count(object, "results"),
                  .difference = figure(object, "difference"),
                  .interval = interval(object, "interval"),
                  .least = figure(object, "least"),
                  .most = figure(object, "most"),
                  .deviation = figure(object, "deviation", 0)};
  if (row.least > row.most) {
    refuse("least", "at most 'most'", fmt::format("{} and {}", row.least, row.most));
  }
  return row;
}

StudyTable Reader::table(const json& object, const char* name, const char* key) const {
  StudyTable table = {.name = text(object, "name"),
                      .title = text(object, "title"),
                      .keys = texts(object, "keys", 2, 2),
                      .rows = {},
                      .notes = texts(object, "notes", 0, kMaxNotes)};
  if (table.name != name) refuse("table", name, in_quotes(table.name));
  if (table.keys != std::vector<std::string>{"recipe", key}) {
    refuse(fmt::format("keys of the table of {}", name), fmt::format("recipe, {}", key),
           shown(object.at("keys")));
  }
  for (const json& one : array(object, "rows", 1, kMaxRecipes * kMaxStudyCells)) {
    StudyRow& own = table.rows.emplace_back(row(one));
    if (table.name != "samples") continue;
    own.change = figure(one, "change");
    own.change_interval = interval(one, "change_interval");
    const std::string& samples = own.keys[1];
    if (samples.empty() || samples.size() > 9 || samples[0] == '0' ||
        samples.find_first_not_of("0123456789") != std::string::npos) {
      refuse("keys of the table of samples", "a number of samples", in_quotes(samples));
    }
  }
  return table;
}

StudyRecord Reader::study(const json& object) const {
  require_format(object, kFormat, where_);
  const json& protocol = require_object(object, "protocol", where_);
  StudyRecord study;
  study.model = text(protocol, "model");
  study.calibration_sequence_length = count(protocol, "calibration_sequence_length");
  study.evaluation_dataset = text(protocol, "evaluation_dataset");
  study.evaluation_sequence_length = count(protocol, "evaluation_sequence_length");
  if (protocol.contains("evaluation_windows")) {
    study.evaluation_windows = count(protocol, "evaluation_windows", 0);
  }
  for (const json& one : array(object, "results", 1, kMaxStudyCells)) {
    study.results.push_back(result(one));
    if (!std::ranges::equal(study.results.front().recipes, study.results.back().recipes, {},
                            &StudyPerplexity::recipe, &StudyPerplexity::recipe)) {
      refuse("recipes", "the same of all results", shown(one.at("recipes")));
    }
  }
  const json& tables = array(object, "tables", 3, 3);
  study.datasets = table(tables[0], "datasets", "dataset");
  study.samples = table(tables[1], "samples", "samples");
  study.settings = table(tables[2], "settings", "policy");
  return study;
}

}  // namespace

std::string study_json(const StudyRecord& study) {
  Ordered results = Ordered::array();
  for (const StudyResult& one : study.results) results.push_back(json_of(one));
  Ordered tables = Ordered::array();
  for (const StudyTable* table : study.tables()) tables.push_back(json_of(*table));
  const Ordered all = {{"format", kFormat},
                       {"version", 1},
                       {"protocol", protocol_of(study)},
                       {"results", std::move(results)},
                       {"tables", std::move(tables)}};
  return all.dump(1, ' ', false, Ordered::error_handler_t::replace) + "\n";
}

StudyRecord parse_study(std::string_view text, const std::string& where) {
  return Reader(where).study(parse_json(text, where));
}

StudyRecord read_study_file(const std::filesystem::path& file) {
  return parse_study(read_text_file(file, kMaxBytes), file.string());
}

}  // namespace fp8cal
