#pragma once

#include <sys/types.h>

namespace fp8cal {

/// Splits the process in two and returns in one, which goes on as the rank; the other stays behind
/// as its supervisor and ends with it. The supervisor passes signals on to the rank, exits with the
/// rank's code, and where the rank was killed says so, where and doing what, and exits with 1.
/// Where the supervisor is killed the rank ends too. To be called before there are threads, MPI or
/// a device, once. Throws Error.
void supervise();

/// What started this program: the parent of its supervisor, where it has one.
pid_t launcher_process();

}  // namespace fp8cal
