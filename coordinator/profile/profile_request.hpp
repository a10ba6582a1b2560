#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "coordinator/profile/profile_options.hpp"
#include "jobs/job.hpp"
#include "jobs/model_config.hpp"

namespace fp8cal {

/// What a latency profile is to measure, checked against the model: the same on every rank.
struct ProfileRequest {
  std::string model;                        ///< folder of a checkpoint in BF16
  std::string scales;                       ///< a result file; empty: scales are made up
  std::vector<std::string> variants;        ///< "bf16", or recipes that say nothing of KV
  std::vector<std::string> kv;              ///< "bf16", "e4m3" or "e5m2"
  std::vector<std::size_t> prompts;         ///< tokens, computed one prompt at a time
  std::vector<std::size_t> decode_batches;  ///< sequences that are decoded together
  std::vector<std::size_t> contexts;        ///< tokens that each of them has already
  std::string backend;                      ///< "cpu", "cuda" or "auto"
  std::uint64_t device_memory = 0;          ///< bytes of a rank; 0: all
  int threads = 0;                          ///< of a rank on the host, at least 1
};

/// Whether `fp8cal profile` takes this key of a job file as an option.
bool is_profile_key(const std::string& key);

/// The values of such keys as they were given. Throws InputError where model.path is missing or a
/// value is bad. output.result is empty where it was not given.
Job profile_job(const std::vector<JobOption>& keys);

/// The request of `options` on the model `config` of `job`, a profile_job, by `ranks` ranks that
/// slice each tensor. A default leaves out what is beyond the model's positions. threads: of this
/// rank where the job does not say. Throws InputError for an unknown variant or kind of keys and
/// values, a prompt or context that the model has no positions for, a checkpoint that is FP8
/// already, and ranks that cannot slice the model evenly.
ProfileRequest make_request(const ProfileOptions& options, const Job& job,
                            const ModelConfig& config, int ranks, int threads);

/// Bytes of device memory that a rank needs to compute a prompt of so many tokens: not less for
/// more tokens.
using PromptBytes = std::function<std::uint64_t(const std::string& variant, const std::string& kv,
                                                std::size_t tokens)>;

/// Throws InputError naming the longest prompt that would fit where one of the request does not fit
/// in `budget` bytes with each variant and kind of keys and values.
void check_prompts_fit(const ProfileRequest& request, const PromptBytes& needed,
                       std::uint64_t budget);

}  // namespace fp8cal
