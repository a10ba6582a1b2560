#include "coordinator/profile/answer_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "coordinator/profile/pass_limits.hpp"
#include "coordinator/profile/profile_table.hpp"

namespace fp8cal {
namespace {

using Row = std::vector<std::string>;

constexpr const char* kByPrompt = "setting, by prompt";

/// A table under its title, after an empty line; nothing where it has no rows.
std::string titled(const std::string& title, const TextTable& table) {
  return table.rows.empty() ? "" : fmt::format("\n{}\n{}", title, folded_text(table));
}

template <class Numbers>
Row header_of(const std::string& first, const std::string& before, const Numbers& numbers) {
  Row header = {first};
  for (const auto number : numbers) header.push_back(fmt::format("{}{}", before, number));
  return header;
}

std::string lowest_text(const ProfileAnswer& answer) {
  TextTable prefill = {{"prompt", "setting", "ms", "times BF16's speed"}, {}};
  for (const FastestPrefill& one : answer.prefill) {
    prefill.rows.push_back({fmt::to_string(one.prompt), one.fastest.setting.name(),
                            ms_text(one.fastest.seconds), gain_text(one.fastest.gain)});
  }
  TextTable decoding = {{"sequences", "context", "setting", "ms", "times BF16's speed"}, {}};
  for (const FastestDecoding& one : answer.decoding) {
    decoding.rows.push_back({fmt::to_string(one.batch), fmt::to_string(one.context),
                             one.fastest.setting.name(), ms_text(one.fastest.seconds),
                             gain_text(one.fastest.gain)});
  }
  return titled("lowest time to first token", prefill) +
         titled("lowest time per output token", decoding);
}

/// A row a prompt and batch, a column a length of the output.
std::string totals_text(const ProfileAnswer& answer) {
  std::set<std::size_t> outputs;
  for (const FastestTotal& one : answer.totals) outputs.insert(one.output);
  TextTable table = {header_of("prompt x sequences", "output of ", outputs), {}};
  for (const FastestTotal& one : answer.totals) {
    const std::string name = fmt::format("{} x {}", one.prompt, one.batch);
    if (table.rows.empty() || table.rows.back().front() != name) table.rows.push_back({name});
    table.rows.back().push_back(
        fmt::format("{} {}", one.fastest.setting.name(), gain_text(one.fastest.gain)));
  }
  return titled("lowest total time, and times BF16's speed", table);
}

/// For each batch a row a setting and a column a prompt.
std::string crossovers_text(const ProfileFigures& figures, const ProfileAnswer& answer) {
  std::string text;
  for (const std::size_t batch : figures.batches()) {
    TextTable table = {header_of(kByPrompt, "", figures.prompts()), {}};
    for (const SettingCrossover& one : answer.crossovers) {
      if (one.batch != batch) continue;
      if (table.rows.empty() || table.rows.back().front() != one.setting.name()) {
        table.rows.push_back({one.setting.name()});
      }
      table.rows.back().push_back(crossover_text(one.crossover));
    }
    text += titled(fmt::format("faster than BF16 in all, {}: from how many output tokens",
                               sequences_text(batch)),
                   table);
  }
  return text;
}

std::string scaling_text(const ProfileFigures& figures) {
  TextTable table = {header_of(kByPrompt, "", figures.prompts()), {}};
  if (figures.prompts().empty()) return "";
  for (const Setting& setting : figures.settings()) {
    if (setting.is_bf16()) continue;
    Row row = {setting.name()};
    for (const std::size_t prompt : figures.prompts()) {
      const ProfiledPass* pass = figures.prefill(setting, prompt);
      row.push_back(share_text(pass == nullptr ? std::nullopt : scaling_share(*pass)));
    }
    table.rows.push_back(std::move(row));
  }
  return titled("scaling and casting, share of the time to first token", table);
}

std::string pass_text(const PassKey& key) {
  return key.decodes ? fmt::format("{} at {}", sequences_text(key.sequences), key.tokens)
                     : fmt::format("prompt of {}", key.tokens);
}

/// A row a pass, a column a kind of keys and values.
std::string savings_text(const ProfileAnswer& answer) {
  TextTable table = {{"pass, by keys and values"}, {}};
  std::map<std::string, std::map<std::string, std::string>> cells;  // by pass and kind
  std::vector<std::string> passes;                                  // as measured
  for (const StaticSaving& one : answer.savings) {
    const std::string name = pass_text(one.key);
    if (!cells.contains(name)) passes.push_back(name);
    cells[name][one.key.kv] = fmt::format("{} ms, {:.1f} %", ms_text(one.seconds), 100 * one.share);
    if (std::ranges::find(table.header, one.key.kv) == table.header.end()) {
      table.header.push_back(one.key.kv);
    }
  }
  for (const std::string& pass : passes) {
    Row row = {pass};
    for (std::size_t c = 1; c < table.header.size(); ++c) {
      const std::string& cell = cells[pass][table.header[c]];
      row.push_back(cell.empty() ? "-" : cell);
    }
    table.rows.push_back(std::move(row));
  }
  return titled("what fp8-static saves of fp8-dynamic's time", table);
}

std::string limit_cell(const LatencyProfile& profile, const ProfiledPass* pass) {
  if (pass == nullptr) return "-";
  const std::optional<Limit> limit = limit_of(*pass, profile.ceilings, profile.native_fp8);
  return limit ? fmt::format("{:.0f} % {}", 100 * limit->share, limit_name(limit->kind)) : "-";
}

/// A row a setting, a column a prompt, or a batch and context.
std::string limits_text(const LatencyProfile& profile, const ProfileFigures& figures) {
  TextTable prefill = {header_of(kByPrompt, "", figures.prompts()), {}};
  TextTable decoding = {{"setting"}, {}};
  for (const std::size_t batch : figures.batches()) {
    for (const std::size_t context : figures.contexts()) {
      decoding.header.push_back(fmt::format("{} at {}", batch, context));
    }
  }
  for (const Setting& setting : figures.settings()) {
    Row prompts = {setting.name()}, batches = {setting.name()};
    for (const std::size_t prompt : figures.prompts()) {
      prompts.push_back(limit_cell(profile, figures.prefill(setting, prompt)));
    }
    for (const std::size_t batch : figures.batches()) {
      for (const std::size_t context : figures.contexts()) {
        batches.push_back(limit_cell(profile, figures.decoding(setting, batch, context)));
      }
    }
    prefill.rows.push_back(std::move(prompts));
    decoding.rows.push_back(std::move(batches));
  }
  std::string text;
  if (!figures.prompts().empty()) {
    text += titled("what limits the first token: share of the measured ceiling", prefill);
  }
  if (!figures.batches().empty()) {
    text += titled("what limits an output token (sequences at context)", decoding);
  }
  return text;
}

}  // namespace

std::string crossover_text(const Crossover& crossover) {
  switch (crossover.kind) {
    case Crossover::Kind::always:
      return "always";
    case Crossover::Kind::from:
      return fmt::format("from {}", crossover.tokens);
    case Crossover::Kind::never:
      return "never";
    case Crossover::Kind::up_to:
      return fmt::format("up to {}", crossover.tokens);
    case Crossover::Kind::unknown:
      return "-";
  }
  return "";
}

std::string answer_text(const LatencyProfile& profile, const ProfileAnswer& answer) {
  const ProfileFigures figures(profile);
  std::string text = limits_text(profile, figures) + lowest_text(answer) + totals_text(answer) +
                     crossovers_text(figures, answer) + scaling_text(figures) +
                     savings_text(answer);
  if (!answer.missing.empty()) text += "\nnot measured\n";
  for (const std::string& line : answer.missing) text += "  " + line + "\n";
  return text;
}

}  // namespace fp8cal
