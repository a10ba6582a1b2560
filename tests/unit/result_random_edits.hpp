#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <string>

#include "jobs/error.hpp"
#include "tests/unit/result_edits.hpp"

namespace fp8cal {

/// choose(n) is a number below n.
using Choose = std::function<std::size_t(std::size_t)>;

template <class T, std::size_t n>
const T& one_of(const std::array<T, n>& items, const Choose& choose) {
  return items[choose(n)];
}

/// A path in full_result(), or one beside it.
inline std::string random_path(const Choose& choose) {
  static const std::array<std::string, 13> kGroups = {
      "/",
      "/job",
      "/activations",
      "/activations/model.layers.0.self_attn.q_proj",
      "/weights",
      "/weights/model.layers.0.mlp.gate_proj",
      "/scales/fp8-static",
      "/scales/fp8-static/model.layers.0.self_attn",
      "/diagnostics/fp8-static",
      "/diagnostics/fp8-static/model.layers.0.self_attn.q_proj",
      "/perplexity",
      "/perplexity/bf16",
      "/perplexity/fp8-static"};
  static const std::array<std::string, 24> kNames = {"",
                                                     "",
                                                     "",
                                                     "/histogram",
                                                     "/channel_amax",
                                                     "/amax",
                                                     "/amax_after",
                                                     "/amax_after_sequences",
                                                     "/weight_scale",
                                                     "/input_scale",
                                                     "/k_scale",
                                                     "/nll",
                                                     "/kl",
                                                     "/same_top",
                                                     "/calibration_tokens",
                                                     "/evaluation_tokens",
                                                     "/sample_ids",
                                                     "/provenance",
                                                     "/fp8-static",
                                                     "/model.layers.0.self_attn.q_proj",
                                                     "/..",
                                                     "/a b\n",
                                                     "/new",
                                                     "/" + std::string(300, 'x')};
  return one_of(kGroups, choose) + one_of(kNames, choose);
}

inline hdf5::Shape random_shape(const Choose& choose) {
  static const std::array<hsize_t, 8> kSizes = {0, 1, 2, 3, 4, 6, 64, 70};
  static const std::array<hsize_t, 3> kLargeSizes = {32768, 1 << 20, hsize_t{1} << 40};
  if (choose(4) == 0) return {one_of(kLargeSizes, choose)};
  hdf5::Shape shape(choose(4));
  for (hsize_t& size : shape) size = one_of(kSizes, choose);
  return shape;
}

inline void add_random_attribute(const hdf5::Handle& file, const std::string& path,
                                 const Choose& choose) {
  static const std::array<std::string, 10> kNames = {
      "ppl",    "tokens",         "mean_kl",        "units", "elements",
      "energy", "ppl_difference", "format_version", "new",   "a\nb"};
  static const std::array<double, 5> kValues = {0, -1, 0.5, 1e300,
                                                std::numeric_limits<double>::quiet_NaN()};
  const std::string& name = one_of(kNames, choose);
  const hdf5::Handle object(FP8CAL_HDF5(H5Oopen(file.id(), path.c_str(), H5P_DEFAULT)));
  if (FP8CAL_HDF5(H5Aexists(object.id(), name.c_str())) > 0) remove_attribute(object, name);
  const std::size_t number = choose(1000);
  switch (choose(5)) {
    case 0:
      return hdf5::write_attribute(object, name, static_cast<std::int64_t>(number) - 1);
    case 1:
      return hdf5::write_attribute(object, name, one_of(kValues, choose));
    case 2:
      return hdf5::write_attribute(object, name, std::string(number, 'x'));
    case 3:
      return hdf5::write_attribute(object, name, std::vector<std::string>(number, "y"));
    default:
      return;
  }
}

inline void overwrite(const hdf5::Handle& file, const std::string& path, const Choose& choose) {
  const hdf5::Handle dataset = hdf5::open_dataset(file, path);
  const hdf5::Handle type = hdf5::type_of(dataset);
  const std::size_t count = hdf5::count_of(hdf5::shape_of(dataset, 1 << 16));
  std::vector<unsigned char> bytes(count * H5Tget_size(type.id()));
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(choose(256));
  FP8CAL_HDF5(H5Dwrite(dataset.id(), type.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()));
}

/// Changes something in a result file; throws Error where HDF5 does not allow it.
inline void random_edit(const hdf5::Handle& file, const Choose& choose) {
  const std::array<hid_t, 9> types = {H5T_STD_U8LE,   H5T_STD_U32LE,  H5T_STD_U64BE,
                                      H5T_STD_I64LE,  H5T_IEEE_F32LE, H5T_IEEE_F32BE,
                                      H5T_IEEE_F64LE, H5T_C_S1,       H5T_STD_REF_OBJ};
  const std::string path = random_path(choose);
  const auto remove = [&] {
    if (H5Lexists(file.id(), path.c_str(), H5P_DEFAULT) > 0) remove_link(file, path);
  };
  switch (choose(8)) {
    case 0:
      return remove();
    case 1:
      remove();
      hdf5::create_group(file, path);
      return;
    case 2:
    case 3:
      remove();
      return add_empty_dataset(file, path, one_of(types, choose), random_shape(choose));
    case 4: {
      const std::string from = random_path(choose);
      if (H5Lexists(file.id(), from.c_str(), H5P_DEFAULT) > 0) remove();
      return add_hard_link(file, from, path);
    }
    case 5:
    case 6:
      return add_random_attribute(file, path, choose);
    default:
      return overwrite(file, path, choose);
  }
}

/// Edits the result file at `path`, `edits` times as far as HDF5 allows it, and gives it its new
/// digest where it has one.
inline void forge_result(const std::string& path, std::size_t edits, const Choose& choose) {
  const hdf5::Handle file(FP8CAL_HDF5(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)));
  const auto attempt = [&](const auto& action) {
    try {
      action();
    } catch (const Error&) {
    }
  };
  for (std::size_t i = 0; i < edits; ++i) attempt([&] { random_edit(file, choose); });
  attempt([&] { stamp(file); });
}

}  // namespace fp8cal
