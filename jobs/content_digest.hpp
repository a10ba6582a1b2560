#pragma once

#include <string>

#include "jobs/hdf5.hpp"

namespace fp8cal {

/// SHA-256 (64 hexadecimal digits) over everything in an open result file outside /provenance and
/// /profile and the root's attribute content_digest, serialised as docs/result-file.md says under
/// "The content digest". Hard links count under every name. Throws InputError for what that
/// serialisation does not cover (soft and external links, other types, elements in other files) and
/// for more objects, levels or bytes than a result file can need.
std::string content_digest(const hdf5::Handle& file);

}  // namespace fp8cal
