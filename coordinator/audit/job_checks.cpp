#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "coordinator/audit/attribute_text.hpp"
#include "coordinator/audit/consistency.hpp"
#include "coordinator/model_attributes.hpp"
#include "coordinator/protocol/overlap_check.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

constexpr const char* kJob = "/job";

class JobChecks {
 public:
  JobChecks(const Result& result, Findings& findings) : result_(result), findings_(findings) {}

  void expect_count(const std::string& key, std::size_t expected) {
    expect<std::int64_t>(key, static_cast<std::int64_t>(expected));
  }

  void expect_digest(const std::string& key, const TokenWindows& windows) {
    expect<std::string>(key, to_hex(sha256(std::as_bytes(std::span(windows.tokens)))));
  }

  /// The mark is there where the tokens deserve it, and nowhere else.
  void expect_overlap() {
    const auto found = result_.job.find(kOverlapAttribute);
    const std::string expected = overlap_mark(result_.calibration, result_.evaluation);
    if (found == result_.job.end() && expected.empty()) return;
    if (found == result_.job.end() || expected.empty() || found->second != Attribute(expected)) {
      findings_.add({kJob, std::string("attribute ") + kOverlapAttribute,
                     expected.empty() ? "none" : expected,
                     attribute_text(result_.job, kOverlapAttribute)});
    }
  }

  void expect_presence(const std::string& key) { find<std::string>(key); }

  void expect_vocabulary(const std::string& name, const TokenWindows& windows) {
    const std::int64_t* size = find<std::int64_t>("model.vocab_size");
    if (size == nullptr) return;
    const auto beyond = std::ranges::find_if(
        windows.tokens, [&](std::uint32_t token) { return std::int64_t{token} >= *size; });
    if (beyond == windows.tokens.end()) return;
    const auto at = static_cast<std::size_t>(beyond - windows.tokens.begin());
    findings_.add({name,
                   fmt::format("window {}, position {}", at / windows.sequence_length,
                               at % windows.sequence_length),
                   fmt::format("a token id below {}", *size), fmt::to_string(*beyond)});
  }

 private:
  template <class T>
  const T* find(const std::string& key) {
    try {
      return &job_attribute<T>(result_.job, key, kJob);
    } catch (const InputError& error) {
      findings_.add(finding_of(error, ""));
      return nullptr;
    }
  }

  template <class T>
  void expect(const std::string& key, const T& expected) {
    const T* found = find<T>(key);
    if (found == nullptr || *found == expected) return;
    findings_.add(
        {kJob, "attribute " + key, fmt::format("{}", expected), fmt::format("{}", *found)});
  }

  const Result& result_;
  Findings& findings_;
};

void check_sample_ids(const Result& result, Findings& findings) {
  std::vector<std::uint32_t> ids = result.sample_ids;
  std::ranges::sort(ids);
  const auto twice = std::ranges::adjacent_find(ids);
  if (twice == ids.end()) return;
  findings.add({"/job/sample_ids", "draw", "each window once", fmt::format("{} twice", *twice)});
}

}  // namespace

void check_job(const Result& result, Findings& findings) {
  JobChecks job(result, findings);
  job.expect_presence("numerics");
  job.expect_presence("weights_digest");
  if (is_calibrated(result)) {
    job.expect_count("calibration.samples", result.calibration.windows());
    job.expect_count("calibration.sequence_length", result.calibration.sequence_length);
    job.expect_digest("calibration_tokens_sha256", result.calibration);
    job.expect_vocabulary("/job/calibration_tokens", result.calibration);
    check_sample_ids(result, findings);
  }
  job.expect_count("evaluation.windows", result.evaluation.windows());
  job.expect_count("evaluation.sequence_length", result.evaluation.sequence_length);
  job.expect_digest("evaluation_tokens_sha256", result.evaluation);
  job.expect_vocabulary("/job/evaluation_tokens", result.evaluation);
  job.expect_overlap();
}

}  // namespace fp8cal
