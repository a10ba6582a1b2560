#pragma once

#include <gtest/gtest.h>

#include <string>

#include "jobs/error.hpp"

namespace fp8cal {

/// The line of the fp8cal::Error that `call` throws; fails the test where it throws none or the
/// text is not one line.
template <class Call>
std::string error_text(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return text;
  }
  ADD_FAILURE() << "no fp8cal::Error was thrown";
  return {};
}

}  // namespace fp8cal
