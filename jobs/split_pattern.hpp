#pragma once

#include <string>
#include <string_view>

namespace fp8cal {

/// Rewrites a tokenizer's Split regex, which Hugging Face compiles with Oniguruma, so that PCRE2 in
/// UTF and UCP mode matches the same text. Only constructs that the two read alike are accepted:
/// literals, \r \n \t \s \S, \p{..} of a general category, escaped punctuation, character classes,
/// quantifiers, alternation, plain groups, (?:..) (?i:..) and look-around. Throws InputError naming
/// `where` and the byte of the pattern for any other.
std::string to_pcre2_pattern(std::string_view pattern, const std::string& where);

}  // namespace fp8cal
