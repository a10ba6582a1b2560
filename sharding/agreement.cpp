#include "sharding/agreement.hpp"

#include <new>

namespace fp8cal {
namespace {

/// "code text", or empty where all went well.
std::string outcome_of(const std::function<void()>& step) {
  try {
    step();
    return {};
  } catch (const Error& error) {
    return std::to_string(static_cast<int>(error.code())) + ' ' + error.what();
  } catch (const std::bad_alloc&) {
    return "1 out of memory";
  } catch (const std::exception& error) {
    return std::string("1 ") + error.what();
  }
}

}  // namespace

void run_agreed(const Control& control, const std::function<void()>& step) {
  std::string outcome = outcome_of(step);
  if (control.max(outcome.empty() ? 0 : 1) == 0) return;
  std::string first;
  for (const std::string& one : control.gather(outcome)) {
    if (first.empty()) first = one;
  }
  first = control.broadcast(first);
  const std::size_t space = first.find(' ');
  throw AgreedError(static_cast<ExitCode>(std::stoi(first.substr(0, space))),
                    first.substr(space + 1));
}

}  // namespace fp8cal
