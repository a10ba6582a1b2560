#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "jobs/content_digest.hpp"
#include "jobs/hdf5.hpp"

namespace fp8cal {

inline void remove_link(const hdf5::Handle& file, const std::string& path) {
  FP8CAL_HDF5(H5Ldelete(file.id(), path.c_str(), H5P_DEFAULT));
}

inline void remove_attribute(const hdf5::Handle& object, const std::string& name) {
  FP8CAL_HDF5(H5Adelete(object.id(), name.c_str()));
}

inline void add_hard_link(const hdf5::Handle& file, const std::string& from,
                          const std::string& to) {
  FP8CAL_HDF5(
      H5Lcreate_hard(file.id(), from.c_str(), file.id(), to.c_str(), H5P_DEFAULT, H5P_DEFAULT));
}

/// A dataset without values, whose elements take no room in the file.
inline void add_empty_dataset(const hdf5::Handle& file, const std::string& path, hid_t type,
                              const hdf5::Shape& shape) {
  const int rank = static_cast<int>(shape.size());
  const hdf5::Handle space(rank == 0 ? FP8CAL_HDF5(H5Screate(H5S_SCALAR))
                                     : FP8CAL_HDF5(H5Screate_simple(rank, shape.data(), nullptr)));
  const hdf5::Handle properties(FP8CAL_HDF5(H5Pcreate(H5P_DATASET_CREATE)));
  hdf5::Shape chunk;
  for (const hsize_t size : shape) chunk.push_back(std::clamp<hsize_t>(size, 1, 256));
  if (rank != 0) FP8CAL_HDF5(H5Pset_chunk(properties.id(), rank, chunk.data()));
  const hdf5::Handle dataset(FP8CAL_HDF5(H5Dcreate2(file.id(), path.c_str(), type, space.id(),
                                                    H5P_DEFAULT, properties.id(), H5P_DEFAULT)));
}

/// Replaces the content digest by the right one, as a forger would.
inline void stamp(const hdf5::Handle& file) {
  if (FP8CAL_HDF5(H5Aexists(file.id(), "content_digest")) > 0) {
    remove_attribute(file, "content_digest");
  }
  hdf5::write_attribute(file, "content_digest", content_digest(file));
}

/// Calls edit(file) on the open result file at `path`, and gives it its new digest if `stamped`.
template <class Edit>
void edit_result(const std::string& path, Edit edit, bool stamped = true) {
  const hdf5::Handle file(FP8CAL_HDF5(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)));
  edit(file);
  if (stamped) stamp(file);
}

}  // namespace fp8cal
