#include "jobs/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>
#include <string_view>

#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/hdf5.hpp"
#include "jobs/json_lines.hpp"
#include "jobs/tokenizer.hpp"
#include "jobs/utf8.hpp"

namespace fp8cal {
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{16} << 30;
// Compressed, a small file can claim any number.
constexpr std::size_t kMaxHdf5Ids = std::size_t{1} << 28;

std::uint64_t checked_size(const std::string& path) {
  const std::uint64_t size = File::open(path).size();
  if (size == 0) throw InputError(path, "dataset", "some text or token ids", "an empty file");
  if (size > kMaxFileBytes) {
    throw InputError(path, "file size", fmt::format("at most {} bytes", kMaxFileBytes),
                     std::to_string(size));
  }
  return size;
}

struct Hdf5Location {
  std::string file;
  std::string dataset;
};

/// None where `path` names no HDF5 file.
std::optional<Hdf5Location> hdf5_location(const std::string& path) {
  for (const std::string_view extension : {".h5", ".hdf5"}) {
    if (const std::size_t at = path.rfind(fmt::format("{}:", extension)); at != path.npos) {
      const std::size_t colon = at + extension.size();
      return Hdf5Location{path.substr(0, colon), path.substr(colon + 1)};
    }
    if (path.ends_with(extension)) return Hdf5Location{path, ""};
  }
  return std::nullopt;
}

std::vector<std::uint32_t> read_hdf5_ids(const Hdf5Location& location, const std::string& path) {
  if (location.dataset.empty()) {
    throw InputError(path, "HDF5 dataset", "its name, as in FILE.h5:/DATASET", "none");
  }
  const hdf5::Handle file = hdf5::open_read_only(location.file);
  const std::vector<std::int64_t> values = hdf5::read_integers(file, location.dataset, kMaxHdf5Ids);
  std::vector<std::uint32_t> ids(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || values[i] > std::numeric_limits<std::uint32_t>::max()) {
      throw InputError(path, fmt::format("token id at position {}", i),
                       "an integer from 0 to 2^32-1", std::to_string(values[i]));
    }
    ids[i] = static_cast<std::uint32_t>(values[i]);
  }
  return ids;
}

std::vector<std::uint32_t> read_raw_ids(const std::string& path) {
  static_assert(std::endian::native == std::endian::little, "the ids would need a byte swap");
  const std::uint64_t size = checked_size(path);
  if (size % sizeof(std::uint32_t) != 0) {
    throw InputError(path, "file size", "a multiple of 4 bytes", std::to_string(size));
  }
  std::vector<std::uint32_t> ids(size / sizeof(std::uint32_t));
  if (File::open(path).read_at(0, std::as_writable_bytes(std::span(ids))) != size) {
    throw InputError(path, "file size", std::to_string(size), "less: the file was changed");
  }
  return ids;
}

std::string read_plain_text(const std::string& path) {
  checked_size(path);
  std::string text = read_text_file(path, kMaxFileBytes);
  check_utf8(text, path);
  return text;
}

const Tokenizer& needed(const Tokenizer* tokenizer, const Dataset& dataset) {
  if (tokenizer == nullptr) {
    throw InputError(dataset.path, "dataset of text", "a tokenizer.json beside the model", "none");
  }
  return *tokenizer;
}

void append(std::vector<std::uint32_t>& stream, const std::vector<std::uint32_t>& ids) {
  stream.insert(stream.end(), ids.begin(), ids.end());
}

}  // namespace

Dataset read_dataset(const DatasetSpec& spec) {
  Dataset dataset;
  dataset.path = spec.path;
  if (const auto location = hdf5_location(spec.path)) {
    dataset.tokenized = true;
    dataset.tokens = read_hdf5_ids(*location, spec.path);
  } else if (spec.path.ends_with(".u32") || spec.path.ends_with(".tokens")) {
    dataset.tokenized = true;
    dataset.tokens = read_raw_ids(spec.path);
  } else if (spec.path.ends_with(".jsonl") || spec.path.ends_with(".json")) {
    checked_size(spec.path);
    dataset.documents = read_json_lines(spec.path, spec.fields);
  } else {
    dataset.documents.push_back(read_plain_text(spec.path));
  }
  const bool has_text = std::any_of(dataset.documents.begin(), dataset.documents.end(),
                                    [](const std::string& text) { return !text.empty(); });
  if (!has_text && dataset.tokens.empty()) {
    throw InputError(spec.path, "dataset", "some text or token ids", "none");
  }
  return dataset;
}

std::vector<std::uint32_t> calibration_stream(const Dataset& dataset, const Tokenizer* tokenizer) {
  if (dataset.tokenized) return dataset.tokens;
  const Tokenizer& encoder = needed(tokenizer, dataset);
  std::vector<std::uint32_t> stream;
  for (const std::string& document : dataset.documents) {
    if (document.empty()) continue;
    stream.push_back(encoder.bos());
    append(stream, encoder.encode(document));
  }
  return stream;
}

std::vector<std::uint32_t> evaluation_stream(const Dataset& dataset, const Tokenizer* tokenizer) {
  if (dataset.tokenized) return dataset.tokens;
  const Tokenizer& encoder = needed(tokenizer, dataset);
  std::string text;
  for (std::size_t i = 0; i < dataset.documents.size(); ++i) {
    if (i > 0) text += "\n\n";
    text += dataset.documents[i];
  }
  std::vector<std::uint32_t> stream = {encoder.bos()};
  append(stream, encoder.encode(text));
  return stream;
}

void check_token_ids(std::span<const std::uint32_t> tokens, std::size_t vocabulary_size,
                     const std::string& where) {
  const auto beyond = std::find_if(tokens.begin(), tokens.end(),
                                   [&](std::uint32_t id) { return id >= vocabulary_size; });
  if (beyond == tokens.end()) return;
  throw InputError(where, fmt::format("token id at position {}", beyond - tokens.begin()),
                   fmt::format("an id of the model's vocabulary, below {}", vocabulary_size),
                   std::to_string(*beyond));
}

}  // namespace fp8cal
