#include "coordinator/resume/work_left.hpp"

namespace fp8cal {
namespace {

Ranges own_share(const Ranges& left, const Preparation& ready) {
  return part_of(left,
                 share_of(count_of(left), ready.plan.grid.sequences, ready.rank_plan().share));
}

}  // namespace

WorkLeft::WorkLeft(const SavedProgress& done, const std::vector<std::string>& variants,
                   const Preparation& ready)
    : ready_(ready),
      variants_(variants),
      passes_(variants),
      calibration_(missing_from(done.calibrated, ready.plan.work.calibration_sequences)),
      windows_(missing_from(done.evaluated, ready.plan.work.evaluation_windows)) {
  if (ready.plan.work.calibration_sequences > 0) passes_.push_back(kCalibratePass);
}

Ranges WorkLeft::own(const std::string& pass) const { return own_share(of(pass), ready_); }

Ranges WorkLeft::own_windows() const { return own_share(windows_, ready_); }

std::size_t WorkLeft::hidden_elements(const std::string& pass) const {
  const Workload& work = ready_.plan.work;
  const std::size_t length =
      pass == kCalibratePass ? work.calibration_length : work.evaluation_length;
  return length * ready_.inputs.config.hidden_size;
}

}  // namespace fp8cal
