#include "coordinator/gemm_self_check.hpp"

#include <fmt/format.h>

#include "jobs/error.hpp"
#include "jobs/recipe.hpp"
#include "kernels/gemm_check.hpp"
#include "sharding/grid.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kRows = 256;

std::vector<ProductKind> kinds_of(const Job& job, const ModelConfig& config) {
  std::vector<ProductKind> kinds = {ProductKind::bf16};
  // Fused modules of a checkpoint may have weight scales of their own, and so one a row.
  if (config.stored_recipe) kinds.push_back(ProductKind::fp8_vector);
  for (const std::string& name : job.scales.recipes) {
    const Recipe recipe = find_recipe(name);
    if (recipe.input == Recipe::Input::bf16) continue;
    const bool vectors = recipe.weight_per_channel || recipe.input == Recipe::Input::per_token;
    kinds.push_back(vectors ? ProductKind::fp8_vector : ProductKind::fp8_scalar);
  }
  return kinds;
}

}  // namespace

std::string check_gemms(Backend& backend, const ModelConfig& config, const Job& job) {
  if (backend.name() == "cpu") return "not needed: the cpu backend adds up in one order";
  // In as many slices as any cluster could use, not only this one: results must be equal.
  const auto slices = static_cast<std::size_t>(tensor_degrees(config).back());
  const std::vector<ProductKind> kinds = kinds_of(job, config);
  const std::vector<ProductShape> shapes = {
      {config.q_rows() + 2 * config.kv_rows(), config.hidden_size, slices, kinds},
      {config.hidden_size, config.q_rows(), slices, kinds},
      {2 * config.intermediate_size, config.hidden_size, slices, kinds},
      {config.hidden_size, config.intermediate_size, slices, kinds}};
  const auto difference = find_gemm_difference(backend, shapes, kRows);
  if (!difference)
    return fmt::format("{} shapes bit-identical in {} slices", shapes.size(), slices);
  if (!job.runtime.allow_variant_gemm) {
    throw Error(ExitCode::failed, "GEMM self-check: results would depend on the partition: " +
                                      difference->to_string() +
                                      "; runtime.allow_variant_gemm = yes runs all the same");
  }
  return "variant: " + difference->to_string();
}

}  // namespace fp8cal
