#include "worker/decoder.hpp"

#include <gtest/gtest.h>

#include "kernels/cpu/cpu_backend.hpp"
#include "sharding/mpi_collectives.hpp"
#include "sharding/single_collectives.hpp"
#include "tests/unit/temp_folder.hpp"
#include "tests/unit/tiny_model.hpp"
#include "worker/decoder_model.hpp"

namespace fp8cal {
namespace {

struct Decoded {
  std::vector<float> by_token, by_chunk;  // NLL
  std::vector<std::uint32_t> chosen;
  std::uint64_t peak_memory = 0;

  friend bool operator==(const Decoded& a, const Decoded& b) {
    return a.by_token == b.by_token && a.by_chunk == b.by_chunk && a.chosen == b.chosen;
  }
};

constexpr DecoderShape kPrompt = {.capacity = 90, .chunk = 70, .kv = DType::e4m3};

Decoded decode(Backend& backend, Collectives& slices, const std::filesystem::path& folder,
               const std::optional<Recipe>& recipe) {
  SilentProgress progress;
  const ModelConfig config = read_model_config(folder);
  const Checkpoint checkpoint = Checkpoint::open(folder);
  DecoderModel model(backend, slices, {checkpoint, config, recipe, {}, 1, progress});
  // One scale a head, of which each slice takes its own.
  model.keep_kv_in(DType::e4m3, {{{}, {}, {0.01f, 0.02f}, {0.1f, 0.01f}}, {{}, {}, {1, 2}, {1}}});
  Decoder decoder(backend, slices, config, model.weights(), kPrompt);
  const std::vector<std::uint32_t> ids = random_ids(80, config.vocab_size, 1);
  Decoded decoded;
  decoded.by_token = decoder.score(ids, 1);
  decoded.by_chunk = decoder.score(ids, 70);
  decoder.prefill(ids);
  for (int i = 0; i < 8; ++i) {
    if (i > 0) decoder.step();
    slices.wait();
    decoded.chosen.emplace_back();
    backend.download(&decoded.chosen.back(), decoder.ids(), sizeof(std::uint32_t));
  }
  decoded.peak_memory = backend.peak_memory_bytes();
  return decoded;
}

TEST(Decoder, SlicesHaveTheBitsOfOne) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  TempFolder folder;
  write_tiny_model(folder.path());
  const ModelConfig config = read_model_config(folder.path());
  for (const char* variant : {"bf16", "fp8-static", "fp8-dynamic", "fp8-weight-only"}) {
    std::optional<Recipe> recipe;
    if (variant != std::string("bf16")) recipe = find_recipe(variant);
    const auto alone = make_cpu_backend(1);
    SingleCollectives single(*alone);
    const Decoded expected = decode(*alone, single, folder.path(), recipe);
    EXPECT_EQ(expected.by_token, expected.by_chunk);

    // Pairs; of an odd number one rank is left.
    const auto backend = make_cpu_backend(1);
    MpiCollectives pair(MPI_COMM_WORLD, rank / 2, rank);
    const Decoded sliced = decode(*backend, pair, folder.path(), recipe);
    EXPECT_TRUE(sliced == expected) << variant << " on rank " << rank;
    const std::uint64_t predicted =
        decoder_memory(config, recipe, kPrompt, pair.size(), {}).total();
    EXPECT_GE(predicted, sliced.peak_memory) << variant;
    EXPECT_LE(predicted, sliced.peak_memory + sliced.peak_memory / 50) << variant;
  }
}

}  // namespace
}  // namespace fp8cal
