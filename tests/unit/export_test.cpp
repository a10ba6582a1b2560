#include "coordinator/checkpoint/export.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstring>
#include <set>

#include "jobs/checkpoint_layout.hpp"
#include "jobs/json.hpp"
#include "jobs/safetensors.hpp"
#include "tests/unit/error_text.hpp"
#include "tests/unit/export_fixture.hpp"
#include "tests/unit/temp_folder.hpp"

/// Open MPI keeps memory to its end, in components that are gone before a leak could be traced to
/// them.
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

namespace fp8cal {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MpiEnvironment : public testing::Environment {
  void SetUp() override { MPI_Init(nullptr, nullptr); }
  void TearDown() override { MPI_Finalize(); }
};
const auto* const kMpi = testing::AddGlobalTestEnvironment(new MpiEnvironment);

struct Stored {
  std::string dtype;
  std::vector<std::uint64_t> shape;
  std::string bytes;

  std::vector<float> floats() const {
    std::vector<float> values(bytes.size() / sizeof(float));
    std::memcpy(values.data(), bytes.data(), bytes.size());
    return values;
  }
};

class ExportTest : public testing::Test {
 protected:
  ExportTest() { write_small_model(model_, small_model_json(), control_); }

  void run(const std::string& recipe, const Result& result, int threads = 1) {
    request_.recipe = recipe;
    NoProgress progress;
    export_checkpoint(request_, result, "0123abcd", threads, control_, progress);
  }
  void run(const std::string& recipe) { run(recipe, small_result(model_, {recipe})); }
  std::string refusal(const std::string& recipe, const Result& result) {
    return error_text([&] { run(recipe, result); });
  }

  /// All tensors of the exported checkpoint; checks index, places and alignment on the way.
  std::map<std::string, Stored> tensors() const {
    const json index = read_json_file(out_ / kIndexName, 1 << 20);
    std::set<std::string> names;
    for (const auto& [tensor, file] : index.at("weight_map").items()) names.insert(file);
    std::map<std::string, Stored> all;
    std::uint64_t total = 0;
    for (const std::string& name : names) {
      const SafetensorsFile file = SafetensorsFile::open(out_ / name);
      EXPECT_EQ(file.header().metadata.at("format"), "pt");
      for (const TensorInfo& info : file.header().tensors) {
        EXPECT_EQ(index.at("weight_map").at(info.name), name);
        EXPECT_EQ(info.begin * 8 % bits_of(info.dtype), 0u) << info.name;
        Stored& stored = all[info.name];
        stored = {std::string(name_of(info.dtype)), info.shape,
                  std::string(info.end - info.begin, 0)};
        file.read(info, 0, std::as_writable_bytes(std::span(stored.bytes)));
        total += stored.bytes.size();
      }
    }
    EXPECT_EQ(index.at("weight_map").size(), all.size());
    EXPECT_EQ(index.at("metadata").at("total_size"), total);
    return all;
  }

  json exported_config() const { return read_json_file(out_ / "config.json", 1 << 20); }
  std::vector<std::string> names_in(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TempFolder folder_;
  const fs::path model_ = folder_.path() / "model";
  const fs::path out_ = folder_.path() / "out";
  const Control control_{MPI_COMM_SELF};
  ExportRequest request_{.model = model_, .out = out_, .recipe = {}};
};

/// Checks one matrix against its definition.
void expect_quantized(const std::vector<std::uint16_t>& source, const Stored& codes,
                      const std::vector<float>& scale) {
  ASSERT_EQ(codes.bytes.size(), source.size());
  const std::size_t per_scale = source.size() / scale.size();
  for (std::size_t i = 0; i < source.size(); ++i) {
    const float value = bf16_to_float(source[i]);
    const float s = scale[i / per_scale];
    const auto code = static_cast<std::uint8_t>(codes.bytes[i]);
    ASSERT_EQ(code, float_to_e4m3(value / s)) << i;
    // Half a step: 2^-4 of a normal number, 2^-10 below.
    const float bound = std::max(std::fabs(value) / 16, s / 1024) * 1.0001f;
    ASSERT_LE(std::fabs(e4m3_to_float(code) * s - value), bound) << i;
  }
}

TEST_F(ExportTest, QuantizesLinearWeightsAndCopiesTheRest) {
  const ModelConfig config = read_model_config(model_);
  const Checkpoint source = Checkpoint::open(model_);
  for (const char* recipe :
       {"fp8-static", "fp8-channel-kv-e4m3-head", "fp8-dynamic-kv-e4m3", "fp8-weight-only"}) {
    SCOPED_TRACE(recipe);
    request_.force = true;
    const Result result = small_result(model_, {recipe});
    run(recipe, result);
    std::map<std::string, Stored> all = tensors();
    for (const WeightShard& shard : all_weights(config)) {
      const std::vector<std::uint16_t> values = read_weight(source, shard);
      const std::string module = shard.name.substr(0, shard.name.rfind('.'));
      const Stored stored = all.extract(shard.name).mapped();
      EXPECT_EQ(stored.shape, shard.shape);
      const auto scales = result.scales.at(recipe).find(module);
      if (scales == result.scales.at(recipe).end()) {
        EXPECT_EQ(stored.dtype, "BF16");
        EXPECT_EQ(std::memcmp(stored.bytes.data(), values.data(), stored.bytes.size()), 0);
        continue;
      }
      EXPECT_EQ(stored.dtype, "F8_E4M3");
      const Stored scale = all.extract(module + ".weight_scale").mapped();
      EXPECT_EQ(scale.dtype, "F32");
      EXPECT_EQ(scale.floats(), scales->second.weight_scale);
      using Shape = std::vector<std::uint64_t>;
      EXPECT_EQ(scale.shape,
                find_recipe(recipe).weight_per_channel ? Shape({shard.shape[0], 1}) : Shape({1}));
      expect_quantized(values, stored, scale.floats());
      if (!scales->second.input_scale.empty()) {
        const Stored input = all.extract(module + ".input_scale").mapped();
        EXPECT_EQ(input.shape, Shape({1}));
        EXPECT_EQ(input.floats(), scales->second.input_scale);
      }
    }
    for (const auto& [name, stored] : all) EXPECT_THAT(name, HasSubstr("self_attn."));
    EXPECT_EQ(all.size(), find_recipe(recipe).kv ? 4u : 0u);  // k_scale and v_scale a layer
  }
}

TEST_F(ExportTest, KeepsScalesOfKeysAndValues) {
  run("fp8-dynamic-kv-e4m3-head");
  const auto all = tensors();
  const Stored& k = all.at("model.layers.1.self_attn.k_scale");
  EXPECT_THAT(k.shape, ElementsAre(2, 1, 1));
  EXPECT_THAT(k.floats(), ElementsAre(0.5f, 1.5f));
  EXPECT_THAT(all.at("model.layers.1.self_attn.v_scale").floats(), ElementsAre(1.125f, 1.125f));
}

TEST_F(ExportTest, ModelOptNamesAndShapes) {
  request_.format = CheckpointFormat::modelopt;
  run("fp8-static-kv-e4m3");
  auto all = tensors();
  EXPECT_TRUE(all.at("model.layers.0.mlp.up_proj.weight_scale").shape.empty());
  EXPECT_TRUE(all.at("model.layers.0.mlp.up_proj.input_scale").shape.empty());
  EXPECT_THAT(all.at("model.layers.1.self_attn.v_proj.v_scale").floats(), ElementsAre(1.125f));
  EXPECT_TRUE(all.at("model.layers.1.self_attn.k_proj.k_scale").shape.empty());
  EXPECT_FALSE(all.contains("model.layers.1.self_attn.k_scale"));
  const json quant = read_json_file(out_ / "hf_quant_config.json", 1 << 20);
  EXPECT_EQ(quant.at("quantization").at("kv_cache_quant_algo"), "FP8");
  EXPECT_EQ(quant.at("producer").at("name"), "modelopt");

  request_.force = true;
  run("fp8-dynamic");
  all = tensors();
  EXPECT_THAT(all.at("model.layers.0.mlp.up_proj.weight_scale").shape, ElementsAre(72));
  EXPECT_FALSE(all.contains("model.layers.0.mlp.up_proj.input_scale"));
}

TEST_F(ExportTest, TiedEmbeddingsAreWrittenOnce) {
  json tied = small_model_json();
  tied["tie_word_embeddings"] = true;
  request_.model = folder_.path() / "tied";
  write_small_model(request_.model, tied, control_);
  run("fp8-static", small_result(request_.model, {"fp8-static"}));
  EXPECT_FALSE(tensors().contains("lm_head.weight"));
  EXPECT_EQ(exported_config().at("tie_word_embeddings"), true);
}

TEST_F(ExportTest, ConfigSaysWhatWasDoneAndKeepsTheRest) {
  run("fp8-channel-kv-e4m3");
  json config = exported_config();
  EXPECT_EQ(read_quantization_config(config, "config")->name, "fp8-channel-kv-e4m3");
  EXPECT_EQ(config.at("torch_dtype"), "bfloat16");
  json expected = small_model_json();
  expected["torch_dtype"] = "bfloat16";
  config.erase("quantization_config");
  EXPECT_EQ(config, expected);
}

TEST_F(ExportTest, TheNewerNameOfTheDtypeIsSetInstead) {
  json newer = small_model_json();
  newer.erase("torch_dtype");
  newer["dtype"] = "float32";
  folder_.write("model/config.json", newer.dump());
  run("fp8-static");
  EXPECT_EQ(exported_config().at("dtype"), "bfloat16");
  EXPECT_FALSE(exported_config().contains("torch_dtype"));
}

TEST_F(ExportTest, ThreadsChangeNothing) {
  run("fp8-channel");
  const auto one = contents_of(out_);
  request_.out = folder_.path() / "three";
  run("fp8-channel", small_result(model_, {"fp8-channel"}), 3);
  EXPECT_EQ(contents_of(request_.out), one);
}

TEST_F(ExportTest, WholeLayersShareFiles) {
  request_.bytes_per_file = 30000;  // a layer has 13,700 bytes, the table and the head 8,000 each
  run("fp8-static");
  EXPECT_THAT(names_in(out_),
              ElementsAre("README.md", "config.json", "model-00001-of-00002.safetensors",
                          "model-00002-of-00002.safetensors", kIndexName));
  const auto map = read_json_file(out_ / kIndexName, 1 << 20).at("weight_map");
  EXPECT_EQ(map.at("model.embed_tokens.weight"), "model-00001-of-00002.safetensors");
  EXPECT_EQ(map.at("model.layers.0.mlp.up_proj.weight_scale"), "model-00001-of-00002.safetensors");
  EXPECT_EQ(map.at("model.layers.1.mlp.up_proj.weight"), "model-00002-of-00002.safetensors");
  EXPECT_EQ(map.at("lm_head.weight"), "model-00002-of-00002.safetensors");
}

TEST_F(ExportTest, TakesOverTokenizerAndLicences) {
  const fs::path elsewhere = folder_.write("blob", "tokens");
  fs::create_symlink(elsewhere, model_ / "tokenizer.json");
  fs::create_directory(model_ / "tokenizer_folder");
  folder_.write("model/LICENSE.txt", "terms");
  folder_.write("model/pytorch_model.bin", "weights");
  run("fp8-static");
  const auto files = contents_of(out_);
  EXPECT_EQ(files.at("tokenizer.json"), "tokens");
  EXPECT_FALSE(fs::is_symlink(out_ / "tokenizer.json"));
  EXPECT_EQ(files.at("LICENSE.txt"), "terms");
  EXPECT_EQ(files.size(), 6u);  // and README.md, config.json, tensors, index
}

TEST_F(ExportTest, OtherWeightsLeaveAnEmptyFolder) {
  Result result = small_result(model_, {"fp8-static"});
  const std::string found = std::get<std::string>(result.job.at("weights_digest"));
  result.job["weights_digest"] = std::string(64, '0');
  EXPECT_THAT(refusal("fp8-static", result),
              AllOf(HasSubstr("expected " + std::string(64, '0')), HasSubstr("found " + found)));
  EXPECT_THAT(names_in(out_), IsEmpty());
}

TEST_F(ExportTest, OneChangedWeightIsFound) {
  const Result result = small_result(model_, {"fp8-static"});
  const fs::path file = model_ / "model-00002-of-00004.safetensors";
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(-1, std::ios::end).put('\x01');
  stream.close();
  EXPECT_THAT(refusal("fp8-static", result), HasSubstr("weights digest"));
  EXPECT_THAT(names_in(out_), IsEmpty());
}

TEST_F(ExportTest, RefusesWhatDoesNotFitBeforeItWrites) {
  const Result good = small_result(model_, {"fp8-static", "fp8-dynamic"});
  EXPECT_THAT(refusal("fp8-channel", good),
              HasSubstr("expected one of fp8-dynamic, fp8-static, found \"fp8-channel\""));

  Result other = good;
  other.job["model.hidden_size"] = std::int64_t{41};
  EXPECT_THAT(refusal("fp8-static", other),
              HasSubstr("config.json: not the model of the result: model.hidden_size: expected 41, "
                        "found 40"));
  other = good;
  other.job.erase("model.rope_theta");
  EXPECT_THAT(refusal("fp8-static", other), HasSubstr("model.rope_theta: expected none"));

  const std::string module = "model.layers.1.mlp.down_proj";
  Result lacking = good;
  lacking.scales["fp8-static"].erase(module);
  EXPECT_THAT(refusal("fp8-static", lacking),
              HasSubstr(module + ".weight_scale: expected 1, found 0"));
  lacking = good;
  lacking.scales["fp8-dynamic"][module].weight_scale.pop_back();
  EXPECT_THAT(refusal("fp8-dynamic", lacking), HasSubstr("expected 40, found 39"));
  lacking.scales["fp8-static"][module].weight_scale = {-1.0f};
  EXPECT_THAT(refusal("fp8-static", lacking), HasSubstr("expected positive numbers, found -1"));

  request_.format = CheckpointFormat::modelopt;
  Result weight_only = small_result(model_, {"fp8-weight-only"});
  EXPECT_THAT(refusal("fp8-weight-only", weight_only), HasSubstr("modelopt"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(ExportTest, RefusesAQuantizedModel) {
  const Result result = small_result(model_, {"fp8-static"});
  json quantized = small_model_json();
  quantized["quantization_config"] =
      quantization_config(CheckpointFormat::compressed_tensors, find_recipe("fp8-static"));
  folder_.write("model/config.json", quantized.dump());
  EXPECT_THAT(refusal("fp8-static", result), HasSubstr("one that is not quantized yet"));
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(ExportTest, RefusesFoldersThatItMustNotUse) {
  const Result result = small_result(model_, {"fp8-static"});
  request_.force = true;
  fs::create_directory_symlink(model_, folder_.path() / "link");
  for (const fs::path& inside : {model_, model_ / "a" / "b", folder_.path() / "link" / "a"}) {
    request_.out = inside;
    EXPECT_THAT(refusal("fp8-static", result), HasSubstr("one outside the model's")) << inside;
  }
  request_.out = folder_.write("file", "");
  EXPECT_THAT(refusal("fp8-static", result), HasSubstr("one that can be made"));
  EXPECT_EQ(contents_of(model_).size(), 6u);

  request_.force = false;
  request_.out = folder_.path() / "full";
  fs::create_directory(request_.out);
  folder_.write("full/notes.txt", "mine");
  EXPECT_THAT(refusal("fp8-static", result), HasSubstr("--force"));
  EXPECT_THAT(names_in(request_.out), ElementsAre("notes.txt"));
}

TEST_F(ExportTest, ForceLeavesNothingOfTheOldCheckpoint) {
  request_.bytes_per_file = 1;
  request_.format = CheckpointFormat::modelopt;
  run("fp8-static");
  EXPECT_EQ(names_in(out_).size(), 4u + 4u);
  for (const char* stale :
       {"model.safetensors", "model-00001-of-00009.safetensors.partial", "special_tokens_map.json",
        "weights.safetensors", "notes.txt", "adapter.safetensors"}) {
    folder_.write(std::string("out/") + stale, "stale");
  }
  json index = read_json_file(out_ / kIndexName, 1 << 20);
  index["weight_map"]["another"] = "weights.safetensors";
  folder_.write(std::string("out/") + kIndexName, index.dump());

  request_.force = true;
  request_.bytes_per_file = 1 << 30;
  request_.format = CheckpointFormat::compressed_tensors;
  run("fp8-static");
  EXPECT_THAT(names_in(out_),
              ElementsAre("README.md", "adapter.safetensors", "config.json",
                          "model-00001-of-00001.safetensors", kIndexName, "notes.txt"));
  tensors();
}

TEST_F(ExportTest, AFailedForcedExportOfOtherWeightsKeepsTheOldCheckpoint) {
  run("fp8-static");
  const auto before = contents_of(out_);
  Result result = small_result(model_, {"fp8-static"});
  result.job["weights_digest"] = "another";
  request_.force = true;
  EXPECT_THAT(refusal("fp8-static", result), HasSubstr("expected another"));
  EXPECT_EQ(contents_of(out_), before);
}

TEST_F(ExportTest, AFailureAtTheEndRemovesWhatWasPublished) {
  fs::create_directories(out_ / "README.md" / "in the way");
  request_.force = true;
  EXPECT_THAT(refusal("fp8-static", small_result(model_, {"fp8-static"})),
              HasSubstr("README.md: cannot rename"));
  EXPECT_THAT(names_in(out_), ElementsAre("README.md"));
}

}  // namespace
}  // namespace fp8cal
