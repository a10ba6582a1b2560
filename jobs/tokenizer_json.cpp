#include "jobs/tokenizer_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <optional>

#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/tokenizer_vocabulary.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::string& where, const std::string& key,
                         const std::string& expected, const json& found) {
  throw InputError(where, key, expected, shown(found));
}

/// The component's members may be `known` ones only: another might change the tokens.
void check_keys(const json& component, std::initializer_list<std::string_view> known,
                const std::string& where) {
  for (const auto& [key, value] : component.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw InputError(where, "key", "one that fp8cal implements", in_quotes(key));
    }
  }
}

void check_type(const json& component, const std::string& type, const std::string& where) {
  if (require_string(component, "type", where) != type) {
    refuse(where, "type", type, component["type"]);
  }
}

/// `key` must be one of `accepted`.
void check_value(const json& component, const std::string& key,
                 std::initializer_list<json> accepted, const std::string& where) {
  const json& value = require_member(component, key, where);
  if (std::find(accepted.begin(), accepted.end(), value) == accepted.end()) {
    refuse(where, key, accepted.begin()->dump(), value);
  }
}

void check_optional(const json& component, const std::string& key,
                    std::initializer_list<json> accepted, const std::string& where) {
  if (component.contains(key)) check_value(component, key, accepted, where);
}

const std::string& read_split(const json& split, const std::string& where) {
  check_type(split, "Split", where);
  check_keys(split, {"type", "pattern", "behavior", "invert"}, where);
  check_value(split, "behavior", {"Isolated"}, where);
  check_value(split, "invert", {false}, where);
  const json& pattern = require_object(split, "pattern", where);
  check_keys(pattern, {"Regex"}, where + ".pattern");
  return require_string(pattern, "Regex", where + ".pattern");
}

const std::string& read_pre_tokenizer(const json& document, const std::string& file) {
  const std::string where = file + ": pre_tokenizer";
  const json& sequence = require_object(document, "pre_tokenizer", file);
  check_type(sequence, "Sequence", where);
  check_keys(sequence, {"type", "pretokenizers"}, where);
  const json& steps = require_array(sequence, "pretokenizers", where);
  if (steps.size() != 2) refuse(where, "pretokenizers", "Split and ByteLevel", steps);
  check_type(steps[1], "ByteLevel", where + ".pretokenizers[1]");
  check_keys(steps[1], {"type", "add_prefix_space", "trim_offsets", "use_regex"},
             where + ".pretokenizers[1]");
  check_value(steps[1], "add_prefix_space", {false}, where + ".pretokenizers[1]");
  check_value(steps[1], "use_regex", {false}, where + ".pretokenizers[1]");
  return read_split(steps[0], where + ".pretokenizers[0]");
}

/// The one token that the template puts before the text.
std::uint32_t read_template(const json& processor, const std::string& where) {
  check_keys(processor, {"type", "single", "pair", "special_tokens"}, where);
  const json& single = require_array(processor, "single", where);
  const bool bos_then_text =
      single.size() == 2 && single[0].contains("SpecialToken") && single[1].contains("Sequence");
  if (!bos_then_text) refuse(where, "single", "one special token, then the text", single);
  const json& special = require_object(single[0], "SpecialToken", where + ".single[0]");
  const std::string& name = require_string(special, "id", where + ".single[0].SpecialToken");
  const json& tokens = require_object(processor, "special_tokens", where);
  const std::string token_where = where + ".special_tokens";
  const json& ids = require_array(require_object(tokens, name, token_where), "ids", token_where);
  if (ids.size() != 1 || !ids[0].is_number_unsigned() || ids[0] > kMaxTokenId) {
    refuse(token_where, in_quotes(name), "one token id", ids);
  }
  return ids[0].get<std::uint32_t>();
}

std::uint32_t read_bos(const json& document, const std::string& file) {
  const std::string where = file + ": post_processor";
  const json& outer = require_object(document, "post_processor", file);
  json steps = json::array({outer});
  if (require_string(outer, "type", where) == "Sequence") {
    check_keys(outer, {"type", "processors"}, where);
    steps = require_array(outer, "processors", where);
  }
  std::optional<std::uint32_t> bos;
  for (const json& step : steps) {
    const std::string& type = require_string(step, "type", where);
    if (type == "ByteLevel") continue;  // changes offsets only
    if (type != "TemplateProcessing" || bos) refuse(where, "type", "one TemplateProcessing", type);
    bos = read_template(step, where);
  }
  if (!bos) refuse(where, "type", "TemplateProcessing, which gives the BOS token", outer["type"]);
  return *bos;
}

void check_model_options(const json& model, const std::string& where) {
  check_type(model, "BPE", where);
  // An unknown token cannot occur: every byte has a token of its own.
  check_keys(model,
             {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
              "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"},
             where);
  check_optional(model, "dropout", {nullptr, 0.0}, where);
  check_optional(model, "continuing_subword_prefix", {nullptr, ""}, where);
  check_optional(model, "end_of_word_suffix", {nullptr, ""}, where);
  check_optional(model, "fuse_unk", {false}, where);
  check_optional(model, "byte_fallback", {false}, where);
}

AddedToken read_added_token(const json& entry, const std::string& where) {
  check_keys(entry, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"},
             where);
  for (const char* option : {"single_word", "lstrip", "rstrip"}) {
    check_value(entry, option, {false}, where);
  }
  AddedToken token;
  token.id = static_cast<std::uint32_t>(require_unsigned(entry, "id", where, 0, kMaxTokenId));
  token.content = require_string(entry, "content", where);
  if (token.content.empty()) refuse(where, "content", "some text", entry["content"]);
  token.normalized = require_bool(entry, "normalized", where);
  return token;
}

}  // namespace

TokenizerParts read_tokenizer_json(const json& document, const std::string& where) {
  const json& model = require_object(document, "model", where);
  check_keys(document,
             {"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
              "post_processor", "decoder", "model"},
             where);
  check_optional(document, "version", {"1.0"}, where);
  check_optional(document, "normalizer", {nullptr}, where);
  check_model_options(model, where + ": model");

  TokenizerParts parts;
  parts.pattern = read_pre_tokenizer(document, where);
  TokenizerVocabulary vocabulary(require_object(model, "vocab", where + ": model"), where);
  parts.bpe.byte_ids = vocabulary.byte_ids();
  parts.bpe.merges = vocabulary.read_merges(require_array(model, "merges", where + ": model"));
  if (model.contains("ignore_merges") && require_bool(model, "ignore_merges", where + ": model")) {
    parts.bpe.whole_pieces = vocabulary.whole_pieces();
  }
  if (document.contains("added_tokens")) {
    const json& entries = require_array(document, "added_tokens", where);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::string entry_where = fmt::format("{}: added_tokens[{}]", where, i);
      parts.added_tokens.push_back(read_added_token(entries[i], entry_where));
      vocabulary.add(parts.added_tokens.back(), entry_where);
    }
  }
  parts.bos = read_bos(document, where);
  if (!vocabulary.has_id(parts.bos)) {
    refuse(where + ": post_processor", "BOS", "the id of a token", parts.bos);
  }
  parts.vocabulary_size = vocabulary.size();
  return parts;
}

}  // namespace fp8cal
