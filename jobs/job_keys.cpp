#include "jobs/job_keys.hpp"

#include <limits>

#include "jobs/error.hpp"
#include "jobs/job_values.hpp"
#include "jobs/quantization_config.hpp"
#include "jobs/recipe.hpp"
#include "jobs/runtime_keys.hpp"
#include "jobs/scale_policy.hpp"

namespace fp8cal {
namespace {

using Values = std::vector<std::string>;

constexpr std::uint64_t kMaxLength = 1u << 20;
constexpr std::uint64_t kMaxWindows = 1u << 24;

void add_model_keys(std::vector<JobKey>& keys) {
  keys.push_back({.name = "model.path",
                  .argument = "FOLDER",
                  .required = true,
                  .is_path = true,
                  .help = "Hugging Face checkpoint: config.json, safetensors, tokenizer.json. One "
                          "that is FP8 already is evaluated as it is",
                  .store = [](Job& job, const Values& v) { job.model.path = v[0]; }});
}

void add_calibration_keys(std::vector<JobKey>& keys) {
  keys.push_back({.name = "calibration.dataset",
                  .argument = "FILE",
                  .is_path = true,
                  .help = "Required but for an FP8 checkpoint, which is only evaluated. Text (one "
                          "document), .jsonl (a document a line), or token ids: FILE.h5:NAME "
                          "or raw little-endian .u32",
                  .store = [](Job& job, const Values& v) { job.calibration.dataset = v[0]; }});
  keys.push_back({.name = "calibration.field",
                  .argument = "NAME,...",
                  .default_value = "text",
                  .is_list = true,
                  .help = "Fields of a JSON Lines document; several are joined by a blank line",
                  .store = [](Job& job, const Values& v) { job.calibration.fields = v; }});
  keys.push_back(
      {.name = "calibration.samples",
       .argument = "N",
       .default_value = "256",
       .help = "Sequences to calibrate on, drawn by the seed. Under 32 is unstable, 128 to "
               "256 is recommended, beyond 512 nothing is gained",
       .store = [](Job& job, const Values& v) {
         job.calibration.samples = parse_number("calibration.samples", v[0], 1, kMaxWindows);
       }});
  keys.push_back({.name = "calibration.sequence_length",
                  .argument = "TOKENS",
                  .default_value = "2048",
                  .help = "Tokens of a calibration sequence",
                  .store = [](Job& job, const Values& v) {
                    job.calibration.sequence_length =
                        parse_number("calibration.sequence_length", v[0], 2, kMaxLength);
                  }});
  keys.push_back({.name = "calibration.seed",
                  .argument = "N",
                  .default_value = "1234",
                  .help = "Seed of the draw; it travels with the result",
                  .store = [](Job& job, const Values& v) {
                    job.calibration.seed = parse_number("calibration.seed", v[0], 0,
                                                        std::numeric_limits<std::int64_t>::max());
                  }});
}

void add_scales_keys(std::vector<JobKey>& keys) {
  keys.push_back(
      {.name = "scales.recipe",
       .argument = "NAME,...",
       .default_value = "fp8-static,fp8-dynamic",
       .is_list = true,
       .help = "fp8-static: a scale a weight tensor, a static scale an activation tensor. "
               "fp8-channel: a scale an output channel, a static scale an activation tensor. "
               "fp8-dynamic: a scale an output channel, a scale a token at run time. "
               "fp8-weight-only: a scale an output channel, activations stay BF16",
       .store = [](Job& job, const Values& v) {
         for (const std::string& name : v) parse_choice("scales.recipe", name, recipe_names());
         refuse_duplicates("scales.recipe", v);
         job.scales.recipes = v;
       }});
  // After scales.recipe, whose names it extends.
  keys.push_back({.name = "scales.kv",
                  .argument = "NAME,...",
                  .default_value = "none",
                  .is_list = true,
                  .help = "Keys and values: none (BF16), e4m3 or e5m2 with a static scale a "
                          "tensor, e4m3-head or e5m2-head with a static scale a KV head. Each "
                          "recipe is evaluated with each of them; with e4m3, fp8-static is named "
                          "fp8-static-kv-e4m3",
                  .store = [](Job& job, const Values& v) {
                    for (const std::string& name : v) parse_choice("scales.kv", name, kv_names());
                    refuse_duplicates("scales.kv", v);
                    job.scales.recipes = combine(job.scales.recipes, v);
                  }});
  keys.push_back({.name = "scales.policy",
                  .argument = "NAME",
                  .default_value = "amax",
                  .help = "What of a tensor's distribution its static scale maps onto the largest "
                          "FP8 number. amax: the largest magnitude. percentile:P: the one that P % "
                          "of the elements do not exceed. mse: the one with the least squared "
                          "error. kl: the one that keeps most of the distribution's information. "
                          "Weights, and scales a KV head, always take amax",
                  .store = [](Job& job, const Values& v) {
                    parse_scale_policy(v[0]);
                    job.scales.policy = v[0];
                  }});
}

void add_evaluation_keys(std::vector<JobKey>& keys) {
  keys.push_back({.name = "evaluation.dataset",
                  .argument = "FILE",
                  .required = true,
                  .is_path = true,
                  .help = "What perplexity is measured on; the kinds of calibration.dataset",
                  .store = [](Job& job, const Values& v) { job.evaluation.dataset = v[0]; }});
  keys.push_back({.name = "evaluation.field",
                  .argument = "NAME,...",
                  .default_value = "text",
                  .is_list = true,
                  .help = "Fields of a JSON Lines document",
                  .store = [](Job& job, const Values& v) { job.evaluation.fields = v; }});
  keys.push_back({.name = "evaluation.sequence_length",
                  .argument = "TOKENS",
                  .default_value = "2048",
                  .help = "Tokens of an evaluation window; windows do not overlap",
                  .store = [](Job& job, const Values& v) {
                    job.evaluation.sequence_length =
                        parse_number("evaluation.sequence_length", v[0], 2, kMaxLength);
                  }});
  keys.push_back({.name = "evaluation.windows",
                  .argument = "N|all",
                  .default_value = "all",
                  .help = "Windows to evaluate, from the start of the text",
                  .store = [](Job& job, const Values& v) {
                    if (v[0] == "all") {
                      job.evaluation.windows.reset();
                    } else {
                      job.evaluation.windows =
                          parse_number("evaluation.windows", v[0], 1, kMaxWindows, "all or ");
                    }
                  }});
  keys.push_back(
      {.name = "evaluation.compare",
       .argument = "yes|no",
       .default_value = "yes",
       .help = "Compare each recipe's next-token distributions with those of BF16: KL "
               "divergence and top-1 agreement. Costs one more product with the output "
               "projection a recipe, and memory for BF16's last hidden states",
       .store = [](Job& job, const Values& v) {
         job.evaluation.compare = parse_choice("evaluation.compare", v[0], {"yes", "no"}) == "yes";
       }});
  keys.push_back(
      {.name = "evaluation.allow_overlap",
       .argument = "yes|no",
       .default_value = "no",
       .help = "Run although the calibration sequences and the evaluation windows have more text "
               "in common than by chance; the result is marked as not reportable. "
               "--allow-overlap for short",
       .store = [](Job& job, const Values& v) {
         job.evaluation.allow_overlap =
             parse_choice("evaluation.allow_overlap", v[0], {"yes", "no"}) == "yes";
       }});
  keys.push_back({.name = "evaluation.max_delta_ppl",
                  .argument = "X|none",
                  .default_value = "none",
                  .help = "Quality gate: exit code 3, everything written all the same, where a "
                          "recipe's perplexity exceeds that of BF16 by more than X",
                  .store = [](Job& job, const Values& v) {
                    job.evaluation.max_delta_ppl = parse_limit("evaluation.max_delta_ppl", v[0]);
                  }});
  keys.push_back({.name = "evaluation.max_kl",
                  .argument = "X|none",
                  .default_value = "none",
                  .help = "The same for a recipe's mean KL divergence from BF16, nats a token",
                  .store = [](Job& job, const Values& v) {
                    job.evaluation.max_kl = parse_limit("evaluation.max_kl", v[0]);
                    if (!job.evaluation.max_kl || job.evaluation.compare) return;
                    throw InputError("evaluation.max_kl", "nothing to hold against it",
                                     "evaluation.compare = yes", "no");
                  }});
}

void add_partition_keys(std::vector<JobKey>& keys) {
  keys.push_back({.name = "partition.mode",
                  .argument = "MODE",
                  .default_value = "auto",
                  .help = "layers, tensor or sequences, or a grid such as layers:2+tensor:4; auto "
                          "chooses by memory and speed. No choice changes a bit of the content",
                  .store = [](Job& job, const Values& v) { job.partition.mode = v[0]; }});
}

void add_output_keys(std::vector<JobKey>& keys) {
  keys.push_back({.name = "output.result",
                  .argument = "FILE",
                  .required = true,
                  .is_path = true,
                  .help = "The result: one HDF5 file, replaced as a whole or not at all",
                  .store = [](Job& job, const Values& v) { job.output.result = v[0]; }});
  keys.push_back({.name = "output.checkpoint",
                  .argument = "FOLDER|none",
                  .default_value = "none",
                  .is_path = true,
                  .help =
                      "Where to write the FP8 checkpoint that inference engines load, as 'fp8cal "
                      "export' does; must not exist yet, or be empty",
                  .store = [](Job& job, const Values& v) {
                    job.output.checkpoint = v[0] == "none" ? "" : v[0];
                  }});
  keys.push_back({.name = "output.checkpoint_format",
                  .argument = "NAME",
                  .default_value = "compressed-tensors",
                  .help = "compressed-tensors (vLLM, SGLang, transformers) or modelopt "
                          "(TensorRT-LLM, vLLM)",
                  .store = [](Job& job, const Values& v) {
                    parse_checkpoint_format(v[0]);
                    job.output.checkpoint_format = v[0];
                  }});
  keys.push_back({.name = "output.checkpoint_recipe",
                  .argument = "NAME",
                  .default_value = "first",
                  .help = "Which of the evaluated recipes, such as fp8-static-kv-e4m3; first: the "
                          "first of scales.recipe with the first of scales.kv",
                  .store = [](Job& job, const Values& v) {
                    job.output.checkpoint_recipe =
                        v[0] == "first"
                            ? job.scales.recipes.front()
                            : parse_choice("output.checkpoint_recipe", v[0], job.scales.recipes);
                  }});
}

std::vector<JobKey> make_keys() {
  std::vector<JobKey> keys;
  add_model_keys(keys);
  add_calibration_keys(keys);
  add_scales_keys(keys);
  add_evaluation_keys(keys);
  add_partition_keys(keys);
  add_runtime_keys(keys);
  add_output_keys(keys);
  return keys;
}

}  // namespace

const std::vector<JobKey>& job_keys() {
  static const std::vector<JobKey> keys = make_keys();
  return keys;
}

}  // namespace fp8cal
