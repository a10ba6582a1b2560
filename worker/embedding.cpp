#include "worker/embedding.hpp"

namespace fp8cal {

void embed_tokens(Backend& backend, Collectives& slices, const std::uint32_t* ids,
                  ConstMatrix table, Matrix x) {
  const std::size_t first_id = table.rows * static_cast<std::size_t>(slices.rank());
  backend.embed(ids, table, static_cast<std::uint32_t>(first_id), x);
  if (slices.size() == 1) return;
  // A token's row is zero on every slice but one: the integer sum of the bits is that row.
  slices.all_sum(static_cast<std::uint32_t*>(x.data), x.rows * x.cols / 2);
}

}  // namespace fp8cal
