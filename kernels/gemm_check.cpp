#include "kernels/gemm_check.hpp"

#include <algorithm>
#include <cstring>
#include <iomanip>
#include <sstream>
#include <stdexcept>

#include "kernels/float_formats.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kPoolElements = (std::size_t{1} << 22) + 4099;  // of no row's period
constexpr std::size_t kFewestRows = 16;
constexpr float kScalarScale = 1.0f / 96;  // spreads the pool over E4M3's range

const char* name_of(ProductKind kind) {
  switch (kind) {
    case ProductKind::bf16:
      return "bf16";
    case ProductKind::fp8_scalar:
      return "fp8, scalar scales";
    case ProductKind::fp8_channel:
      return "fp8, one scale a row of the weight";
    case ProductKind::fp8_vector:
      return "fp8, one scale a row of both";
  }
  return "unknown kind";
}

/// xorshift64*, Vigna, "An experimental exploration of Marsaglia's xorshift generators",
/// arXiv 1402.6246.
class Generator {
 public:
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }

 private:
  std::uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

/// Numbers of mean 0 and deviation about 1: the sum of four 16-bit uniform ones.
std::vector<bf16_bits> make_pool(std::size_t count) {
  Generator generator;
  std::vector<bf16_bits> pool(count);
  for (bf16_bits& bits : pool) {
    const std::uint64_t word = generator.next();
    const auto sum = static_cast<std::int64_t>((word & 0xFFFF) + (word >> 16 & 0xFFFF) +
                                               (word >> 32 & 0xFFFF) + (word >> 48));
    bits = float_to_bf16(static_cast<float>(sum - 2 * 0xFFFF) * 2.6e-5f);
  }
  return pool;
}

/// Scales between 0.5 and 1.5 times kScalarScale.
std::vector<float> make_scales(std::size_t count) {
  Generator generator;
  std::vector<float> scales(count);
  for (float& scale : scales) {
    const float fraction = static_cast<float>(generator.next() >> 40) * 0x1p-24f;
    scale = kScalarScale * (0.5f + fraction);
  }
  return scales;
}

bool uses_fp8(std::span<const ProductShape> shapes) {
  return std::ranges::any_of(shapes, [](const ProductShape& shape) {
    return std::ranges::any_of(shape.kinds,
                               [](ProductKind kind) { return kind != ProductKind::bf16; });
  });
}

/// The product of one shape and kind, any part of it.
struct Product {
  Backend& backend;
  Matrix x;
  Matrix weight;
  Scales x_scale;
  Scales weight_scale;

  static Scales part(Scales scales, std::size_t first, std::size_t count) {
    return scales.count == 1 ? scales : Scales{scales.data + first, count};
  }
  /// out [row_count, column_count]
  void run(std::size_t first_row, std::size_t row_count, std::size_t first_column,
           std::size_t column_count, Matrix out) const {
    const Matrix some_x = x.row_range(first_row, row_count);
    const Matrix some_weight = weight.row_range(first_column, column_count);
    if (x.dtype == DType::bf16) {
      backend.multiply(some_x, some_weight, out);
    } else {
      backend.multiply_scaled(some_x, part(x_scale, first_row, row_count), some_weight,
                              part(weight_scale, first_column, column_count), out);
    }
  }
};

/// Operands and results in device memory, shared by all shapes: each sees the first elements.
class GemmCheck {
 public:
  GemmCheck(Backend& backend, std::span<const ProductShape> shapes, std::size_t rows);

  std::optional<GemmDifference> check(const ProductShape& shape, ProductKind kind);

 private:
  Buffer filled(const std::vector<bf16_bits>& pool, std::size_t elements, std::size_t offset);
  Buffer quantized(const Buffer& bf16, std::size_t elements);
  Product product_of(const ProductShape& shape, ProductKind kind) const;
  void run_column_slices(const Product& product, const ProductShape& shape);
  void run_row_slices(const Product& product, const ProductShape& shape);
  std::optional<GemmDifference> compare(const ProductShape& shape, ProductKind kind,
                                        Slicing slicing, std::size_t slices);
  Matrix out(const Buffer& buffer, std::size_t columns) const {
    return Matrix::dense(buffer.data(), DType::bf16, rows_, columns);
  }

  Backend& backend_;
  std::size_t rows_;
  Buffer x_, weight_;           // bf16
  Buffer x_fp8_, weight_fp8_;   // e4m3, empty where no kind needs them
  Buffer x_scales_, w_scales_;  // f32
  Buffer whole_, sliced_;       // bf16 results
  std::vector<bf16_bits> whole_bits_, sliced_bits_;
};

GemmCheck::GemmCheck(Backend& backend, std::span<const ProductShape> shapes, std::size_t rows)
    : backend_(backend), rows_(rows) {
  std::size_t columns = 0, depth = 0, weights = 0;
  for (const ProductShape& shape : shapes) {
    if (shape.slices == 0 || shape.columns % shape.slices != 0) {
      throw std::invalid_argument("gemm check: expected columns in even slices, found " +
                                  std::to_string(shape.columns) + " in " +
                                  std::to_string(shape.slices));
    }
    columns = std::max(columns, shape.columns);
    depth = std::max(depth, shape.depth);
    weights = std::max(weights, shape.columns * shape.depth);
  }
  const std::vector<bf16_bits> pool = make_pool(std::min(kPoolElements, weights + rows * depth));
  x_ = filled(pool, rows * depth, pool.size() / 2);
  weight_ = filled(pool, weights, 0);
  const std::vector<float> scales = make_scales(std::max(rows, columns));
  x_scales_ = backend.allocate(rows * sizeof(float));
  w_scales_ = backend.allocate(columns * sizeof(float));
  backend.upload(x_scales_.data(), scales.data(), x_scales_.bytes());
  backend.upload(w_scales_.data(), scales.data(), w_scales_.bytes());
  if (uses_fp8(shapes)) {
    x_fp8_ = quantized(x_, rows * depth);
    weight_fp8_ = quantized(weight_, weights);
  }
  whole_ = backend.allocate(rows * columns * sizeof(bf16_bits));
  sliced_ = backend.allocate(rows * columns * sizeof(bf16_bits));
  backend.synchronize();  // the uploaded host values end here
}

/// The pool again and again, from `offset` on.
Buffer GemmCheck::filled(const std::vector<bf16_bits>& pool, std::size_t elements,
                         std::size_t offset) {
  Buffer buffer = backend_.allocate(elements * sizeof(bf16_bits));
  for (std::size_t at = 0; at < elements; offset = 0) {
    const std::size_t count = std::min(pool.size() - offset, elements - at);
    backend_.upload(buffer.as<bf16_bits>() + at, pool.data() + offset, count * sizeof(bf16_bits));
    at += count;
  }
  return buffer;
}

Buffer GemmCheck::quantized(const Buffer& bf16, std::size_t elements) {
  const Buffer scale = backend_.allocate(sizeof(float));
  backend_.upload(scale.data(), &kScalarScale, sizeof(float));
  Buffer buffer = backend_.allocate(elements);
  // Rows of a size that every backend is fast at; the rest as one row.
  constexpr std::size_t kWidth = 4096;
  const std::size_t rows = elements / kWidth;
  const Matrix from = Matrix::dense(bf16.data(), DType::bf16, rows, kWidth);
  const Matrix to = Matrix::dense(buffer.data(), DType::e4m3, rows, kWidth);
  const Scales scales = {scale.as<float>(), 1};
  backend_.quantize(from, scales, to);
  Matrix from_rest = from.row_range(rows, 1), to_rest = to.row_range(rows, 1);
  from_rest.cols = to_rest.cols = elements % kWidth;
  backend_.quantize(from_rest, scales, to_rest);
  backend_.synchronize();  // the scale ends here
  return buffer;
}

Product GemmCheck::product_of(const ProductShape& shape, ProductKind kind) const {
  if (kind == ProductKind::bf16) {
    return {backend_,
            Matrix::dense(x_.data(), DType::bf16, rows_, shape.depth),
            Matrix::dense(weight_.data(), DType::bf16, shape.columns, shape.depth),
            {},
            {}};
  }
  const bool many_x = kind == ProductKind::fp8_vector;
  const bool many_weight = kind != ProductKind::fp8_scalar;
  return {backend_,
          Matrix::dense(x_fp8_.data(), DType::e4m3, rows_, shape.depth),
          Matrix::dense(weight_fp8_.data(), DType::e4m3, shape.columns, shape.depth),
          {x_scales_.as<float>(), many_x ? rows_ : 1},
          {w_scales_.as<float>(), many_weight ? shape.columns : 1}};
}

std::optional<GemmDifference> GemmCheck::check(const ProductShape& shape, ProductKind kind) {
  const Product product = product_of(shape, kind);
  product.run(0, rows_, 0, shape.columns, out(whole_, shape.columns));
  whole_bits_.resize(rows_ * shape.columns);
  backend_.download(whole_bits_.data(), whole_.data(), whole_bits_.size() * sizeof(bf16_bits));
  if (shape.slices > 1) {
    run_column_slices(product, shape);
    if (auto found = compare(shape, kind, Slicing::columns, shape.slices)) return found;
  }
  run_row_slices(product, shape);
  return compare(shape, kind, Slicing::rows, 1);
}

/// As ranks do: each slice is a dense matrix of its own, one after the other.
void GemmCheck::run_column_slices(const Product& product, const ProductShape& shape) {
  const std::size_t count = shape.columns / shape.slices;
  backend_.fill_zero(sliced_.data(), rows_ * shape.columns * sizeof(bf16_bits));
  for (std::size_t s = 0; s < shape.slices; ++s) {
    bf16_bits* into = sliced_.as<bf16_bits>() + s * rows_ * count;
    product.run(0, rows_, s * count, count, Matrix::dense(into, DType::bf16, rows_, count));
  }
}

void GemmCheck::run_row_slices(const Product& product, const ProductShape& shape) {
  const Matrix all = out(sliced_, shape.columns);
  backend_.fill_zero(sliced_.data(), rows_ * shape.columns * sizeof(bf16_bits));
  for (std::size_t first = 0; first < rows_;) {
    const std::size_t rest = rows_ - first;
    const std::size_t count = std::min(rest, std::max(kFewestRows, rest / 2));
    product.run(first, count, 0, shape.columns, all.row_range(first, count));
    first += count;
  }
}

std::optional<GemmDifference> GemmCheck::compare(const ProductShape& shape, ProductKind kind,
                                                 Slicing slicing, std::size_t slices) {
  sliced_bits_.resize(whole_bits_.size());
  backend_.download(sliced_bits_.data(), sliced_.data(), sliced_bits_.size() * sizeof(bf16_bits));
  const std::size_t count = shape.columns / slices;
  for (std::size_t r = 0; r < rows_; ++r) {
    for (std::size_t s = 0; s < slices; ++s) {
      const bf16_bits* whole = whole_bits_.data() + r * shape.columns + s * count;
      const bf16_bits* sliced = sliced_bits_.data() + (s * rows_ + r) * count;
      if (std::memcmp(whole, sliced, count * sizeof(bf16_bits)) == 0) continue;
      const auto at =
          static_cast<std::size_t>(std::mismatch(whole, whole + count, sliced).first - whole);
      return GemmDifference{shape,
                            kind,
                            slicing,
                            r,
                            s * count + at,
                            bf16_to_float(whole[at]),
                            bf16_to_float(sliced[at])};
    }
  }
  return std::nullopt;
}

}  // namespace

std::string GemmDifference::to_string() const {
  std::ostringstream line;
  line << "matrix product by [" << shape.columns << ", " << shape.depth << "] (" << name_of(kind)
       << ") in slices of " << (slicing == Slicing::rows ? "rows" : "columns") << ": row " << row
       << ", column " << column << ": expected " << std::setprecision(9) << whole << ", found "
       << sliced;
  return line.str();
}

std::optional<GemmDifference> find_gemm_difference(Backend& backend,
                                                   std::span<const ProductShape> shapes,
                                                   std::size_t rows) {
  if (shapes.empty() || rows == 0) return std::nullopt;
  GemmCheck all(backend, shapes, rows);
  for (const ProductShape& shape : shapes) {
    for (const ProductKind kind : shape.kinds) {
      if (auto found = all.check(shape, kind)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace fp8cal
