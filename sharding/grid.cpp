#include "sharding/grid.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

constexpr const char* kKey = "partition.mode";
constexpr const char* kExpected =
    "auto, layers, tensor, sequences, or axes with degrees such as layers:2+tensor:2";
constexpr int kMaxDegree = 1024;  // the product of three fits an int

int& axis_of(Grid& grid, const std::string& name, const std::string& mode) {
  if (name == "layers") return grid.layers;
  if (name == "tensor") return grid.tensor;
  if (name == "sequences") return grid.sequences;
  throw InputError(kKey, "unknown axis '" + name + "'", kExpected, "'" + mode + "'");
}

int parse_degree(const std::string& text, const std::string& mode) {
  int degree = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), degree);
  if (error != std::errc() || end != text.data() + text.size() || degree < 1 ||
      degree > kMaxDegree) {
    throw InputError(kKey, "bad degree", kExpected, "'" + mode + "'");
  }
  return degree;
}

void check_degree(const char* axis, int degree, const std::vector<int>& possible) {
  if (std::find(possible.begin(), possible.end(), degree) != possible.end()) return;
  throw InputError(kKey, fmt::format("this model cannot be cut evenly along '{}'", axis),
                   fmt::format("{} ranks", fmt::join(possible, ", ")), std::to_string(degree));
}

}  // namespace

std::string Grid::to_string() const {
  std::vector<std::string> axes;
  if (layers > 1) axes.push_back(fmt::format("layers:{}", layers));
  if (sequences > 1) axes.push_back(fmt::format("sequences:{}", sequences));
  if (tensor > 1) axes.push_back(fmt::format("tensor:{}", tensor));
  return axes.empty() ? "single" : fmt::format("{}", fmt::join(axes, "+"));
}

Grid parse_grid(const std::string& mode, int ranks) {
  Grid grid;
  int* open = nullptr;
  std::vector<int*> seen;
  std::istringstream axes(mode);
  for (std::string axis; std::getline(axes, axis, '+');) {
    const std::size_t colon = axis.find(':');
    int& degree = axis_of(grid, axis.substr(0, colon), mode);
    if (std::find(seen.begin(), seen.end(), &degree) != seen.end()) {
      throw InputError(kKey, "axis given twice", kExpected, "'" + mode + "'");
    }
    seen.push_back(&degree);
    if (colon != std::string::npos) {
      degree = parse_degree(axis.substr(colon + 1), mode);
    } else if (open != nullptr) {
      throw InputError(kKey, "two axes without a degree", kExpected, "'" + mode + "'");
    } else {
      open = &degree;
    }
  }
  const int given = grid.ranks();  // without the open axis
  if (open != nullptr && ranks % given == 0) *open = ranks / given;
  if (seen.empty() || grid.ranks() != ranks) {
    throw InputError(kKey, "'" + mode + "' does not fit the number of ranks",
                     fmt::format("a grid of {} ranks", ranks),
                     fmt::format("{}{}", open != nullptr ? "a multiple of " : "", given));
  }
  return grid;
}

std::size_t vocabulary_slices(std::size_t vocab_size) {
  std::size_t slices = 16;
  while (slices > 1 && vocab_size % (slices * kRowBlock) != 0) slices /= 2;
  return slices;
}

std::vector<int> tensor_degrees(const ModelConfig& config) {
  std::vector<int> degrees = {1};
  for (int degree = 2; degree <= 64; ++degree) {
    const std::size_t d = static_cast<std::size_t>(degree);
    const bool heads = config.num_attention_heads % d == 0 && config.num_key_value_heads % d == 0;
    const bool rows = config.hidden_size % (d * kRowBlock) == 0 &&
                      config.intermediate_size % (d * kRowBlock) == 0 &&
                      config.kv_rows() % (d * kRowBlock) == 0;
    if (heads && rows && vocabulary_slices(config.vocab_size) % d == 0) degrees.push_back(degree);
  }
  return degrees;
}

std::vector<int> layer_degrees(const ModelConfig& config) {
  std::vector<int> degrees;
  for (std::size_t d = 1; d <= config.num_hidden_layers; ++d) {
    if (config.num_hidden_layers % d == 0) degrees.push_back(static_cast<int>(d));
  }
  return degrees;
}

void check_grid(const Grid& grid, const ModelConfig& config, std::size_t sequences) {
  check_degree("layers", grid.layers, layer_degrees(config));
  check_degree("tensor", grid.tensor, tensor_degrees(config));
  if (static_cast<std::size_t>(grid.sequences) > sequences) {
    throw InputError(kKey, "more ranks than sequences to share",
                     fmt::format("at most {} ranks along 'sequences'", sequences),
                     std::to_string(grid.sequences));
  }
}

}  // namespace fp8cal
