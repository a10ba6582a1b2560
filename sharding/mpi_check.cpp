#include "sharding/mpi_check.hpp"

#include <fmt/format.h>

#include "sharding/peer_error.hpp"

namespace fp8cal {

void check_mpi(int code, const char* call, const char* file, int line) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw PeerError(fmt::format("{}:{}: {} failed: {}", file, line, call, text));
}

}  // namespace fp8cal
