#pragma once

namespace fp8cal {

inline constexpr const char* kVersion = FP8CAL_VERSION;

/// The commit that this was built from, as `git describe` names it; "unknown" outside a checkout.
const char* git_description();

}  // namespace fp8cal
