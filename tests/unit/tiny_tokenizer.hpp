#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "jobs/byte_level.hpp"

namespace fp8cal {

/// The Split regex of Llama 3.
inline constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// A tokenizer.json in the form of Llama 3's: byte b is token b, then "ab" 256, "abc" 257, " a"
/// 258, and " ab", which no merge makes, 259. Added: <bos> 300 and <x> 301, then plain 302
/// (normalized).
inline nlohmann::json tiny_tokenizer_json() {
  nlohmann::json vocab;
  for (unsigned byte = 0; byte < 256; ++byte) {
    vocab[byte_level_character(static_cast<unsigned char>(byte))] = byte;
  }
  vocab["ab"] = 256;
  vocab["abc"] = 257;
  vocab["\u0120a"] = 258;
  vocab["\u0120ab"] = 259;
  const auto added = [](unsigned id, const char* content, bool normalized) {
    return nlohmann::json{
        {"id", id},        {"content", content},       {"single_word", false},  {"lstrip", false},
        {"rstrip", false}, {"normalized", normalized}, {"special", !normalized}};
  };
  nlohmann::json document = nlohmann::json::parse(R"({
    "version": "1.0", "truncation": {"max_length": 8}, "padding": null, "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
    "post_processor": {"type": "Sequence", "processors": [
      {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<bos>", "type_id": 0}},
                  {"Sequence": {"id": "A", "type_id": 0}}],
       "pair": [],
       "special_tokens": {"<bos>": {"id": "<bos>", "ids": [300], "tokens": ["<bos>"]}}}]},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
              "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
              "byte_fallback": false, "ignore_merges": false,
              "merges": ["a b", "ab c", "\u0120 a"]}})");
  document["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = kLlama3Pattern;
  document["model"]["vocab"] = vocab;
  document["added_tokens"] = {added(300, "<bos>", false), added(301, "<x>", false),
                              added(302, "plain", true)};
  return document;
}

}  // namespace fp8cal
