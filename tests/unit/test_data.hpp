#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace fp8cal {

/// The folder of real models, texts and golden figures.
inline std::filesystem::path data_folder() { return FP8CAL_DATA; }

inline bool data_is_required() {
  const char* required = std::getenv("FP8CAL_REQUIRE_DATA");
  return required != nullptr && std::string_view(required) == "1";
}

}  // namespace fp8cal

/// First statement of a test (or SetUp) that reads data_folder(): skips it where the folder is
/// absent, or fails it where FP8CAL_REQUIRE_DATA=1. A macro, because both leave the caller.
#define FP8CAL_DATA_OR_SKIP()                                                 \
  do {                                                                        \
    if (!std::filesystem::is_directory(fp8cal::data_folder())) {              \
      if (fp8cal::data_is_required()) FAIL() << "no test data: " FP8CAL_DATA; \
      GTEST_SKIP() << "no test data: " FP8CAL_DATA;                           \
    }                                                                         \
  } while (false)
