#include "coordinator/report/markup.hpp"

#include <fmt/format.h>

#include "coordinator/status/printable.hpp"

namespace fp8cal {
namespace {

std::string begin_tag(const char* name, const Markup::Attributes& attributes) {
  std::string begin = std::string("<") + name;
  for (const auto& [key, value] : attributes)
    begin += fmt::format(" {}=\"{}\"", key, escaped(value));
  return begin + ">";
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

Markup Markup::text(std::string_view text) {
  Markup markup;
  markup.text_ = escaped(text);
  return markup;
}

Markup Markup::element(const char* name, const Attributes& attributes, const Markup& content) {
  Markup markup;
  markup.text_ = begin_tag(name, attributes) + content.text_ + "</" + name + ">";
  return markup;
}

Markup Markup::void_element(const char* name, const Attributes& attributes) {
  Markup markup;
  markup.text_ = begin_tag(name, attributes);
  return markup;
}

Markup Markup::trusted(std::string_view text) {
  Markup markup;
  markup.text_ = text;
  return markup;
}

Markup& Markup::operator+=(const Markup& other) {
  text_ += other.text_;
  return *this;
}

Markup tag(const char* name, const Markup::Attributes& attributes, const Markup& content) {
  return Markup::element(name, attributes, content);
}

Markup tag(const char* name, const Markup::Attributes& attributes, std::string_view text) {
  return Markup::element(name, attributes, Markup::text(text));
}

Markup tag(const char* name, std::string_view text) { return tag(name, {}, text); }

std::string at(double value) {
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

}  // namespace fp8cal
