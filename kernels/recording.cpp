#include "kernels/recording.hpp"

#include <functional>
#include <memory>

#include "kernels/backend.hpp"

namespace fp8cal {
namespace {

class RepeatedCalls final : public Recording {
 public:
  explicit RepeatedCalls(const std::function<void()>& calls) : calls_(calls) {}

  void replay() override { calls_(); }

 private:
  std::function<void()> calls_;
};

}  // namespace

std::unique_ptr<Recording> Backend::record(const std::function<void()>& calls) {
  return std::make_unique<RepeatedCalls>(calls);
}

}  // namespace fp8cal
