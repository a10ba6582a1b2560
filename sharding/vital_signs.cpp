#include "sharding/vital_signs.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

VitalSigns own;
VitalSigns* signs = &own;

}  // namespace

void SharedLine::write(std::string_view text) {
  const int next = 1 - current_.load(std::memory_order_relaxed);
  const std::size_t size = std::min(text.size(), kSize - 1);
  std::memcpy(copies_[next], text.data(), size);
  copies_[next][size] = '\0';
  current_.store(next, std::memory_order_release);
}

std::string SharedLine::read() const {
  const char* text = copies_[current_.load(std::memory_order_acquire)];
  return {text, ::strnlen(text, kSize)};
}

VitalSigns& vital_signs() { return *signs; }

void share_vital_signs() {
  void* memory = ::mmap(nullptr, sizeof(VitalSigns), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw system_error("vital signs", "share memory", errno);
  signs = new (memory) VitalSigns;
}

std::string position_of(const VitalSigns& signs) {
  const std::string stage = signs.stage.read();
  if (stage.empty()) return "at the start";
  const std::int64_t layer = signs.layer.load(std::memory_order_relaxed);
  return layer == VitalSigns::kNoLayer ? fmt::format("in {}", stage)
                                       : fmt::format("in {}, layer {}", stage, layer);
}

void tell_stage(std::string_view stage) {
  signs->stage.write(stage);
  signs->layer.store(VitalSigns::kNoLayer, std::memory_order_relaxed);
  tell_progress();
}

void tell_layer(std::size_t layer) {
  signs->layer.store(static_cast<std::int64_t>(layer), std::memory_order_relaxed);
  tell_progress();
}

}  // namespace fp8cal
