#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <span>

#include "gpu_test.hpp"
#include "jobs/dataset.hpp"
#include "sharding/single_collectives.hpp"
#include "tests/unit/tiny_model.hpp"
#include "worker/decoder.hpp"
#include "worker/decoder_model.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kWindow = 512;                    // tokens, where the model takes so many
constexpr std::size_t kLeastScored = 4096;              // tokens, where the text has so many
constexpr float kKeyScale = 0.3f, kValueScale = 0.11f;  // no powers of two: products are rounded

using Tokens = std::span<const std::uint32_t>;

/// A text's negative log-likelihood token by token less that of whole windows, in nats a token.
struct Difference {
  std::size_t tokens = 0;
  double mean = 0, standard_error = 0, mean_absolute = 0, largest = 0;
};

Difference difference_of(const std::vector<double>& differences) {
  const double count = static_cast<double>(differences.size());
  Difference all = {.tokens = differences.size()};
  for (const double one : differences) {
    all.mean += one / count;
    all.mean_absolute += std::fabs(one) / count;
    all.largest = std::max(all.largest, std::fabs(one));
  }
  double squares = 0;
  for (const double one : differences) squares += (one - all.mean) * (one - all.mean);
  all.standard_error = std::sqrt(squares / (count - 1) / count);
  return all;
}

/// The first windows of a text that predict kLeastScored tokens together.
std::vector<Tokens> windows_of(Tokens text, std::size_t length) {
  std::vector<Tokens> windows;
  std::size_t scored = 0;
  while (scored < kLeastScored && text.size() >= 2) {
    windows.push_back(text.first(std::min(length, text.size())));
    scored += windows.back().size() - 1;
    text = text.subspan(windows.back().size());
  }
  return windows;
}

/// By the model in BF16, keys and values kept in `kv`.
Difference decode(Backend& backend, const std::filesystem::path& folder, Tokens text, DType kv) {
  const ModelConfig config = read_model_config(folder);
  check_token_ids(text, config.vocab_size, "the text");
  SingleCollectives slices(backend);
  SilentProgress progress;
  const Checkpoint checkpoint = Checkpoint::open(folder);
  DecoderModel model(backend, slices, {checkpoint, config, {}, {}, 4, progress});
  if (kv != DType::bf16) {
    const ModuleScales attention = {{}, {}, {kKeyScale}, {kValueScale}};
    model.keep_kv_in(kv, std::vector<ModuleScales>(config.num_hidden_layers, attention));
  }
  const std::size_t length = std::min(kWindow, config.max_position_embeddings);
  Decoder decoder(backend, slices, config, model.weights(),
                  {.capacity = length, .chunk = length, .kv = kv});
  std::vector<double> differences;
  for (const Tokens window : windows_of(text, length)) {
    const std::vector<float> decoded = decoder.score(window, 1);
    const std::vector<float> at_once = decoder.score(window, length);
    for (std::size_t t = 0; t < decoded.size(); ++t) {
      differences.push_back(double{decoded[t]} - double{at_once[t]});
    }
  }
  return difference_of(differences);
}

/// A real model, in the folder FP8CAL_DECODER_MODEL, and a text of its token ids, in the file
/// FP8CAL_DECODER_TOKENS that ends in .u32: random weights or ids would leave nothing to predict.
class CudaDecoder : public testing::Test {
 protected:
  void SetUp() override {
    FP8CAL_GPU_OR_SKIP();
    const char* model = std::getenv("FP8CAL_DECODER_MODEL");
    const char* tokens = std::getenv("FP8CAL_DECODER_TOKENS");
    if (model == nullptr || tokens == nullptr) {
      const char* why = "FP8CAL_DECODER_MODEL and FP8CAL_DECODER_TOKENS name no model and text";
      if (gpu_is_required()) FAIL() << why;
      GTEST_SKIP() << why;
    }
    model_ = model;
    text_ = read_dataset({.path = tokens}).tokens;
    cuda_ = make_backend({"cuda", 1});
  }

  /// Prints what acceptance_bars.py reads.
  Difference report(const char* name, DType kv) {
    const Difference all = decode(*cuda_, model_, text_, kv);
    std::printf(
        "decoding token by token: %s cache, %zu tokens, nats off whole windows: mean %.3g, its "
        "standard error %.3g, mean absolute %.3g, largest %.3g\n",
        name, all.tokens, all.mean, all.standard_error, all.mean_absolute, all.largest);
    return all;
  }

  std::filesystem::path model_;
  std::vector<std::uint32_t> text_;
  std::unique_ptr<Backend> cuda_;
};

/// Kernels for few rows sum in another order, which must not shift the perplexity.
TEST_F(CudaDecoder, ScoresALongTextTokenByToken) {
  const Difference all = report("bf16", DType::bf16);
  EXPECT_GT(all.tokens, 1u);
  EXPECT_LT(std::fabs(all.mean), 1e-3);
}

/// These also scale keys and values after their sums, not rounded before.
TEST_F(CudaDecoder, ScoresALongTextWithAnFp8Cache) {
  for (const auto& [name, kv] : {std::pair{"e4m3", DType::e4m3}, std::pair{"e5m2", DType::e5m2}}) {
    const Difference all = report(name, kv);
    EXPECT_GT(all.tokens, 1u) << name;
    EXPECT_LT(std::fabs(all.mean), 1e-2) << name;
  }
}

}  // namespace
}  // namespace fp8cal
