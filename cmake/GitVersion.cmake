# Run at every build: writes OUTPUT, a source that defines git_description(), where it changed.
execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE description OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(description unknown)
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT [[
#include "coordinator/version.hpp"

namespace fp8cal {

const char* git_description() { return "@description@"; }

}  // namespace fp8cal
]] @ONLY)
