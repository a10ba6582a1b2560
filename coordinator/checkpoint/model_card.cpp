#include "coordinator/checkpoint/model_card.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "coordinator/checkpoint/markdown.hpp"
#include "coordinator/model_attributes.hpp"
#include "coordinator/protocol/overlap_check.hpp"
#include "coordinator/provenance.hpp"
#include "coordinator/verdict.hpp"

namespace fp8cal {
namespace {

constexpr const char* kNotMeasured = "not measured";

/// The last part of a path: where a file lay is nobody's business.
std::string file_name(const std::optional<std::string>& path) {
  if (!path || path->empty()) return "an unknown file";
  return code_span(path->substr(path->find_last_of('/') + 1));
}

/// Whether `text` is OWNER/NAME, as the hub spells it.
bool is_hub_id(const std::string& text) {
  constexpr std::size_t kMaxId = 96;
  const auto is_part = [](std::string_view part) {
    const auto is_allowed = [](unsigned char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
             c == '-' || c == '_' || c == '.';
    };
    return !part.empty() && part.front() != '.' && part.front() != '-' &&
           std::all_of(part.begin(), part.end(), is_allowed);
  };
  const std::size_t slash = text.find('/');
  return text.size() <= kMaxId && slash != text.npos &&
         is_part(std::string_view(text).substr(0, slash)) &&
         is_part(std::string_view(text).substr(slash + 1));
}

std::optional<std::string> base_model(const nlohmann::json& config) {
  const auto name = config.find("_name_or_path");
  if (name == config.end() || !name->is_string() || !is_hub_id(name->get<std::string>())) {
    return std::nullopt;
  }
  return name->get<std::string>();
}

std::string front_matter(const CardSubject& subject) {
  std::string text = "---\n";
  if (const auto base = base_model(subject.config)) {
    text += fmt::format("base_model: \"{}\"\nbase_model_relation: quantized\n", *base);
  }
  // transformers has no reader of the other format.
  if (subject.format == CheckpointFormat::compressed_tensors)
    text += "library_name: transformers\n";
  return text + fmt::format(
                    "pipeline_tag: text-generation\ntags:\n- fp8\n- {}\n- vllm\n- fp8cal\n"
                    "---\n",
                    name_of(subject.format));
}

std::string heading(const CardSubject& subject) {
  const auto base = base_model(subject.config);
  return fmt::format("\n# {} in FP8\n\nRecipe `{}`, quantized by fp8cal {}, format {}.\n",
                     base ? code_span(*base) : "A Llama model", subject.recipe.name,
                     code_span(version_text()), name_of(subject.format));
}

const char* inputs_in_words(Recipe::Input input) {
  switch (input) {
    case Recipe::Input::per_tensor:
      return "E4M3 with one static scale a tensor";
    case Recipe::Input::per_token:
      return "E4M3 with a scale a token, found at run time";
    case Recipe::Input::bf16:
      break;
  }
  return "BF16";
}

std::string kv_in_words(const std::optional<KvFormat>& kv) {
  if (!kv) return "BF16";
  return fmt::format("{} with one static scale a {}",
                     kv->format == Fp8Format::e4m3 ? "E4M3" : "E5M2",
                     kv->per_head ? "KV head" : "tensor");
}

std::string quantization(const CardSubject& subject) {
  const Recipe& recipe = subject.recipe;
  const Result& result = subject.result;
  const auto seed = find_attribute<std::int64_t>(result.job, "calibration.seed");
  const auto policy = find_attribute<std::string>(result.job, "scales.policy");
  return fmt::format(
      "\n## Quantization\n\n- Weights of the linear layers: E4M3 with one scale {}\n"
      "- Inputs of the linear layers: {}\n- Keys and values: {}\n"
      "- Embeddings, norms and lm_head: BF16\n- Policy of the static scales: {}\n"
      "- Calibration: {} x {} tokens of {}, seed {}\n",
      recipe.weight_per_channel ? "an output channel" : "a tensor", inputs_in_words(recipe.input),
      kv_in_words(recipe.kv), policy ? code_span(*policy) : "unknown", result.calibration.windows(),
      result.calibration.sequence_length,
      file_name(find_attribute<std::string>(result.provenance, "calibration_dataset")),
      seed ? fmt::format("{}", *seed) : "unknown");
}

const Perplexity* perplexity_of(const Result& result, const std::string& variant) {
  const auto found = result.perplexity.find(variant);
  return found == result.perplexity.end() || found->second.nll.empty() ? nullptr : &found->second;
}

std::string recipe_row(const CardSubject& subject, const Perplexity* bf16, const Perplexity& own) {
  std::string difference = kNotMeasured, interval = kNotMeasured, kl = kNotMeasured,
              top1 = kNotMeasured;
  if (bf16 != nullptr) difference = fmt::format("{:+.4f}", own.ppl() - bf16->ppl());
  const auto found = subject.result.differences.find(subject.recipe.name);
  if (found != subject.result.differences.end()) {
    interval = fmt::format("{:+.4f} to {:+.4f}", found->second.low, found->second.high);
  }
  if (!own.kl.empty()) {
    kl = fmt::format("{:.6f}", own.mean_kl());
    top1 = fmt::format("{:.2f} %", 100 * own.top1_agreement());
  }
  return fmt::format("| {} | {:.4f} | {} | {} | {} | {} |\n", subject.recipe.name, own.ppl(),
                     difference, interval, kl, top1);
}

std::string quality(const CardSubject& subject) {
  const Result& result = subject.result;
  const Perplexity* bf16 = perplexity_of(result, "bf16");
  const Perplexity* own = perplexity_of(result, subject.recipe.name);
  std::string text = "\n## Quality\n\n";
  if (own == nullptr) {
    return text + fmt::format("Perplexity of this recipe: {}.\n", kNotMeasured);
  }
  text +=
      fmt::format("Perplexity over {} x {} tokens of {}:\n\n", own->windows, own->predictions + 1,
                  file_name(find_attribute<std::string>(result.provenance, "evaluation_dataset")));
  text +=
      "| variant | perplexity | difference | 95 % interval | mean KL divergence (nats) | "
      "same top token |\n| --- | ---: | ---: | ---: | ---: | ---: |\n";
  if (bf16 != nullptr) text += fmt::format("| bf16 | {:.4f} | | | | |\n", bf16->ppl());
  text += recipe_row(subject, bf16, *own);
  if (bf16 != nullptr) {
    text +=
        fmt::format("\nThe difference is: {}.\n", verdict(own->ppl() - bf16->ppl(), result.job));
  }
  if (const auto overlap = find_attribute<std::string>(result.job, kOverlapAttribute)) {
    text += fmt::format("\nNot to be reported: {}.\n", code_span(*overlap));
  }
  return text;
}

std::string warnings(const Result& result) {
  const auto all = find_attribute<std::vector<std::string>>(result.provenance, "warnings");
  if (!all || all->empty()) return "";
  std::string text = "\n## Warnings\n\n";
  for (const std::string& one : *all) text += fmt::format("- {}\n", code_span(one));
  return text;
}

std::string origin(const CardSubject& subject) {
  const auto weights = find_attribute<std::string>(subject.result.job, "weights_digest");
  return fmt::format(
      "\n## Origin\n\n- Digest of the BF16 weights: {}\n- Digest of the calibration's result: {}\n",
      weights ? code_span(*weights) : "unknown", code_span(subject.digest));
}

std::string use(const CardSubject& subject) {
  const bool needs_kv = subject.format == CheckpointFormat::modelopt && subject.recipe.kv;
  return fmt::format("\n## Use\n\n```sh\nvllm serve FOLDER{}\n```\n",
                     needs_kv ? " --kv-cache-dtype fp8" : "");
}

}  // namespace

std::string model_card(const CardSubject& subject) {
  return front_matter(subject) + heading(subject) + quantization(subject) + quality(subject) +
         warnings(subject.result) + origin(subject) + use(subject);
}

}  // namespace fp8cal
