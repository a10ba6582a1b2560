#pragma once

#include <mpi.h>

namespace fp8cal {

/// Throws PeerError with file, line, call and MPI's text where `code` is not MPI_SUCCESS.
void check_mpi(int code, const char* call, const char* file, int line);

}  // namespace fp8cal

/// Every MPI call goes through this; the argument is evaluated once.
#define FP8CAL_MPI(call) ::fp8cal::check_mpi((call), #call, __FILE__, __LINE__)
