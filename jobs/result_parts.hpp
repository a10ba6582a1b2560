#pragma once

#include "jobs/bounded_group.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// Each reads its part of an untrusted result file (docs/result-file.md) into `result`; an absent
/// part leaves it empty, but /job must be there. Throw InputError where the file holds anything
/// else than the part as the writer writes it.
void read_provenance(const BoundedGroup& root, Result& result);
void read_job(const BoundedGroup& root, Result& result);
void read_activations(const BoundedGroup& root, Result& result);
void read_weights(const BoundedGroup& root, Result& result);
void read_scales(const BoundedGroup& root, Result& result);
void read_diagnostics(const BoundedGroup& root, Result& result);
/// After read_job.
void read_perplexity(const BoundedGroup& root, Result& result);

}  // namespace fp8cal
