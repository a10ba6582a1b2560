#include "jobs/hdf5_memory_file.hpp"

#include <cstdlib>

namespace fp8cal::hdf5 {
namespace {

// HDF5's core driver frees its memory when the file closes, and H5Fget_file_image, which copies it
// before, leaves a superblock with a wrong checksum as seen with 1.10.8 (HDFGroup/hdf5
// issue 1915). So the driver is given memory that outlives the file.

void* resize(void* data, std::size_t bytes, H5FD_file_image_op_t, void* image) {
  void* resized = std::realloc(data, bytes);
  if (resized != nullptr) static_cast<MemoryFile::Image*>(image)->data = resized;
  return resized;
}

void* allocate(std::size_t bytes, H5FD_file_image_op_t operation, void* image) {
  return resize(nullptr, bytes, operation, image);
}

herr_t keep(void*, H5FD_file_image_op_t, void*) { return 0; }

void* share_image(void* image) { return image; }

herr_t leave_image(void*) { return 0; }

}  // namespace

MemoryFile::Image::~Image() { std::free(data); }

MemoryFile::MemoryFile() {
  constexpr std::size_t kGrowBytes = std::size_t{8} << 20;
  const Handle access(FP8CAL_HDF5(H5Pcreate(H5P_FILE_ACCESS)));
  FP8CAL_HDF5(H5Pset_fapl_core(access.id(), kGrowBytes, /*backing_store=*/false));
  H5FD_file_image_callbacks_t callbacks = {allocate,    nullptr,     resize, keep,
                                           share_image, leave_image, &image_};
  FP8CAL_HDF5(H5Pset_file_image_callbacks(access.id(), &callbacks));
  FP8CAL_HDF5(H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V110));
  FP8CAL_HDF5(H5Pset_fclose_degree(access.id(), H5F_CLOSE_SEMI));
  const Handle creation(FP8CAL_HDF5(H5Pcreate(H5P_FILE_CREATE)));
  FP8CAL_HDF5(H5Pset_obj_track_times(creation.id(), false));
  file_ = Handle(FP8CAL_HDF5(H5Fcreate("in memory", H5F_ACC_TRUNC, creation.id(), access.id())));
}

std::span<const std::byte> MemoryFile::close() {
  // The flush gives every allocated address its memory; beyond the last lies only reserve.
  FP8CAL_HDF5(H5Fflush(file_.id(), H5F_SCOPE_GLOBAL));
  const ssize_t size = FP8CAL_HDF5(H5Fget_file_image(file_.id(), nullptr, 0));
  FP8CAL_HDF5(H5Fclose(file_.id()));
  file_.release();
  return {static_cast<const std::byte*>(image_.data), static_cast<std::size_t>(size)};
}

}  // namespace fp8cal::hdf5
