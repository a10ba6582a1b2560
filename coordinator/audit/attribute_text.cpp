#include "coordinator/audit/attribute_text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace fp8cal {
namespace {

constexpr std::size_t kMostBytes = 200;

std::string text_of_list(const std::vector<std::string>& list) {
  std::string text;
  for (auto item = list.begin(); item != list.end() && text.size() <= kMostBytes;) {
    const auto next = std::find_if(item, list.end(), [&](const auto& one) { return one != *item; });
    if (!text.empty()) text += "; ";
    if (next - item > 1) text += fmt::format("{} x ", next - item);
    text += *item;
    item = next;
  }
  return text;
}

}  // namespace

std::string attribute_text(const Attributes& attributes, const std::string& key) {
  const auto found = attributes.find(key);
  if (found == attributes.end()) return "none";
  std::string text;
  if (const auto* list = std::get_if<std::vector<std::string>>(&found->second)) {
    text = text_of_list(*list);
  } else if (const auto* string = std::get_if<std::string>(&found->second)) {
    text = *string;
  } else if (const auto* whole = std::get_if<std::int64_t>(&found->second)) {
    text = fmt::to_string(*whole);
  } else {
    text = fmt::to_string(std::get<double>(found->second));
  }
  if (text.size() > kMostBytes) text.replace(kMostBytes, std::string::npos, "...");
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c == 0x7F; }, '?');
  return text;
}

}  // namespace fp8cal
