#include "coordinator/bench_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace fp8cal {
namespace {

constexpr const char* kOther = "gathers and gaps";

double per_second(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

const StageTime& stage_named(const std::vector<StageTime>& stages, const std::string& name) {
  return *std::find_if(stages.begin(), stages.end(),
                       [&](const StageTime& one) { return one.stage == name; });
}

/// The kernels, slowest first, then what lies between them.
std::vector<KernelTime> lines_of(const KernelProfile& profile) {
  std::vector<KernelTime> lines = profile.kernels;
  std::stable_sort(lines.begin(), lines.end(),
                   [](const KernelTime& a, const KernelTime& b) { return a.seconds > b.seconds; });
  lines.push_back({.kernel = kOther, .seconds = profile.other_seconds()});
  return lines;
}

double sum_of(const std::vector<KernelTime>& lines) {
  double sum = 0;
  for (const KernelTime& line : lines) sum += line.seconds;
  return sum;
}

/// Bytes a second; 0 of products and attention, which arithmetic bounds in a microbatch.
double memory_speed(const KernelTime& line) {
  return line.flop > 0 ? 0 : per_second(line.bytes, line.seconds);
}

/// A figure, or blanks where there is none.
std::string cell(double figure, int width, int decimals) {
  return figure > 0 ? fmt::format(" {:>{}.{}f}", figure, width, decimals)
                    : std::string(static_cast<std::size_t>(width) + 1, ' ');
}

std::string stage_line(const StageTime& stage, double ranks) {
  const double flops = per_second(stage.flop, stage.seconds) / 1e12;
  return fmt::format("{:<22} {:>9.3f}", stage.stage, stage.seconds) +
         cell(per_second(static_cast<double>(stage.tokens), stage.seconds), 11, 0) +
         cell(flops, 10, 3) + cell(flops / ranks, 10, 3) +
         cell(per_second(static_cast<double>(stage.bytes), stage.seconds) / 1e9, 8, 2);
}

std::string stage_table(const BenchReport& report) {
  const char* each = report.backend == "cuda" ? "per GPU" : "per rank";
  std::string text = fmt::format("{:<22} {:>9} {:>11} {:>10} {:>10} {:>8}\n", "stage", "seconds",
                                 "tokens/s", "TFLOP/s", each, "GB/s");
  for (const StageTime& stage : report.stages) {
    std::string line = stage_line(stage, static_cast<double>(report.places.size()));
    line.erase(line.find_last_not_of(' ') + 1);
    if (stage.stage == "calibrate") {
      line += fmt::format("   observers: {:+.1f} %", observer_percent(report.stages));
    }
    text += line + "\n";
  }
  return text;
}

std::string profile_table(const PassProfile& pass) {
  const std::vector<KernelTime> lines = lines_of(pass.profile);
  const double sum = sum_of(lines);
  std::string text = fmt::format("\n{}: one microbatch on rank 0, {} tokens, {:.3f} ms\n",
                                 pass.pass, pass.tokens, pass.profile.seconds * 1e3);
  text += fmt::format("{:<38} {:>7} {:>11} {:>8} {:>10} {:>9}\n", "kernel", "calls", "ms", "share",
                      "TFLOP/s", "GB/s");
  for (const KernelTime& line : lines) {
    std::string row = fmt::format("{:<38} {:>7} {:>11.3f} {:>6.1f} %", line.kernel,
                                  line.calls == 0 ? "" : std::to_string(line.calls),
                                  line.seconds * 1e3, 100 * per_second(line.seconds, sum)) +
                      cell(per_second(line.flop, line.seconds) / 1e12, 10, 3) +
                      cell(memory_speed(line) / 1e9, 9, 2);
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  }
  return text;
}

nlohmann::ordered_json stage_json(const StageTime& stage, const BenchReport& report) {
  nlohmann::ordered_json json = {{"stage", stage.stage}, {"seconds", stage.seconds}};
  if (stage.tokens != 0) {
    const double flops = per_second(stage.flop, stage.seconds) / 1e12;
    json["tokens"] = stage.tokens;
    json["tokens_per_s"] = per_second(static_cast<double>(stage.tokens), stage.seconds);
    json["tflops"] = flops;
    json["tflops_per_rank"] = flops / static_cast<double>(report.places.size());
  }
  if (stage.bytes != 0) {
    json["bytes"] = stage.bytes;
    json["gb_per_s"] = per_second(static_cast<double>(stage.bytes), stage.seconds) / 1e9;
  }
  if (stage.stage == "calibrate") json["observer_percent"] = observer_percent(report.stages);
  return json;
}

nlohmann::ordered_json profile_json(const PassProfile& pass) {
  const std::vector<KernelTime> lines = lines_of(pass.profile);
  const double sum = sum_of(lines);
  auto kernels = nlohmann::ordered_json::array();
  for (const KernelTime& line : lines) {
    nlohmann::ordered_json kernel = {{"kernel", line.kernel}};
    if (line.calls != 0) kernel["calls"] = line.calls;
    kernel["seconds"] = line.seconds;
    kernel["share"] = per_second(line.seconds, sum);
    if (line.flop > 0) kernel["tflops"] = per_second(line.flop, line.seconds) / 1e12;
    if (line.bytes > 0 && line.flop == 0) kernel["gb_per_s"] = memory_speed(line) / 1e9;
    kernels.push_back(std::move(kernel));
  }
  return {{"pass", pass.pass},
          {"rank", 0},
          {"tokens", pass.tokens},
          {"seconds", pass.profile.seconds},
          {"kernels", std::move(kernels)}};
}

}  // namespace

double observer_percent(const std::vector<StageTime>& stages) {
  const double forward = stage_named(stages, "forward").seconds;
  return 100 * per_second(stage_named(stages, "calibrate").seconds - forward, forward);
}

std::string bench_text(const BenchReport& report) {
  std::string text = fmt::format(
      "model       {}: {} elements in linear layers\n"
      "partition   {} on {} {}, microbatch {}{}\nrank 0      {}\nGEMM check  {}\n\n",
      report.model, report.linear_elements, report.partition, report.places.size(),
      report.places.size() == 1 ? "rank" : "ranks", report.microbatch,
      report.chunks == 1
          ? ""
          : fmt::format(", weights streamed in {} chunks (load: waiting for them)", report.chunks),
      report.places.front(), report.gemm_check);
  text += stage_table(report);
  for (const PassProfile& pass : report.profiles) text += profile_table(pass);
  return text;
}

std::string bench_json(const BenchReport& report) {
  auto stages = nlohmann::ordered_json::array();
  for (const StageTime& stage : report.stages) stages.push_back(stage_json(stage, report));
  auto profiles = nlohmann::ordered_json::array();
  for (const PassProfile& pass : report.profiles) profiles.push_back(profile_json(pass));
  const nlohmann::ordered_json json = {{"version", report.version},
                                       {"model", report.model},
                                       {"linear_elements", report.linear_elements},
                                       {"backend", report.backend},
                                       {"ranks", report.places.size()},
                                       {"places", report.places},
                                       {"partition", report.partition},
                                       {"microbatch", report.microbatch},
                                       {"chunks", report.chunks},
                                       {"gemm_check", report.gemm_check},
                                       {"stages", std::move(stages)},
                                       {"profiles", std::move(profiles)}};
  // A path need not be UTF-8.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace fp8cal
