#include "jobs/result.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace fp8cal {

double Perplexity::ppl() const {
  if (nll.empty()) throw std::invalid_argument("perplexity of no predictions");
  double sum = 0;
  for (const float value : nll) sum += value;
  return std::exp(sum / static_cast<double>(nll.size()));
}

double Perplexity::mean_kl() const {
  if (kl.empty()) throw std::invalid_argument("mean divergence of no predictions");
  double sum = 0;
  for (const float value : kl) sum += value;
  return sum / static_cast<double>(kl.size());
}

double Perplexity::top1_agreement() const {
  if (same_top.empty()) throw std::invalid_argument("top-1 agreement of no predictions");
  const auto same = std::ranges::count(same_top, std::uint8_t{1});
  return static_cast<double>(same) / static_cast<double>(same_top.size());
}

}  // namespace fp8cal
