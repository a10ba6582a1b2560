#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace fp8cal {

/// A job: what to calibrate, with what, and where the result goes. `fp8cal help job` documents the
/// keys; jobs/job_keys.cpp holds their defaults.
struct Job {
  struct Model {
    std::string path;
  } model;
  struct Calibration {
    std::string dataset;
    std::vector<std::string> fields;
    std::size_t samples = 0;
    std::size_t sequence_length = 0;
    std::uint64_t seed = 0;
  } calibration;
  struct ScaleSettings {
    std::vector<std::string> recipes;  ///< names for find_recipe: scales.recipe and scales.kv
    std::string policy;
  } scales;
  struct Evaluation {
    std::string dataset;
    std::vector<std::string> fields;
    std::size_t sequence_length = 0;
    std::optional<std::size_t> windows;  ///< none: all
    bool compare = true;                 ///< each recipe's next-token distributions with bf16's
    bool allow_overlap = false;          ///< with the calibration text; the result is marked
    std::optional<double> max_delta_ppl;
    std::optional<double> max_kl;  ///< nats a token
  } evaluation;
  struct Partition {
    std::string mode;
  } partition;
  struct Runtime {
    std::string backend;
    std::optional<std::uint64_t> device_memory;  ///< bytes for one rank; none: what the device has
    std::optional<int> threads;                  ///< none: the rank's share of the cores
    std::optional<int> ranks;                    ///< that there must be; none: any number
    std::optional<std::size_t> microbatch;       ///< sequences computed at once; none: the plan's
    std::string progress;                        ///< auto, bar, lines or none
    std::string status;                          ///< file that tells how far it is; empty: none
    std::string token_cache;                     ///< folder; empty: none
    std::string checkpoint;                      ///< folder for saved progress; empty: none
    std::chrono::duration<double> checkpoint_interval{};
    std::chrono::duration<double> deadline{};  ///< for some progress anywhere
    bool allow_variant_gemm = false;           ///< run although slices change bits; recorded
  } runtime;
  struct Output {
    std::string result;
    std::string checkpoint;         ///< folder; empty: none
    std::string checkpoint_format;  ///< for parse_checkpoint_format
    std::string checkpoint_recipe;  ///< one of scales.recipes
  } output;

  std::string file_text;  ///< the job file as it was read, for the record
};

/// One "--key value" of a command line.
struct JobOption {
  std::string key;
  std::string value;
};

/// What a job file and a command line say, before it is known what they mean.
struct JobValues {
  std::string where;  ///< the file, for messages
  std::string file_text;
  std::map<std::string, std::vector<std::string>> by_key;  ///< key -> values: one, or of a list
};

/// Reads the job file (none where `file` is empty), then applies `options`, which win. Relative
/// paths in the file are relative to its folder, those in options to the current one. lists: keys
/// that may hold lists here, beside those that always do. Throws InputError for an unknown key
/// (naming the nearest one), and for one without a value or with too many.
JobValues read_job_values(const std::filesystem::path& file, const std::vector<JobOption>& options,
                          const std::set<std::string>& lists = {});

/// Throws InputError for a bad value, or a missing required key.
Job make_job(const JobValues& values);

/// make_job of read_job_values.
Job read_job(const std::filesystem::path& file, const std::vector<JobOption>& options);

/// Every key with its default and meaning, as `fp8cal help job` prints it.
std::string describe_job_keys();

/// True where `key` is a key of a job file.
bool is_job_key(const std::string& key);

/// The job key, or whichever of `candidates`, that is nearest to `word` by edit distance.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);
std::string nearest_job_key(const std::string& word);

}  // namespace fp8cal
