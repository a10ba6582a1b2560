#include "coordinator/report/page_frame.hpp"

#include <filesystem>

#include "coordinator/provenance.hpp"
#include "coordinator/report/plot.hpp"

namespace fp8cal {
namespace {

/// Fills that tell parts of charts apart without colour.
Markup patterns() {
  const auto pattern = [](const char* id, const char* path) {
    return tag("pattern",
               {{"id", id}, {"width", "6"}, {"height", "6"}, {"patternUnits", "userSpaceOnUse"}},
               [&] {
                 Markup all = svg_rect(0, 0, 6, 6, "pattern-ground");
                 all += tag("path", {{"d", path}, {"class", "pattern-ink"}}, Markup());
                 return all;
               }());
  };
  Markup all = pattern("hatch", "M-1,7L7,-1M-1,1L1,-1M5,7L7,5");
  all += pattern("dots", "M1,2h2M4,5h2");
  all += pattern("cross", "M0,3h6M3,0v6");
  return tag("svg", {{"class", "defs"}, {"aria-hidden", "true"}, {"width", "0"}, {"height", "0"}},
             tag("defs", {}, all));
}

Markup head(const std::string& title) {
  Markup all = Markup::void_element("meta", {{"charset", "utf-8"}});
  all += Markup::void_element(
      "meta", {{"name", "viewport"}, {"content", "width=device-width, initial-scale=1"}});
  // Nothing is loaded, whatever a name in a result may look like.
  all += Markup::void_element(
      "meta",
      {{"http-equiv", "Content-Security-Policy"},
       {"content", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"}});
  all += Markup::void_element("meta", {{"name", "color-scheme"}, {"content", "light dark"}});
  all += tag("title", title);
  all += tag("style", {}, Markup::trusted(page_style()));
  return tag("head", {}, all);
}

Markup page_header(const std::string& title, const std::vector<std::string>& sources) {
  Markup all = tag("h1", title);
  for (const std::string& source : sources) all += tag("p", {{"class", "file"}}, source);
  return tag("header", {}, all);
}

}  // namespace

std::string html_page(const std::string& title, const std::vector<std::string>& sources,
                      const Markup& sections, std::string_view script) {
  Markup body = patterns();
  body += page_header(title, sources);
  body += tag("main", {}, sections);
  body += tag("footer", {}, tag("p", "fp8cal " + version_text()));
  if (!script.empty()) body += tag("script", {}, Markup::trusted(script));
  Markup all = head(title);
  all += tag("body", {}, body);
  return "<!DOCTYPE html>\n" + tag("html", {{"lang", "en"}}, all).str() + "\n";
}

std::string file_title(const std::string& path) {
  const std::filesystem::path whole(path);
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

}  // namespace fp8cal
