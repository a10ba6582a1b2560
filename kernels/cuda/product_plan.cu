#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/product_search.hpp"

namespace fp8cal {
namespace {

// A search costs as much as some dozens of runs, and gains a few percent of those to come.
constexpr std::size_t kHotRuns = 32;

// Products of fewer rows are short, and where they are many, their rows change.
constexpr std::size_t kFewestRows = 2048;

}  // namespace

ProductPlan::ProductPlan(const ProductContext& context, const ProductKey& key,
                         const ProductOperands& operands)
    : key_(key), description_(key, operands), algorithms_(description_.algorithms(context, key)) {}

bool ProductPlan::is_worth_a_search() const {
  return runs_ == kHotRuns && key_.rows >= kFewestRows && algorithms_.count > 1;
}

void ProductPlan::run(const ProductContext& context, const ProductOperands& operands) {
  ++runs_;
  if (is_worth_a_search()) {
    chosen_ = find_fastest(context, key_, operands, description_, algorithms_);
  } else {
    description_.run(context, operands, algorithms_.all[chosen_]);
  }
}

}  // namespace fp8cal
