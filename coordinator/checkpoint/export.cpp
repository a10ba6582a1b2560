#include "coordinator/checkpoint/export.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <ranges>

#include "coordinator/checkpoint/export_folder.hpp"
#include "coordinator/checkpoint/export_tensors.hpp"
#include "coordinator/checkpoint/model_card.hpp"
#include "coordinator/checkpoint/scale_packing.hpp"
#include "coordinator/checkpoint/weight_exporter.hpp"
#include "coordinator/model_attributes.hpp"
#include "jobs/checkpoint.hpp"
#include "jobs/checkpoint_layout.hpp"
#include "jobs/error.hpp"
#include "jobs/json.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;
using Writers = std::vector<std::unique_ptr<SafetensorsWriter>>;

constexpr std::uint64_t kMaxConfigBytes = 1 << 20;
constexpr const char* kHfQuantConfig = "hf_quant_config.json";

/// What rank 0 alone needs.
struct Source {
  json config;  // the model's config.json
  RecipeScales scales;
  std::vector<std::filesystem::path> copies;
};

/// What is written, the same on every rank.
struct Target {
  Recipe recipe;
  ModelConfig config;
  std::vector<ExportGroup> groups;
  std::vector<CheckpointFile> files;
};

const RecipeScales& find_scales(const Result& result, const std::string& recipe) {
  const auto found = result.scales.find(recipe);
  if (found != result.scales.end()) return found->second;
  throw InputError("export", "recipe that the result has no scales of",
                   result.scales.empty()
                       ? "a result with scales"
                       : fmt::format("one of {}", fmt::join(std::views::keys(result.scales), ", ")),
                   in_quotes(recipe));
}

/// All that can be refused is refused here, before the folder is made.
Source prepare(const ExportRequest& request, const Result& result) {
  Source source;
  source.scales = find_scales(result, request.recipe);
  if (!result.job.contains("calibration_tokens_sha256")) {
    throw InputError("export", "result", "one of a calibration", "one of an FP8 checkpoint");
  }
  const Recipe recipe = find_recipe(request.recipe);
  check_expressible(request.format, recipe);
  const std::filesystem::path path = request.model / "config.json";
  source.config = read_json_file(path, kMaxConfigBytes);
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (source.config.contains(key) && !source.config.at(key).is_null()) {
      throw InputError(path.string(), "model to quantize", "one that is not quantized yet", key);
    }
  }
  const ModelConfig config = read_model_config(request.model);
  expect_same_model(config, result.job, path.string());
  check_scales(config, recipe, source.scales);
  source.copies = files_to_copy(request.model);
  return source;
}

Target make_target(const ExportRequest& request, const RecipeScales& scales) {
  Target target;
  target.recipe = find_recipe(request.recipe);
  target.config = read_model_config(request.model);
  target.groups = export_groups(target.config, target.recipe, request.format, scales);
  std::vector<std::vector<TensorLayout>> layouts;
  for (const ExportGroup& group : target.groups) layouts.push_back(layouts_of(group));
  target.files = lay_out_checkpoint(layouts, request.bytes_per_file);
  return target;
}

/// Opens the model and checks that every tensor that will be read is there in its shape.
Checkpoint open_model(const ExportRequest& request, const Target& target) {
  Checkpoint checkpoint = Checkpoint::open(request.model);
  for (const ExportGroup& group : target.groups) {
    for (const WeightShard& shard : group.copied) checkpoint.expect(shard.name, shard.shape);
    for (const QuantizedWeight& one : group.quantized) {
      checkpoint.expect(one.shard.name, one.shard.shape);
    }
  }
  return checkpoint;
}

/// The files of `target` that fall to this rank.
std::vector<CheckpointFile> own_files(const Target& target, const Control& control) {
  std::vector<CheckpointFile> own;
  for (std::size_t i = 0; i < target.files.size(); ++i) {
    const auto rank = static_cast<int>(i % static_cast<std::size_t>(control.size()));
    if (rank == control.rank()) own.push_back(target.files[i]);
  }
  return own;
}

std::size_t layers_in(const std::vector<CheckpointFile>& files, const Target& target) {
  std::size_t layers = 0;
  for (const CheckpointFile& file : files) {
    for (std::size_t g = file.first_group; g < file.first_group + file.groups; ++g) {
      if (!target.groups[g].quantized.empty()) ++layers;
    }
  }
  return layers;
}

/// Writes this rank's files but for their names.
Writers write_weights(const std::filesystem::path& out, const Target& target,
                      const std::vector<CheckpointFile>& files, WeightExporter& exporter,
                      ProgressListener& progress) {
  Writers writers;
  progress.begin("export", "layers", layers_in(files, target), 0);
  for (const CheckpointFile& file : files) {
    writers.push_back(std::make_unique<SafetensorsWriter>(out / file.name, file.tensors));
    for (std::size_t g = file.first_group; g < file.first_group + file.groups; ++g) {
      exporter.write(target.groups[g], *writers.back());
      if (!target.groups[g].quantized.empty()) progress.advance(1);
    }
    writers.back()->finish();
  }
  progress.end();
  return writers;
}

/// Throws where the weights that all ranks read are not those of the result.
void check_digest(const std::filesystem::path& model, const WeightLeaves& own, const Result& result,
                  const Control& control) {
  const std::vector<std::string> parts = control.gather(pack_leaves(own));
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    WeightLeaves all;
    for (const std::string& part : parts) unpack_leaves(part, all);
    const std::string found = weights_digest(all);
    const auto attribute = result.job.find("weights_digest");
    const std::string* expected =
        attribute == result.job.end() ? nullptr : std::get_if<std::string>(&attribute->second);
    if (expected != nullptr && *expected == found) return;
    throw InputError(model.string(), "weights digest: not the weights of the result",
                     expected == nullptr ? "one in the result" : *expected, found);
  });
}

std::set<std::string> new_names(const ExportRequest& request, const Target& target,
                                const Source& source) {
  std::set<std::string> names;
  for (const CheckpointFile& file : target.files) names.insert(file.name);
  for (const auto& path : source.copies) names.insert(path.filename().string());
  if (request.format == CheckpointFormat::modelopt) names.insert(kHfQuantConfig);
  return names;
}

/// The model's config.json with what has changed.
json new_config(const ExportRequest& request, const Target& target, const Source& source) {
  json config = source.config;
  config["quantization_config"] = quantization_config(request.format, target.recipe);
  // Readers since transformers 5 take "dtype", all others "torch_dtype", and without either some
  // would compute in F16.
  const bool has_dtype = config.contains("dtype");
  if (has_dtype) config["dtype"] = "bfloat16";
  if (!has_dtype || config.contains("torch_dtype")) config["torch_dtype"] = "bfloat16";
  return config;
}

/// Everything but the files of tensors, what makes the folder a checkpoint last.
void publish_rest(const ExportRequest& request, const Target& target, const Source& source,
                  const std::string& card, PublishedFiles& published) {
  const auto write = [&](const char* name, const json& value) {
    published.write(request.out / name, value.dump(2) + "\n");
  };
  for (const auto& path : source.copies) publish_copy(path, request.out, published);
  published.write(request.out / "README.md", card);
  if (request.format == CheckpointFormat::modelopt) {
    write(kHfQuantConfig, hf_quant_config(target.recipe));
  }
  published.write(request.out / kIndexName, index_text(target.files));
  write("config.json", new_config(request, target, source));
}

}  // namespace

void export_checkpoint(const ExportRequest& request, const Result& result,
                       const std::string& digest, int threads, const Control& control,
                       ProgressListener& progress) {
  const bool leads = control.rank() == 0;
  Source source;
  Target target;
  std::optional<Checkpoint> checkpoint;
  std::optional<WeightExporter> exporter;
  std::string card;
  run_agreed(control, [&] {
    if (leads) source = prepare(request, result);
  });
  const std::string scales = control.broadcast(pack_scales(source.scales));
  run_agreed(control, [&] {
    target = make_target(request, unpack_scales(scales));
    checkpoint = open_model(request, target);
    exporter.emplace(*checkpoint, threads);
    if (!leads) return;
    card = model_card({result, digest, target.recipe, request.format, source.config});
    prepare_export_folder(request.model, request.out, request.force);
  });

  Writers writers;
  const std::vector<CheckpointFile> files = own_files(target, control);
  run_agreed(control,
             [&] { writers = write_weights(request.out, target, files, *exporter, progress); });
  check_digest(request.model, exporter->leaves(), result, control);

  PublishedFiles published;
  run_agreed(control, [&] {
    if (leads) remove_old_checkpoint(request.out, new_names(request, target, source));
  });
  run_agreed(control, [&] {
    for (std::size_t i = 0; i < files.size(); ++i) {
      published.add(request.out / files[i].name);
      writers[i]->commit();
    }
  });
  run_agreed(control, [&] {
    if (leads) publish_rest(request, target, source, card, published);
  });
  published.keep();
}

}  // namespace fp8cal
