#pragma once

#include <cstddef>

#include "kernels/cuda/product_description.hpp"

namespace fp8cal {

/// One kind of product, and the algorithm chosen for it: cuBLASLt's first choice, or, once the
/// product has come often, the fastest with the same bits.
class ProductPlan {
 public:
  /// Throws std::runtime_error where no algorithm sums each output element in one piece.
  ProductPlan(const ProductContext& context, const ProductKey& key,
              const ProductOperands& operands);

  /// May wait for the stream, once.
  void run(const ProductContext& context, const ProductOperands& operands);

 private:
  bool is_worth_a_search() const;

  ProductKey key_;
  ProductDescription description_;
  ProductAlgorithms algorithms_;
  std::size_t chosen_ = 0;
  std::size_t runs_ = 0;
};

}  // namespace fp8cal
