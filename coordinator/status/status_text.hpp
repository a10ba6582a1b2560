#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "coordinator/status/job_view.hpp"

namespace fp8cal {

/// What 'fp8cal status' prints of a job or an array: several lines. now: seconds since 1970.
std::string status_text(const JobView& view, std::int64_t now);

/// The same for other programs.
nlohmann::ordered_json status_json(const JobView& view);

}  // namespace fp8cal
