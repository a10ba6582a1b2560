#pragma once

#include <cstddef>
#include <span>

#include "jobs/hdf5.hpp"

namespace fp8cal::hdf5 {

/// A new HDF5 file that is built in memory (format bounds 1.8 to 1.10, no times), so that the disk
/// only ever sees whole files and its errors are those of plain writes.
class MemoryFile {
 public:
  MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  const Handle& handle() const { return file_; }

  /// Closes the file, whose objects must be closed (Error otherwise). Gives its bytes; they live as
  /// long as this object.
  std::span<const std::byte> close();

  /// The memory that HDF5 writes to.
  struct Image {
    Image() = default;
    Image(const Image&) = delete;
    Image& operator=(const Image&) = delete;
    ~Image();
    void* data = nullptr;
  };

 private:
  Image image_;  // HDF5 knows its address, and it outlives the file
  Handle file_;
};

}  // namespace fp8cal::hdf5
