#pragma once

#include <optional>
#include <string>

#include "jobs/error.hpp"
#include "jobs/model_config.hpp"
#include "jobs/result.hpp"

namespace fp8cal {

/// The model as a result's /job tells it: every key begins with "model.".
Attributes model_attributes(const ModelConfig& config);

/// Throws InputError naming `where` and the first key in which the model `config` differs from the
/// one that `job`, the /job of a result, tells of.
void expect_same_model(const ModelConfig& config, const Attributes& job, const std::string& where);

/// The shape alone of the model that `job`, the /job of a result, tells of. Throws InputError
/// naming `where` for a size that is missing or that no config.json may have.
ModelConfig model_shape(const Attributes& job, const std::string& where);

/// An attribute of `job`, the /job of a result. Throws InputError naming `where` where there is
/// none of type T.
template <class T>
const T& job_attribute(const Attributes& job, const std::string& name, const std::string& where) {
  const auto found = job.find(name);
  if (found != job.end() && std::holds_alternative<T>(found->second)) {
    return std::get<T>(found->second);
  }
  throw InputError(where, "attribute /job/" + name, "one, of its documented type", "none");
}

/// The attribute `key` of a result; none where there is none of type T.
template <class T>
std::optional<T> find_attribute(const Attributes& attributes, const std::string& key) {
  const auto found = attributes.find(key);
  if (found == attributes.end() || !std::holds_alternative<T>(found->second)) return std::nullopt;
  return std::get<T>(found->second);
}

}  // namespace fp8cal
