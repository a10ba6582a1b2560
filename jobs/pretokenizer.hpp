#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace fp8cal {

/// Hugging Face's Split(Regex, Isolated): cuts text into pieces, which are the matches of a regex
/// and the gaps between them. Immutable, so one may serve many threads.
class Pretokenizer {
 public:
  /// `pattern` in Hugging Face's dialect (see to_pcre2_pattern). Throws InputError naming `where`
  /// for a pattern that does not compile or that matches empty text.
  Pretokenizer(std::string_view pattern, const std::string& where);

 private:
  friend class PieceCursor;
  struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, FreeCode> code_;
};

/// Walks over the pieces of one text after another; the Pretokenizer must outlive it.
class PieceCursor {
 public:
  explicit PieceCursor(const Pretokenizer& pretokenizer);

  /// Starts over with `text`, valid UTF-8 that stays alive. `offset` is where it begins in what the
  /// user gave, for messages.
  void start(std::string_view text, std::size_t offset);
  /// The next piece, never empty; none at the end. Throws Error naming the byte where PCRE2 fails
  /// or reaches a limit.
  std::optional<std::string_view> next();

 private:
  struct FreeContext {
    void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  };
  struct FreeStack {
    void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
  };
  struct FreeMatch {
    void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
  };

  const pcre2_code* code_;
  std::unique_ptr<pcre2_match_context, FreeContext> context_;
  std::unique_ptr<pcre2_jit_stack, FreeStack> stack_;
  std::unique_ptr<pcre2_match_data, FreeMatch> match_;
  std::string_view text_;
  std::size_t offset_ = 0;
  std::size_t position_ = 0;     // where the next piece starts
  std::size_t match_begin_ = 0;  // the match at or after position_; both at the end where none is
  std::size_t match_end_ = 0;
};

}  // namespace fp8cal
