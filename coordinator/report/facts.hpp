#pragma once

#include <string>
#include <vector>

#include "jobs/result_reader.hpp"

namespace fp8cal {

/// A line about a result: untrusted text on both sides.
struct Fact {
  std::string name;
  std::string value;
};

struct Facts {
  std::vector<Fact> origin;      ///< what a reader has to know: version, digests, seed, texts
  std::vector<Fact> job;         ///< all of /job
  std::vector<Fact> provenance;  ///< /provenance but for the job file and the timeline
};

Facts facts_of(const StoredResult& stored);

}  // namespace fp8cal
