#pragma once

#include <cstddef>
#include <memory>

#include "kernels/upload_queue.hpp"

namespace fp8cal {

/// A queue to a CUDA device: page-locked slots, and a stream of its own.
std::unique_ptr<UploadQueue> make_cuda_upload_queue(int device, std::size_t slots,
                                                    std::size_t slot_bytes);

}  // namespace fp8cal
