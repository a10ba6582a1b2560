#pragma once

#include <cstddef>
#include <string>

#include "coordinator/audit/finding.hpp"
#include "jobs/hdf5.hpp"

namespace fp8cal {

/// What the digests of an open result file say.
struct ObjectCheck {
  std::string stored;       ///< the content digest that the file carries; empty: none
  std::string computed;     ///< that of what it holds; empty where something cannot be read
  std::size_t objects = 0;  ///< hashed, each under every name
  bool has_table = false;   ///< of object digests
};

/// Hashes every object, and adds a finding for each that is not what was written, under the first
/// of its names; where none is, for damage to the digests themselves.
ObjectCheck check_objects(const hdf5::Handle& file, Findings& findings);

}  // namespace fp8cal
