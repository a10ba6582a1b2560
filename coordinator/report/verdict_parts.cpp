#include "coordinator/report/verdict_parts.hpp"

#include <fmt/format.h>

#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

/// All bands, the recipe's own marked.
Markup verdict_scale(double difference) {
  const std::size_t own = verdict_band(difference);
  Markup steps;
  for (std::size_t band = 0; band <= kVerdictBands.size(); ++band) {
    const char* range =
        band < kVerdictBands.size() ? kVerdictBands[band].range : kVerdictBeyond.range;
    steps +=
        tag("li", band == own ? Markup::Attributes{{"aria-current", "true"}} : Markup::Attributes{},
            range);
  }
  Markup scale = tag("ol", {{"class", "bands"}, {"aria-label", "size of the difference"}}, steps);
  scale += tag("p", {{"class", "measured"}}, "Size of the difference: smaller is better.");
  return scale;
}

Markup list_of(const std::vector<std::string>& lines) {
  Markup items;
  for (const std::string& line : lines) items += tag("li", line);
  return tag("ul", {}, items);
}

}  // namespace

Markup verdict_card(const VerdictCard& one) {
  Markup card = tag("h3", one.heading);
  if (one.difference) {
    card += tag("p", {{"class", "verdict"}}, verdict(*one.difference));
    card += tag("p", {{"class", "difference"}}, fmt::format("{:+.4f} perplexity", *one.difference));
    card += tag("p", one.interval);
    card += verdict_scale(*one.difference);
  } else {
    card += tag("p", {{"class", "verdict"}}, "not compared with BF16");
  }
  card += tag("p", {{"class", "measured"}}, one.measured);
  return tag("article", {{"class", "card"}}, card);
}

Markup note_of(std::string_view heading, const std::vector<std::string>& lines) {
  Markup note = tag("p", {{"class", "standing"}}, heading);
  note += list_of(lines);
  return note;
}

Markup standing_note(const std::string& prefix, const Standing& standing) {
  Markup note;
  if (!standing.obstacles.empty()) {
    note += note_of(prefix + "Not reportable", standing.obstacles);
  } else {
    note += note_of(prefix + "Reportable", {"calibration and evaluation text do not overlap"});
  }
  if (!standing.warnings.empty()) {
    note += note_of(standing.warnings.size() == 1 ? "Warning" : "Warnings", standing.warnings);
  }
  return tag("div", {{"class", "note"}}, note);
}

std::vector<Tick> verdict_limits() {
  std::vector<Tick> limits;
  for (const VerdictBand& band : kVerdictBands) {
    limits.push_back({band.limit, fmt::format("{:g}", band.limit)});
  }
  return limits;
}

}  // namespace fp8cal
