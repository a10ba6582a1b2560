#include "coordinator/token_cache.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <bit>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "coordinator/provenance.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/sha256.hpp"

namespace fp8cal {
namespace {

static_assert(std::endian::native == std::endian::little, "the ids would need a byte swap");

constexpr std::string_view kMagic = "fp8cal tokens 1\n";

struct Header {
  char magic[kMagic.size()];
  Sha256Digest key;
  std::uint64_t count;
  Sha256Digest ids_sha256;
};
static_assert(sizeof(Header) == 88, "it is written as it lies in memory");

class KeyHash {
 public:
  void add(std::string_view text) {
    const std::uint64_t size = text.size();
    hash_.update(&size, sizeof size).update(text.data(), text.size());
  }
  Sha256Digest finish() { return hash_.finish(); }

 private:
  Sha256 hash_;
};

Sha256Digest key_of(const Dataset& dataset, StreamKind kind, const Tokenizer& tokenizer) {
  KeyHash hash;
  hash.add(kMagic);
  hash.add(kind == StreamKind::calibration ? "calibration" : "evaluation");
  hash.add(version_text());
  hash.add(pcre2_version());
  hash.add(tokenizer.sha256());
  for (const std::string& document : dataset.documents) hash.add(document);
  return hash.finish();
}

/// No stream has more ids: one a byte, and a BOS or a blank line a document.
std::uint64_t most_ids(const Dataset& dataset) {
  std::uint64_t most = 1;
  for (const std::string& document : dataset.documents) most += document.size() + 2;
  return most;
}

Sha256Digest sha256_of(const std::vector<std::uint32_t>& ids) {
  return sha256(std::as_bytes(std::span(ids)));
}

/// Throws Error where the file is not whole, or not of this key.
std::vector<std::uint32_t> read_ids(const std::filesystem::path& path, const Sha256Digest& key,
                                    std::uint64_t most) {
  const auto require = [&path](bool holds, const char* what) {
    if (!holds) throw InputError(path.string(), what, "that of the text", "another");
  };
  const File file = File::open(path);
  Header header{};
  const std::uint64_t got = file.read_at(0, std::as_writable_bytes(std::span(&header, 1)));
  require(got == sizeof header && std::string_view(header.magic, kMagic.size()) == kMagic,
          "format");
  require(header.key == key, "key");
  require(
      header.count <= most && file.size() == sizeof header + header.count * sizeof(std::uint32_t),
      "number of ids");
  std::vector<std::uint32_t> ids(header.count);
  const std::uint64_t bytes = file.read_at(sizeof header, std::as_writable_bytes(std::span(ids)));
  require(bytes == ids.size() * sizeof(std::uint32_t) && sha256_of(ids) == header.ids_sha256,
          "checksum");
  return ids;
}

void keep(const std::filesystem::path& path, const Sha256Digest& key,
          const std::vector<std::uint32_t>& ids) {
  Header header{.magic = {}, .key = key, .count = ids.size(), .ids_sha256 = sha256_of(ids)};
  std::memcpy(header.magic, kMagic.data(), kMagic.size());
  std::vector<std::byte> bytes(sizeof header + ids.size() * sizeof(std::uint32_t));
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, ids.data(), bytes.size() - sizeof header);
  std::filesystem::create_directories(path.parent_path());
  replace_file(path, bytes);
}

}  // namespace

std::vector<std::uint32_t> cached_stream(const std::filesystem::path& folder,
                                         const Dataset& dataset, StreamKind kind,
                                         const Tokenizer& tokenizer) {
  const Sha256Digest key = key_of(dataset, kind, tokenizer);
  const std::filesystem::path path =
      folder / fmt::format("tokens-{}.u32tokens", to_hex(key).substr(0, 32));
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) {
    try {
      std::vector<std::uint32_t> ids = read_ids(path, key, most_ids(dataset));
      spdlog::info("{}: {} token ids from {}", dataset.path, ids.size(), path.string());
      return ids;
    } catch (const Error& error) {
      spdlog::warn("runtime.token_cache: tokenized again: {}", error.what());
    }
  }
  std::vector<std::uint32_t> ids = kind == StreamKind::calibration
                                       ? calibration_stream(dataset, &tokenizer)
                                       : evaluation_stream(dataset, &tokenizer);
  try {
    keep(path, key, ids);
  } catch (const std::exception& error) {
    spdlog::warn("runtime.token_cache: not kept: {}", error.what());
  }
  return ids;
}

}  // namespace fp8cal
