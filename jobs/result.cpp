#include "jobs/result.hpp"

#include <cmath>
#include <stdexcept>

namespace fp8cal {

double Perplexity::ppl() const {
  if (nll.empty()) throw std::invalid_argument("perplexity of no predictions");
  double sum = 0;
  for (const float value : nll) sum += value;
  return std::exp(sum / static_cast<double>(nll.size()));
}

}  // namespace fp8cal
