#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/quantization_config.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

/// The member, or null where there is none: both formats spell "nothing" in either way.
const json& member(const json& object, const std::string& key) {
  static const json none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

std::string listed(std::initializer_list<json> allowed) {
  std::string text;
  for (const json& one : allowed) text += (text.empty() ? "" : " or ") + one.dump();
  return text.empty() ? "null" : text;
}

/// Throws where `key` is given and not one of `allowed`.
void allow_only(const json& object, const std::string& key, std::initializer_list<json> allowed,
                const std::string& where) {
  const json& value = member(object, key);
  if (value.is_null() || std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return;
  throw InputError(where, key, listed(allowed), shown(value));
}

/// The same where `key` must be given.
void require_only(const json& object, const std::string& key, std::initializer_list<json> allowed,
                  const std::string& where) {
  if (member(object, key).is_null()) throw InputError(where, key, listed(allowed), "none");
  allow_only(object, key, allowed, where);
}

void check_keys(const json& object, std::initializer_list<std::string_view> known,
                const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw InputError(where, "key", "one that is known to hold for FP8", in_quotes(key));
    }
  }
}

/// What QuantizationArgs of compressed-tensors say, once it is sure that they mean E4M3 codes times
/// a scale. ModelOpt's are the same without a strategy.
struct Args {
  std::string strategy;
  bool dynamic = false;
};

Args read_args(const json& object, const std::string& key, const std::string& where) {
  const json& args = require_object(object, key, where);
  const std::string place = where + ": " + key;
  check_keys(
      args,
      {"num_bits", "type", "symmetric", "strategy", "dynamic", "group_size", "block_structure",
       "actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"},
      place);
  require_only(args, "num_bits", {8}, place);
  require_only(args, "type", {"float"}, place);
  allow_only(args, "symmetric", {true}, place);
  for (const char* none : {"group_size", "block_structure", "actorder"}) {
    allow_only(args, none, {}, place);
  }
  // Of what was computed in, and of the zero points that symmetric codes do not have.
  allow_only(args, "scale_dtype", {"torch.float32", "torch.bfloat16", "torch.float16"}, place);
  Args read;
  if (!member(args, "dynamic").is_null()) read.dynamic = require_bool(args, "dynamic", place);
  if (!member(args, "strategy").is_null()) read.strategy = require_string(args, "strategy", place);
  return read;
}

const char* described(const Args& args) { return args.dynamic ? " dynamic" : " static"; }

/// The only member of config_groups.
const json& only_group(const json& config, const std::string& where) {
  const json& groups = require_object(config, "config_groups", where);
  if (groups.size() != 1) {
    throw InputError(where, "config_groups", "one group", std::to_string(groups.size()));
  }
  const std::string& name = groups.begin().key();
  const json& group = require_object(groups, name, where + ": config_groups");
  const std::string place = where + ": " + in_quotes(name);
  check_keys(group, {"targets", "weights", "input_activations", "output_activations", "format"},
             place);
  const json& targets = require_array(group, "targets", place);
  if (targets != json::array({"Linear"})) {
    throw InputError(place, "targets", "[\"Linear\"]",
                     targets.size() == 1 ? shown(targets[0]) : shown(targets));
  }
  allow_only(group, "output_activations", {}, place);
  allow_only(group, "format", {"float-quantized", "naive-quantized"}, place);
  return group;
}

void check_ignored(const json& config, const std::string& where) {
  const json& ignored = require_array(config, "ignore", where);
  if (ignored == json::array({"lm_head"})) return;
  throw InputError(where, "ignore", "[\"lm_head\"]",
                   ignored.size() == 1 ? shown(ignored[0]) : shown(ignored));
}

struct LinearForm {
  std::string_view weights;
  std::string_view inputs;
  const char* recipe;
};

constexpr std::array<LinearForm, 4> kCompressedTensorsForms = {{
    {"tensor static", "tensor static", "fp8-static"},
    {"channel static", "tensor static", "fp8-channel"},
    {"channel static", "token dynamic", "fp8-dynamic"},
    {"channel static", "none", "fp8-weight-only"},
}};

std::string linear_recipe(const json& group, const std::string& where) {
  const Args weight = read_args(group, "weights", where);
  const std::string weights = weight.strategy + described(weight);
  std::string inputs = "none";
  if (!member(group, "input_activations").is_null()) {
    const Args input = read_args(group, "input_activations", where);
    inputs = input.strategy + described(input);
  }
  std::string known;
  for (const LinearForm& form : kCompressedTensorsForms) {
    if (weights == form.weights && inputs == form.inputs) return form.recipe;
    known += fmt::format("{}{} and {}", known.empty() ? "" : "; ", form.weights, form.inputs);
  }
  throw InputError(where, "weights and input_activations", known,
                   in_quotes(weights + " and " + inputs));
}

/// What follows the name of the linear recipe.
std::string kv_suffix(const json& config, bool with_strategy, const std::string& where) {
  if (member(config, "kv_cache_scheme").is_null()) return "";
  const Args args = read_args(config, "kv_cache_scheme", where);
  const std::string place = where + ": kv_cache_scheme";
  if (args.dynamic) throw InputError(place, "dynamic", "false", "true");
  if (args.strategy == "attn_head" && with_strategy) return "-kv-e4m3-head";
  if (args.strategy == (with_strategy ? "tensor" : "")) return "-kv-e4m3";
  throw InputError(place, "strategy", with_strategy ? "tensor or attn_head" : "none",
                   in_quotes(args.strategy));
}

Recipe read_compressed_tensors(const json& config, const std::string& where) {
  require_only(config, "format", {"float-quantized", "naive-quantized"}, where);
  // "frozen" is what llm-compressor before 0.2 said of the same bytes.
  require_only(config, "quantization_status", {"compressed", "frozen"}, where);
  check_ignored(config, where);
  allow_only(config, "transform_config", {json::object()}, where);
  const json& sparsity = member(config, "sparsity_config");
  if (!sparsity.is_null() && sparsity != json::object()) {
    require_only(require_object(config, "sparsity_config", where), "format", {"dense"},
                 where + ": sparsity_config");
  }
  const std::string linear = linear_recipe(only_group(config, where), where);
  return find_recipe(linear + kv_suffix(config, true, where));
}

Recipe read_modelopt(const json& config, const std::string& where) {
  require_only(config, "quant_algo", {"FP8", "FP8_PER_CHANNEL_PER_TOKEN"}, where);
  const bool is_static = config.at("quant_algo") == "FP8";
  check_ignored(config, where);
  if (is_static && !member(config, "config_groups").is_null()) {
    const json& group = only_group(config, where);
    for (const char* key : {"weights", "input_activations"}) {
      const Args args = read_args(group, key, where);
      if (args.dynamic) throw InputError(where, key, "static", "dynamic");
      if (!args.strategy.empty() && args.strategy != "tensor") {
        throw InputError(where, key, "a scale a tensor", in_quotes(args.strategy));
      }
    }
  }
  return find_recipe((is_static ? "fp8-static" : "fp8-dynamic") + kv_suffix(config, false, where));
}

}  // namespace

std::optional<Recipe> read_quantization_config(const json& config, const std::string& where) {
  if (!config.is_object()) throw InputError(where, "JSON value", "an object", shown(config));
  // The name before compressed-tensors 0.5, whose form was another one.
  allow_only(config, "compression_config", {}, where);
  if (member(config, "quantization_config").is_null()) return std::nullopt;
  const json& quantization = require_object(config, "quantization_config", where);
  const std::string place = where + ": quantization_config";
  require_only(quantization, "quant_method", {"compressed-tensors", "modelopt"}, place);
  return quantization.at("quant_method") == "modelopt"
             ? read_modelopt(quantization, place)
             : read_compressed_tensors(quantization, place);
}

}  // namespace fp8cal
