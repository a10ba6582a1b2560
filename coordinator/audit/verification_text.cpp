#include <fmt/format.h>

#include <algorithm>

#include "coordinator/audit/audit_text.hpp"

namespace fp8cal {
namespace {

constexpr std::size_t kMostShown = 10;

std::string checks_text(const Verification& done) {
  std::string text =
      fmt::format("objects    {} hashed{}\n", done.objects.objects,
                  done.objects.has_table ? ", each with a digest of its own"
                                         : "; written before there were object digests");
  text += fmt::format("holds      {}\n", text_of(done.contents));
  text += done.numbers_checked
              ? "numbers    counts, sizes, maxima, scales, diagnostics and perplexities computed "
                "again\n"
              : "numbers    not computed again: the file could not be read whole\n";
  return text;
}

}  // namespace

std::string verification_text(const Verification& done, const std::string& file) {
  if (done.findings.empty()) {
    return fmt::format("{}: verified\ndigest     {}\n{}", file, done.objects.stored,
                       checks_text(done));
  }
  std::string text = fmt::format("{}: {} finding{}, causes first\n", file, done.findings.count(),
                                 done.findings.count() == 1 ? "" : "s");
  const auto& kept = done.findings.kept();
  const std::size_t shown = std::min(kept.size(), kMostShown);
  for (std::size_t i = 0; i < shown; ++i) text += "  " + text_of(kept[i]) + "\n";
  if (done.findings.count() > shown) {
    text += fmt::format("  and {} more\n", done.findings.count() - shown);
  }
  if (done.objects.objects == 0) return text;
  if (done.objects.stored != done.objects.computed) {
    text += fmt::format("digest     {} stored, {} computed\n", printable(done.objects.stored),
                        done.objects.computed.empty() ? "none" : done.objects.computed);
  } else {
    text += fmt::format("digest     {}, as stored\n", done.objects.computed);
  }
  return text + checks_text(done);
}

}  // namespace fp8cal
