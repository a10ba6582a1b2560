#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

#include "jobs/error.hpp"
#include "jobs/safetensors.hpp"
#include "tests/unit/safetensors_builder.hpp"

namespace fp8cal {
namespace {

constexpr std::string_view kPieces[] = {"[",          "]",
                                        "{",          "}",
                                        ",",          ":",
                                        "\"",         "-",
                                        "0",          "9",
                                        "1e5",        ".5",
                                        "null",       "true",
                                        "\"BF16\"",   "\"F4\"",
                                        "\\u",        "\\ud800",
                                        " ",          "\xff",
                                        "\xc3",       "18446744073709551615",
                                        "4294967296", "__metadata__",
                                        "shape"};

std::string valid_header() {
  return SafetensorsBuilder()
      .add<std::uint16_t>("model.embed_tokens.weight", "BF16", {4, 3},
                          std::vector<std::uint16_t>(12))
      .add<float>("model.norm.weight", "F32", {3}, std::vector<float>(3))
      .add<std::uint8_t>("packed", "F4", {2, 2}, std::vector<std::uint8_t>(2))
      .header();
}

constexpr std::uint64_t kDataBytes = 24 + 12 + 2;

enum class Outcome { parsed, refused };

/// Any exception but Error escapes and fails the test.
Outcome outcome_of(const std::string& header) {
  try {
    const SafetensorsHeader parsed = parse_safetensors_header(header, kDataBytes, "mutated");
    std::uint64_t covered = 0;
    for (const TensorInfo& tensor : parsed.tensors) covered += tensor.end - tensor.begin;
    EXPECT_EQ(covered, kDataBytes) << header;
    return Outcome::parsed;
  } catch (const Error& error) {
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return Outcome::refused;
  }
}

std::string mutated(std::string text, std::mt19937_64& random) {
  const std::size_t edits = 1 + random() % 3;
  for (std::size_t i = 0; i < edits; ++i) {
    const std::size_t at = random() % (text.size() + 1);
    switch (random() % 5) {
      case 0:
        text.insert(at, 1, static_cast<char>(random() % 256));
        break;
      case 1:
        text.insert(at, kPieces[random() % std::size(kPieces)]);
        break;
      case 2:
        text.erase(at, random() % 8);
        break;
      case 3:
        text.insert(at, text.substr(random() % (text.size() + 1), random() % 64));
        break;
      default:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
    }
  }
  return text;
}

TEST(SafetensorsMutation, TheUnchangedHeaderParses) {
  EXPECT_EQ(outcome_of(valid_header()), Outcome::parsed);
}

TEST(SafetensorsMutation, EachMutationParsesOrIsRefused) {
  const std::string header = valid_header();
  std::mt19937_64 random(20240817);
  int parsed = 0;
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    ++(outcome_of(mutated(header, random)) == Outcome::parsed ? parsed : refused);
  }
  // Both happen: names may change without harm, almost nothing else may.
  EXPECT_GT(parsed, 50);
  EXPECT_GT(refused, 2500);
}

TEST(SafetensorsMutation, EachTruncationIsRefused) {
  const std::string header = valid_header();
  for (std::size_t size = 0; size < header.size(); ++size) {
    EXPECT_EQ(outcome_of(header.substr(0, size)), Outcome::refused) << size;
  }
}

TEST(SafetensorsMutation, EachDigitMatters) {
  const std::string header = valid_header();
  const std::size_t entry = header.find("{\"data_offsets\"");
  for (std::size_t at = entry; at < header.size(); ++at) {
    if (header[at] < '0' || header[at] > '9') continue;
    std::string changed = header;
    changed[at] = changed[at] == '7' ? '8' : '7';
    EXPECT_EQ(outcome_of(changed), Outcome::refused) << changed;
  }
}

}  // namespace
}  // namespace fp8cal
