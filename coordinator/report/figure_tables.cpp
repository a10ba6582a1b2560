#include "coordinator/report/figure_tables.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "coordinator/report/comparison_figure.hpp"
#include "coordinator/report/latency_csv.hpp"
#include "coordinator/report/tensor_place.hpp"
#include "coordinator/scales/tensor_diagnostics.hpp"

namespace fp8cal {
namespace {

using Row = std::vector<std::string>;

template <class Number>
std::string number(Number value) {
  return fmt::to_string(value);
}

std::string number_or_empty(const auto& value) { return value ? fmt::to_string(*value) : ""; }

const char* name_of_format(Fp8Format format) { return format == Fp8Format::e4m3 ? "e4m3" : "e5m2"; }

void add_perplexity(TextTable& table, const ResultFigures& one) {
  if (one.bf16) table.rows.push_back({one.file, "bf16", number(*one.bf16)});
  for (const RecipeFigures& recipe : one.recipes) {
    const auto& difference = recipe.difference;
    Row row = {one.file, recipe.recipe, number(recipe.perplexity)};
    row.push_back(difference ? number(difference->difference) : "");
    row.push_back(recipe.has_interval ? number(difference->low) : "");
    row.push_back(recipe.has_interval ? number(difference->high) : "");
    row.push_back(number_or_empty(recipe.mean_kl));
    row.push_back(number_or_empty(recipe.top1_agreement));
    row.push_back(recipe.verdict);
    table.rows.push_back(std::move(row));
  }
}

void add_amax(TextTable& table, const ResultFigures& one) {
  for (const auto& [layer, values] : one.amax.rows) {
    for (std::size_t column = 0; column < values.size(); ++column) {
      if (!values[column]) continue;
      table.rows.push_back({one.file, number(layer), kSiteNames[column].column,
                            number(static_cast<float>(*values[column]))});
    }
  }
}

void add_outliers(TextTable& table, const ResultFigures& one) {
  for (const OutlierChannel& channel : one.outliers) {
    table.rows.push_back({one.file, channel.module, number(channel.channel), number(channel.amax),
                          number(channel.over_median)});
  }
}

void add_distributions(TextTable& table, const ResultFigures& one) {
  for (const TensorDistribution& tensor : one.distributions) {
    table.rows.push_back({one.file, tensor.module, "0", "0", number(tensor.bins.zeros)});
    for (std::size_t i = 0; i < tensor.bins.counts.size(); ++i) {
      const std::size_t bin = tensor.bins.first + i;
      table.rows.push_back({one.file, tensor.module, number(bin_begin(bin)),
                            number(bin_begin(bin + 1)), number(tensor.bins.counts[i])});
    }
  }
}

void add_scales(TextTable& table, const ResultFigures& one) {
  for (const TensorDistribution& tensor : one.distributions) {
    for (const ScaledRange& range : tensor.ranges) {
      for (const std::string& recipe : range.recipes) {
        Row row = {one.file,
                   tensor.module,
                   recipe,
                   name_of_format(range.format),
                   number(range.scale),
                   number(range.smallest_kept),
                   number(range.largest),
                   number(tensor.elements)};
        if (!range.per_head) {
          row.insert(row.end(), {number(range.error.clipped), number(range.error.flushed),
                                 number(sqnr_db(range.error))});
        }
        table.rows.push_back(std::move(row));
      }
    }
  }
}

void add_convergence(TextTable& table, const ResultFigures& one) {
  for (const ConvergenceFigure& figure : one.convergence) {
    for (const ConvergencePoint& point : figure.points) {
      table.rows.push_back({one.file, kSiteNames[figure.column].column, number(point.sequences),
                            number(point.median), number(point.least)});
    }
  }
}

void add_kv(TextTable& table, const ResultFigures& one) {
  for (const auto& [name, ranges] :
       {std::pair("K", &one.kv.keys), std::pair("V", &one.kv.values)}) {
    for (const KvRange& range : *ranges) {
      table.rows.push_back({one.file, number(range.layer), name, number(range.amax),
                            number_or_empty(range.smallest_head), number(range.most)});
    }
  }
}

void add_sqnr(TextTable& table, const ResultFigures& one) {
  for (const SqnrFigure& figure : one.sqnr) {
    for (const auto& [layer, values] : figure.grid.rows) {
      for (std::size_t column = 0; column < values.size(); ++column) {
        if (!values[column]) continue;
        table.rows.push_back({one.file, fmt::format("{}", fmt::join(figure.recipes, " ")),
                              figure.weights ? "weight" : "input", number(layer),
                              figure.grid.columns[column], number(*values[column])});
      }
    }
  }
}

void add_timeline(TextTable& table, const ResultFigures& one) {
  for (const TimelineSpan& span : one.timeline.spans) {
    table.rows.push_back({one.file, number(span.rank), span.stage, number(span.begin),
                          number(span.end), number(span.tokens)});
  }
}

void add_throughput(TextTable& table, const ResultFigures& one) {
  for (const RankThroughput& rank : one.timeline.throughput) {
    const bool computes = rank.tokens > 0 && rank.seconds > 0;
    table.rows.push_back({one.file, number(rank.rank), rank.stage, number(rank.seconds),
                          number(rank.tokens),
                          computes ? number(static_cast<double>(rank.tokens) / rank.seconds) : ""});
  }
}

void add_facts(TextTable& table, const ResultFigures& one) {
  const auto add = [&](const char* group, const std::vector<Fact>& facts) {
    for (const Fact& fact : facts) table.rows.push_back({one.file, group, fact.name, fact.value});
  };
  add("origin", one.facts.origin);
  add("job", one.facts.job);
  add("provenance", one.facts.provenance);
}

struct TableMaker {
  const char* name;
  Row header;
  void (*add)(TextTable& table, const ResultFigures& one);
};

const std::vector<TableMaker>& table_makers() {
  static const std::vector<TableMaker> all = {
      {"perplexity",
       {"result", "variant", "perplexity", "difference", "difference_low", "difference_high",
        "mean_kl", "top1_agreement", "verdict"},
       add_perplexity},
      {"amax", {"result", "layer", "tensor", "amax"}, add_amax},
      {"outliers", {"result", "module", "channel", "amax", "over_median"}, add_outliers},
      {"distribution", {"result", "module", "from", "below", "elements"}, add_distributions},
      {"scales",
       {"result", "module", "recipe", "format", "scale", "smallest_kept", "largest", "elements",
        "clipped", "flushed", "sqnr_db"},
       add_scales},
      {"convergence",
       {"result", "tensor", "sequences", "median_share", "least_share"},
       add_convergence},
      {"kv",
       {"result", "layer", "tensor", "amax", "smallest_head_amax", "percentile_99_9"},
       add_kv},
      {"sqnr", {"result", "recipes", "of", "layer", "tensor", "sqnr_db"}, add_sqnr},
      {"timeline", {"result", "rank", "stage", "begin", "end", "tokens"}, add_timeline},
      {"throughput",
       {"result", "rank", "stage", "seconds", "tokens", "tokens_per_second"},
       add_throughput},
      {"provenance", {"result", "group", "name", "value"}, add_facts}};
  return all;
}

std::vector<FigureTable> latency_tables(const ReportFigures& report) {
  std::vector<NamedLatency> profiles;
  for (const ResultFigures& one : report.results) {
    if (one.latency) profiles.emplace_back(one.file, &*one.latency);
  }
  return latency_csv(profiles);
}

}  // namespace

std::vector<FigureTable> figure_tables(const ReportFigures& report) {
  std::vector<FigureTable> tables;
  for (const TableMaker& maker : table_makers()) {
    FigureTable& one = tables.emplace_back(FigureTable{maker.name, {maker.header, {}}});
    for (const ResultFigures& figures : report.results) maker.add(one.table, figures);
    for (Row& row : one.table.rows) row.resize(maker.header.size());
  }
  for (FigureTable& one : latency_tables(report)) tables.push_back(std::move(one));
  if (report.results.size() > 1) tables.push_back({"differences", comparison_table(report)});
  return tables;
}

}  // namespace fp8cal
