#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/report/markup.hpp"

namespace fp8cal {

/// One HTML page that needs nothing else: no network, no other file. sources: lines below the
/// title, of what it was made from. script: a part of the program; empty: none.
std::string html_page(const std::string& title, const std::vector<std::string>& sources,
                      const Markup& sections, std::string_view script);

/// The last part of a path, also of one that ends with a slash.
std::string file_title(const std::string& path);

/// page.css and page.js, which are compiled in.
std::string_view page_style();
std::string_view page_script();

}  // namespace fp8cal
