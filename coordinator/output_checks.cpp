#include "coordinator/output_checks.hpp"

#include <algorithm>
#include <filesystem>

#include "coordinator/checkpoint/export_folder.hpp"
#include "jobs/error.hpp"
#include "jobs/recipe.hpp"

namespace fp8cal {
namespace {

/// Whether a file of this name would lie in the folder, or in one below it.
bool lies_in(const std::filesystem::path& file, const std::filesystem::path& folder) {
  const auto inner = std::filesystem::weakly_canonical(std::filesystem::absolute(file));
  const auto outer = std::filesystem::weakly_canonical(std::filesystem::absolute(folder));
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

}  // namespace

ExportRequest checkpoint_request(const Job& job) {
  return {.model = job.model.path,
          .out = job.output.checkpoint,
          .format = parse_checkpoint_format(job.output.checkpoint_format),
          .recipe = job.output.checkpoint_recipe};
}

void check_checkpoint_output(const Job& job) {
  if (job.output.checkpoint.empty()) return;
  const ExportRequest request = checkpoint_request(job);
  check_expressible(request.format, find_recipe(request.recipe));
  if (lies_in(job.output.result, request.out)) {
    throw InputError("output.result", "file", "one outside output.checkpoint", job.output.result);
  }
  files_to_copy(request.model);
  // A folder that is not there yet is not made either.
  if (std::filesystem::exists(request.out)) {
    prepare_export_folder(request.model, request.out, request.force);
  }
}

}  // namespace fp8cal
