#include "coordinator/profile/profile_request.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>

#include "jobs/byte_size.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "sharding/grid.hpp"

namespace fp8cal {
namespace {

constexpr const char* kKeys[] = {"model.path", "runtime.backend", "runtime.device_memory",
                                 "runtime.threads", "output.result"};

const std::vector<std::string> kVariants = {"bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"};
const std::vector<std::string> kKv = {"bf16", "e4m3", "e5m2"};
const std::vector<std::size_t> kBatches = {1, 8, 32, 128};
constexpr std::size_t kPrompts[] = {128, 512, 2048, 8192, 32768, 131072};
constexpr std::size_t kContexts[] = {2048, 32768};

std::vector<std::string> variant_names() {
  std::vector<std::string> names = recipe_names();
  names.insert(names.begin(), "bf16");
  return names;
}

/// Of `given`, or else of `defaults`.
std::vector<std::string> named(const char* option, const std::vector<std::string>& given,
                               const std::vector<std::string>& defaults,
                               const std::vector<std::string>& known) {
  for (const std::string& name : given) {
    if (std::ranges::find(known, name) != known.end()) continue;
    throw InputError(option, "bad value", fmt::format("of {}", fmt::join(known, ", ")),
                     "'" + name + "'");
  }
  return given.empty() ? defaults : given;
}

/// Of `given`, or else those of `defaults` that are at most `most`, or `most` itself.
std::vector<std::size_t> lengths(const char* option, const std::vector<std::size_t>& given,
                                 std::span<const std::size_t> defaults, std::size_t most,
                                 const ModelConfig& config) {
  for (const std::size_t length : given) {
    if (length <= most) continue;
    throw InputError(option, "more tokens than the model has positions for",
                     fmt::format("at most {} (max_position_embeddings {})", most,
                                 config.max_position_embeddings),
                     fmt::to_string(length));
  }
  if (!given.empty()) return given;
  std::vector<std::size_t> fitting;
  std::ranges::copy_if(defaults, std::back_inserter(fitting),
                       [&](std::size_t length) { return length <= most; });
  if (fitting.empty()) fitting.push_back(most);
  return fitting;
}

/// The largest number of tokens, below `too_many`, that fits; 0 where none does.
std::size_t most_that_fit(const std::function<bool(std::size_t)>& fits, std::size_t too_many) {
  std::size_t most = 0;
  while (too_many - most > 1) {
    const std::size_t middle = most + (too_many - most) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  return most;
}

}  // namespace

bool is_profile_key(const std::string& key) {
  return std::ranges::find(kKeys, key) != std::end(kKeys);
}

Job profile_job(const std::vector<JobOption>& keys) {
  // What a job cannot do without, but a profile has no use for.
  std::vector<JobOption> all = {{"evaluation.dataset", "none"}};
  all.insert(all.end(), keys.begin(), keys.end());
  const bool writes =
      std::ranges::any_of(keys, [](const JobOption& one) { return one.key == "output.result"; });
  if (!writes) all.push_back({"output.result", "none"});
  Job job = read_job({}, all);
  if (!writes) job.output.result.clear();
  return job;
}

ProfileRequest make_request(const ProfileOptions& options, const Job& job,
                            const ModelConfig& config, int ranks, int threads) {
  if (config.stored_recipe) {
    throw InputError(job.model.path, "model to profile", "one in BF16",
                     "a checkpoint that is " + config.stored_recipe->name + " already");
  }
  check_grid({.tensor = ranks}, config, 1);
  const std::size_t positions = config.max_position_embeddings;
  if (positions < 2) {
    throw InputError(job.model.path, "max_position_embeddings", "at least 2",
                     fmt::to_string(positions));
  }
  ProfileRequest request;
  request.model = job.model.path;
  request.scales = options.scales;
  request.variants = named("--variants", options.variants, kVariants, variant_names());
  request.kv = named("--kv", options.kv, kKv, kKv);
  request.prompts = lengths("--prompts", options.prompts, kPrompts, positions, config);
  request.decode_batches = options.decode_batches.empty() ? kBatches : options.decode_batches;
  // One position is for the token that is decoded.
  request.contexts = lengths("--contexts", options.contexts, kContexts, positions - 1, config);
  request.backend = job.runtime.backend;
  request.device_memory = job.runtime.device_memory.value_or(0);
  request.threads = job.runtime.threads.value_or(threads);
  return request;
}

void check_prompts_fit(const ProfileRequest& request, const PromptBytes& needed,
                       std::uint64_t budget) {
  const std::size_t longest = std::ranges::max(request.prompts);
  const auto largest = [&](std::size_t tokens) {
    std::uint64_t most = 0;
    for (const std::string& variant : request.variants) {
      for (const std::string& kv : request.kv) most = std::max(most, needed(variant, kv, tokens));
    }
    return most;
  };
  const auto fits = [&](std::size_t tokens) { return largest(tokens) <= budget; };
  if (fits(longest)) return;
  const std::size_t most = most_that_fit(fits, longest);
  if (most == 0) {
    throw InputError("runtime.device_memory", "too little for a prompt of any length",
                     format_byte_size(largest(1)), format_byte_size(budget));
  }
  throw InputError("--prompts", "a prompt that does not fit in device memory",
                   fmt::format("at most {} tokens in {}", most, format_byte_size(budget)),
                   fmt::format("{}, which need {}", longest, format_byte_size(largest(longest))));
}

}  // namespace fp8cal
