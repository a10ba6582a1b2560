#include "jobs/pretokenizer.hpp"

#include <fmt/format.h>

#include <array>
#include <new>

#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "jobs/split_pattern.hpp"

namespace fp8cal {
namespace {

// For one match. Text of tens of megabytes without a break stays far below; a pattern that
// backtracks exponentially is stopped.
constexpr std::uint32_t kMatchLimit = 200'000'000;
constexpr std::uint32_t kDepthLimit = 1'000'000;
constexpr std::uint32_t kHeapLimitKiB = 256 * 1024;
constexpr std::size_t kJitStackStart = 32 * 1024;
constexpr std::size_t kJitStackLimit = 16 * 1024 * 1024;

std::string error_text(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

template <class T>
T* allocated(T* object) {
  if (object == nullptr) throw std::bad_alloc();
  return object;
}

}  // namespace

Pretokenizer::Pretokenizer(std::string_view pattern, const std::string& where) {
  const std::string rewritten = to_pcre2_pattern(pattern, where);
  int error = 0;
  PCRE2_SIZE error_offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                            PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &error_offset,
                            nullptr));
  if (code_ == nullptr) {
    throw InputError(
        where, "regex", "a pattern that PCRE2 compiles",
        fmt::format("{} at byte {} of {}", error_text(error), error_offset, in_quotes(rewritten)));
  }
  std::uint32_t matches_empty = 0;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_MATCHEMPTY, &matches_empty);
  if (matches_empty != 0) {
    throw InputError(where, "regex", "a pattern that matches no empty text", in_quotes(pattern));
  }
  // Where the system allows no executable memory, PCRE2 interprets the pattern instead.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

PieceCursor::PieceCursor(const Pretokenizer& pretokenizer)
    : code_(pretokenizer.code_.get()),
      context_(allocated(pcre2_match_context_create(nullptr))),
      stack_(pcre2_jit_stack_create(kJitStackStart, kJitStackLimit, nullptr)),
      match_(allocated(pcre2_match_data_create(1, nullptr))) {
  pcre2_set_match_limit(context_.get(), kMatchLimit);
  pcre2_set_depth_limit(context_.get(), kDepthLimit);
  pcre2_set_heap_limit(context_.get(), kHeapLimitKiB);
  if (stack_ != nullptr) pcre2_jit_stack_assign(context_.get(), nullptr, stack_.get());
}

void PieceCursor::start(std::string_view text, std::size_t offset) {
  text_ = text;
  offset_ = offset;
  position_ = match_begin_ = match_end_ = 0;
}

std::optional<std::string_view> PieceCursor::next() {
  if (position_ == text_.size()) return std::nullopt;
  if (position_ == match_end_) {
    // Exactly one pair of offsets fits into match_, so that 0 means: matched, with more groups.
    const int count = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text_.data()), text_.size(),
                                  position_, PCRE2_NO_UTF_CHECK, match_.get(), context_.get());
    if (count < 0 && count != PCRE2_ERROR_NOMATCH) {
      throw Error(ExitCode::failed, fmt::format("text at byte {}: cannot split it into words: {}",
                                                offset_ + position_, error_text(count)));
    }
    const PCRE2_SIZE* found = pcre2_get_ovector_pointer(match_.get());
    match_begin_ = count < 0 ? text_.size() : found[0];
    match_end_ = count < 0 ? text_.size() : found[1];
  }
  const std::size_t end = position_ < match_begin_ ? match_begin_ : match_end_;
  const std::string_view piece = text_.substr(position_, end - position_);
  position_ = end;
  return piece;
}

}  // namespace fp8cal
