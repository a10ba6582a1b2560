#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/inputs.hpp"
#include "coordinator/token_cache.hpp"
#include "jobs/dataset.hpp"
#include "jobs/tokenizer.hpp"

namespace fp8cal {

/// Reads what jobs on one model read before any weight. Texts that several of them share are
/// tokenized once.
class InputReader {
 public:
  explicit InputReader(ModelConfig config) : config_(std::move(config)) {}

  /// Throws InputError as read_dataset, Tokenizer::load, draw_windows, cut_windows and
  /// check_overlap do, and for sequences beyond the model's context and ids beyond its vocabulary.
  Inputs read(const Job& job);

 private:
  struct Text {
    Dataset dataset;  // without its documents, once they are tokens
    std::vector<std::uint32_t> ids;
    bool is_read = false;  // ids are there
  };

  Text& open(const DatasetSpec& spec, StreamKind kind);
  const std::vector<std::uint32_t>& ids(const Job& job, Text& text, StreamKind kind);

  ModelConfig config_;
  std::optional<Tokenizer> tokenizer_;
  std::map<std::pair<std::vector<std::string>, StreamKind>, Text> texts_;  // by path and fields
};

}  // namespace fp8cal
