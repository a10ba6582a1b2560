#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "sharding/agreement.hpp"
#include "tests/unit/export_fixture.hpp"
#include "tests/unit/temp_folder.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

TEST(Export, RanksShareTheFilesOfOneCheckpoint) {
  const Control control(MPI_COMM_WORLD);
  const Control alone(MPI_COMM_SELF);
  std::optional<TempFolder> own;
  if (control.rank() == 0) own.emplace();
  const fs::path folder = control.broadcast(own ? own->path().string() : "");
  const fs::path model = folder / "model";
  write_small_model(model, small_model_json(), control);

  const std::string recipe = "fp8-channel-kv-e4m3";
  Result result;  // empty but on rank 0
  if (control.rank() == 0) result = small_result(model, {recipe});
  NoProgress progress;
  ExportRequest request{
      .model = model, .out = folder / "all", .recipe = recipe, .bytes_per_file = 1};
  export_checkpoint(request, result, "0123", 2, control, progress);
  const auto all = contents_of(request.out);
  EXPECT_EQ(all.size(), 4u + 3u);

  control.max(0);  // a barrier
  if (control.rank() == 0) {
    request.out = folder / "alone";
    export_checkpoint(request, result, "0123", 1, alone, progress);
    EXPECT_EQ(contents_of(request.out), all);
  }

  // Every rank hears of the failure, and none leaves a file.
  result.job["weights_digest"] = "another";
  request.out = folder / "refused";
  EXPECT_THROW(export_checkpoint(request, result, "0123", 1, control, progress), AgreedError);
  control.max(0);
  EXPECT_TRUE(contents_of(request.out).empty());
  control.max(0);  // until here the folder must stay
}

}  // namespace
}  // namespace fp8cal
