#include "jobs/json_lines.hpp"

#include <fmt/format.h>

#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

/// Reads a file line by line, holding one line and one chunk of it at a time.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path) : file_(File::open(path)) {}

  /// "file:line" of the line that next() gave last.
  std::string where() const { return fmt::format("{}:{}", file_.name(), line_number_); }

  /// The next line without its "\n", valid until the next call; none at the end of the file.
  std::optional<std::string_view> next() {
    ++line_number_;
    std::size_t searched = 0;
    for (;;) {
      const std::string_view rest = std::string_view(buffer_).substr(line_begin_);
      const std::size_t length = rest.find('\n', searched);
      if (length != rest.npos || ended_) return take(rest, length);
      searched = rest.size();
      if (searched > kMaxJsonLine) {
        throw InputError(where(), "length of the line",
                         fmt::format("at most {} bytes", kMaxJsonLine), "more");
      }
      read_chunk();
    }
  }

 private:
  std::optional<std::string_view> take(std::string_view rest, std::size_t length) {
    if (rest.empty()) return std::nullopt;
    const std::string_view line = rest.substr(0, length);
    line_begin_ += length == rest.npos ? rest.size() : length + 1;
    return line;
  }

  void read_chunk() {
    buffer_.erase(0, std::exchange(line_begin_, 0));
    const std::size_t kept = buffer_.size();
    buffer_.resize(kept + kChunkBytes);
    const auto chunk = std::as_writable_bytes(std::span(buffer_)).subspan(kept);
    const std::size_t got = file_.read_at(offset_, chunk);
    buffer_.resize(kept + got);
    offset_ += got;
    ended_ = got < kChunkBytes;
  }

  File file_;
  std::uint64_t offset_ = 0;
  std::string buffer_;
  std::size_t line_begin_ = 0;  // in buffer_
  std::size_t line_number_ = 0;
  bool ended_ = false;
};

std::string document_of(std::string_view line, const std::vector<std::string>& fields,
                        const std::string& where) {
  const nlohmann::json object = parse_json(line, where);
  std::string document;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) document += "\n\n";
    document += require_string(object, fields[i], where);
  }
  return document;
}

}  // namespace

std::vector<std::string> read_json_lines(const std::filesystem::path& path,
                                         const std::vector<std::string>& fields) {
  std::vector<std::string> documents;
  LineReader lines(path);
  while (const auto line = lines.next()) {
    if (line->find_first_not_of(" \t\r") == line->npos) continue;
    documents.push_back(document_of(*line, fields, lines.where()));
  }
  return documents;
}

}  // namespace fp8cal
