#include "coordinator/report/distribution_data.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "coordinator/report/distribution_chart.hpp"
#include "coordinator/report/page_parts.hpp"
#include "coordinator/report/sections.hpp"
#include "coordinator/status/printable.hpp"

namespace fp8cal {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~";
constexpr double kStepsADecade = 200;  // 2^64 stays below 64 * 64 of them

nlohmann::ordered_json json_of(const TensorDistribution& tensor, const ScaledRange* range) {
  nlohmann::ordered_json json = {{"says", range_sentence(tensor, range)}};
  if (range == nullptr) return json;
  json["name"] = range_name(*range);
  const auto edge = [](const RangeEdge& one) {
    return nlohmann::ordered_json({{"at", one.position},
                                   {"bin", one.bin},
                                   {"counts", encoded_counts({one.kept, one.beyond})}});
  };
  json["low"] = edge(range->low);
  json["high"] = edge(range->high);
  json["smallest"] = short_number(range->smallest_kept);
  json["largest"] = short_number(range->largest);
  return json;
}

std::string json_of(const std::string& prefix, const TensorDistribution& tensor) {
  nlohmann::ordered_json json = {{"module", printable(prefix + tensor.module)},
                                 {"first", tensor.bins.first},
                                 {"counts", encoded_counts(tensor.bins.counts)}};
  json["ranges"] = nlohmann::ordered_json::array();
  for (const ScaledRange& range : tensor.ranges) json["ranges"].push_back(json_of(tensor, &range));
  if (tensor.ranges.empty()) json["ranges"].push_back(json_of(tensor, nullptr));
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// Nothing in it ends the element that holds it.
std::string for_script(std::string json) {
  std::string safe;
  for (const char c : json) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

}  // namespace

std::string encoded_counts(const std::vector<std::uint64_t>& counts) {
  std::string text;
  for (const std::uint64_t count : counts) {
    if (count == 0) {
      text += "--";
      continue;
    }
    const auto steps = static_cast<std::size_t>(
        std::lround(kStepsADecade * std::log10(static_cast<double>(count))));
    text += kDigits[steps / kDigits.size()];
    text += kDigits[steps % kDigits.size()];
  }
  return text;
}

Markup distribution_data(const ReportFigures& report) {
  std::string list;
  std::size_t left_out = 0;
  for (std::size_t i = 0; i < report.results.size(); ++i) {
    for (const TensorDistribution& tensor : report.results[i].distributions) {
      const std::string json = for_script(json_of(result_prefix(report, i), tensor));
      if (list.size() + json.size() > kMostDistributionBytes) {
        ++left_out;
        continue;
      }
      list += (list.empty() ? "" : ",\n") + json;
    }
  }
  Markup all = Markup::element("script", {{"id", "distributions"}, {"type", "application/json"}},
                               Markup::trusted("[" + list + "]"));
  if (left_out > 0) {
    all +=
        absent(fmt::format("{} tensors more than a page holds cannot be chosen here: report "
                           "fewer results at once, or use --csv.",
                           left_out));
  }
  return all;
}

}  // namespace fp8cal
