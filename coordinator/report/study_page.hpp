#pragma once

#include <filesystem>
#include <string>

#include "coordinator/study/study_file.hpp"

namespace fp8cal {

/// A study as an html_page without a script. file: where it was read, as it was named.
std::string study_page(const StudyRecord& study, const std::filesystem::path& file);

}  // namespace fp8cal
