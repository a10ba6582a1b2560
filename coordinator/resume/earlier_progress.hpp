#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/preparation.hpp"
#include "coordinator/resume/saved_progress.hpp"
#include "jobs/result.hpp"
#include "sharding/control.hpp"

namespace fp8cal {

/// What earlier runs of a job did, on every rank.
struct EarlierProgress {
  SavedProgress done;
  /// pass -> hidden states of what this rank has left of it, after done.layers_done layers
  std::map<std::string, std::vector<std::uint16_t>> hidden;
};

/// `attributes` as they are compared.
std::map<std::string, std::string> as_text(const Attributes& attributes);

/// Reads what is saved in runtime.checkpoint, which is made where it is missing; nothing where
/// there is no such key. must_equal: what the job must have in common with it. Damaged, it is not
/// used, with a warning. Throws AgreedError with the reason where it is of another job or version,
/// or cannot be used by this partition. Collective.
EarlierProgress read_earlier_progress(const Job& job, const Attributes& must_equal,
                                      const std::vector<std::string>& variants,
                                      const Preparation& ready, const Control& control);

}  // namespace fp8cal
