#include "coordinator/summary.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/protocol/protocol.hpp"
#include "coordinator/scales/diagnostics_text.hpp"
#include "coordinator/scales/outliers.hpp"
#include "coordinator/verdict.hpp"
#include "jobs/byte_size.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kOutliersShown = 5;

std::string run_text(Range range) {
  return range.count == 0 ? "none" : fmt::format("{}-{}", range.first, range.end() - 1);
}

/// A row a variant; without BF16 there is nothing to compare with.
std::string perplexity_table(const Job& job, const Result& result) {
  const auto bf16 = result.perplexity.find("bf16");
  std::string text = fmt::format("\n{:<28} {:>10}", "variant", "perplexity");
  if (bf16 == result.perplexity.end()) {
    text += "\n";
    for (const auto& [variant, own] : result.perplexity) {
      text += fmt::format("{:<28} {:>10.4f}\n", variant, own.ppl());
    }
    return text;
  }
  text += fmt::format(" {:>10}  {:<20} {:>8} {:>7}  {}\n", "difference", "95 % interval", "mean KL",
                      "top-1", "verdict");
  text += fmt::format("{:<28} {:>10.4f}\n", "bf16", bf16->second.ppl());
  for (const std::string& recipe : job.scales.recipes) {
    const Perplexity& own = result.perplexity.at(recipe);
    const double difference = own.ppl() - bf16->second.ppl();
    const auto range = result.differences.find(recipe);
    const bool compared = !own.kl.empty();
    text += fmt::format(
        "{:<28} {:>10.4f} {:>+10.4f}  {:<20} {:>8} {:>7}  {}\n", recipe, own.ppl(), difference,
        range == result.differences.end()
            ? "one window only"
            : fmt::format("{:+.4f} to {:+.4f}", range->second.low, range->second.high),
        compared ? fmt::format("{:.5f}", own.mean_kl()) : "-",
        compared ? fmt::format("{:.2f} %", 100 * own.top1_agreement()) : "-",
        verdict(difference, result.job));
  }
  return text;
}

}  // namespace

std::string summarize(const Job& job, const Outcome& outcome) {
  const Result& result = outcome.result;
  std::string text = perplexity_table(job, result);
  if (!result.activations.empty()) {
    text += "\nlargest outlier channels: amax, and how far it stands above the median channel\n";
  }
  for (const OutlierChannel& one : largest_outliers(result.activations, kOutliersShown)) {
    text += fmt::format("  {:<36} channel {:>6} {:>12.4f} {:>8.1f} x\n", one.module, one.channel,
                        one.amax, one.over_median);
  }
  text += describe_diagnostics(result);
  if (const auto overlap = result.job.find(kOverlapAttribute); overlap != result.job.end()) {
    text += fmt::format("\nnot to be reported: {}\n", std::get<std::string>(overlap->second));
  }
  text += fmt::format(
      "\nweights {}, {}\n"
      "partition {}, {:.1f} s, device memory {} of {} planned\n{}content digest {}\nresult {}\n",
      std::get<std::string>(result.job.at("weights_format")), text_of(protocol_of(result)),
      outcome.plan.grid.to_string(), outcome.seconds, format_byte_size(outcome.peak_memory),
      format_byte_size(outcome.plan.memory.total()),
      outcome.plan.streams() ? "weights were streamed through device memory\n" : "", outcome.digest,
      job.output.result);
  return text;
}

std::string describe_plan(const Plan& plan, const ModelConfig& config, std::uint64_t budget) {
  const Workload& work = plan.work;
  std::string text = fmt::format("partition   {} on {} rank{}: {}\n", plan.grid.to_string(),
                                 plan.ranks.size(), plan.ranks.size() == 1 ? "" : "s", plan.reason);
  text += fmt::format("model       {} layers, hidden {}, {} heads, {} KV heads, vocabulary {}\n",
                      config.num_hidden_layers, config.hidden_size, config.num_attention_heads,
                      config.num_key_value_heads, config.vocab_size);
  text += fmt::format("work        calibrate {} x {} tokens, evaluate {} x {}, microbatch {}\n",
                      work.calibration_sequences, work.calibration_length, work.evaluation_windows,
                      work.evaluation_length, work.microbatch);
  text += fmt::format(
      "memory      {} of {} a rank: weights {}, copies {} or statistics {}, BF16 reference {}, "
      "workspace {}, runtime {}\n",
      format_byte_size(plan.memory.total()), format_byte_size(budget),
      format_byte_size(plan.memory.weights), format_byte_size(plan.memory.quantized),
      format_byte_size(plan.memory.statistics), format_byte_size(plan.memory.reference),
      format_byte_size(plan.memory.workspace), format_byte_size(plan.memory.runtime));
  text +=
      fmt::format("weights     {}\n",
                  plan.streams() ? fmt::format("streamed, {} layers at once", plan.layers_at_once)
                                 : "stay in memory");
  text += "\nrank  layers    rows     calibration  evaluation\n";
  for (std::size_t r = 0; r < plan.ranks.size(); ++r) {
    const RankPlan& rank = plan.ranks[r];
    text += fmt::format("{:>4}  {:<8}  {:<7}  {:<11}  {}\n", r, run_text(rank.layers),
                        fmt::format("{}/{}", rank.slice + 1, plan.grid.tensor),
                        run_text(rank.calibration), run_text(rank.evaluation));
  }
  return text;
}

}  // namespace fp8cal
