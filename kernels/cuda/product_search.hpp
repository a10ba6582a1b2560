#pragma once

#include <cstddef>

#include "kernels/cuda/product_description.hpp"

namespace fp8cal {

/// Computes the product, and returns the index of the fastest of `algorithms` that give the bits of
/// the first one: so which one that is shows in nothing but time. Measured on the first rows of the
/// operands at hand; compared on all. `whole` describes the product of `key`, and takes all
/// algorithms. Waits for the stream.
std::size_t find_fastest(const ProductContext& context, const ProductKey& key,
                         const ProductOperands& operands, ProductDescription& whole,
                         const ProductAlgorithms& algorithms);

}  // namespace fp8cal
