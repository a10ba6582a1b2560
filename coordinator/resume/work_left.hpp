#pragma once

#include <string>
#include <vector>

#include "coordinator/preparation.hpp"
#include "coordinator/resume/saved_progress.hpp"

namespace fp8cal {

/// The worker's name of the pass that observes; the others have those of the variants.
inline constexpr const char* kCalibratePass = "calibrate";

/// What earlier runs have left of a job, for all ranks and for this one.
class WorkLeft {
 public:
  /// variants: that the job evaluates. Borrows `ready`.
  WorkLeft(const SavedProgress& done, const std::vector<std::string>& variants,
           const Preparation& ready);

  const std::vector<std::string>& variants() const { return variants_; }
  /// kCalibratePass, where the job calibrates, and the variants.
  const std::vector<std::string>& passes() const { return passes_; }

  const Ranges& calibration() const { return calibration_; }
  const Ranges& windows() const { return windows_; }
  const Ranges& of(const std::string& pass) const {
    return pass == kCalibratePass ? calibration_ : windows_;
  }
  /// This rank's share.
  Ranges own(const std::string& pass) const;
  Ranges own_windows() const;

  /// BF16 numbers of the hidden states of a sequence of the pass.
  std::size_t hidden_elements(const std::string& pass) const;

 private:
  const Preparation& ready_;
  std::vector<std::string> variants_;
  std::vector<std::string> passes_;
  Ranges calibration_;
  Ranges windows_;
};

}  // namespace fp8cal
