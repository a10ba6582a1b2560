#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "jobs/error.hpp"

namespace fp8cal {

/// Something that is wrong in a result file.
struct Finding {
  std::string object;  ///< path in the file, such as "/job/calibration_tokens"
  std::string what;    ///< which property of it
  std::string expected;
  std::string found;
};

/// Text that a file holds, which may be anything, as part of a line: other than plain ASCII becomes
/// '?'.
std::string printable(std::string text);

/// "object: what: expected E, found F", printable.
std::string text_of(const Finding& finding);

/// What a reader refused, without the file's name in front of the object.
Finding finding_of(const InputError& error, const std::string& file);

/// Findings in the order of their causes. A file can hold endlessly many: the first 1,000 are kept,
/// the rest counted.
class Findings {
 public:
  void add(Finding finding) {
    if (++count_ <= kMostKept) kept_.push_back(std::move(finding));
  }
  const std::vector<Finding>& kept() const { return kept_; }
  std::size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

 private:
  static constexpr std::size_t kMostKept = 1000;
  std::vector<Finding> kept_;
  std::size_t count_ = 0;
};

}  // namespace fp8cal
