// A library to preload, in whose processes chosen reads or writes fail as on a broken disk.
//
//   FP8CAL_FAULT="read EIO PART COUNT"      reads of files whose path holds PART fail after COUNT
//                                           that went well
//   FP8CAL_FAULT="write ENOSPC PART COUNT"  writes to them fail after COUNT bytes; the one that
//                                           crosses that line is cut short, as on a full disk
//   FP8CAL_FAULT_RANK=N                     only on this rank of an mpirun
//   FP8CAL_FAULT_FROM=FILE                  only from when this file exists, and counted from then

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
  int error;  // 0: nothing fails
  int fails_writes;
  char part[128];
  const char* from;
  atomic_llong left;  // reads or bytes until it fails
} fault;

__attribute__((constructor)) static void read_fault(void) {
  const char* text = getenv("FP8CAL_FAULT");
  const char* wanted = getenv("FP8CAL_FAULT_RANK");
  const char* rank = getenv("OMPI_COMM_WORLD_RANK");
  char operation[8], error[8];
  long long count;
  if (text == NULL || (wanted != NULL && strcmp(wanted, rank == NULL ? "0" : rank) != 0)) return;
  if (sscanf(text, "%7s %7s %127s %lld", operation, error, fault.part, &count) != 4) abort();
  fault.from = getenv("FP8CAL_FAULT_FROM");
  fault.fails_writes = strcmp(operation, "write") == 0;
  fault.left = count;
  fault.error = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
}

static int concerns(int fd, int writes) {
  char link[64], path[PATH_MAX];
  if (fault.error == 0 || fault.fails_writes != writes) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const int before = errno;
  const ssize_t length = readlink(link, path, sizeof path - 1);
  const int is_on = fault.from == NULL || access(fault.from, F_OK) == 0;
  errno = before;
  if (length < 0 || !is_on) return 0;
  path[length] = '\0';
  return strstr(path, fault.part) != NULL;
}

static int read_fails(int fd) { return concerns(fd, 0) && atomic_fetch_sub(&fault.left, 1) <= 0; }

// How many of `count` bytes are still written.
static size_t writable(int fd, size_t count) {
  if (!concerns(fd, 1)) return count;
  const long long left = atomic_fetch_sub(&fault.left, (long long)count);
  if (left <= 0) return 0;
  return left < (long long)count ? (size_t)left : count;
}

static ssize_t fail(void) {
  errno = fault.error;
  return -1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void* into, size_t count) {
  return read_fails(fd) ? fail() : NEXT(read)(fd, into, count);
}

ssize_t pread(int fd, void* into, size_t count, off_t at) {
  return read_fails(fd) ? fail() : NEXT(pread)(fd, into, count, at);
}

ssize_t pread64(int fd, void* into, size_t count, off64_t at) {
  return read_fails(fd) ? fail() : NEXT(pread64)(fd, into, count, at);
}

ssize_t write(int fd, const void* from, size_t count) {
  const size_t space = writable(fd, count);
  return space == 0 && count > 0 ? fail() : NEXT(write)(fd, from, space);
}

ssize_t pwrite(int fd, const void* from, size_t count, off_t at) {
  const size_t space = writable(fd, count);
  return space == 0 && count > 0 ? fail() : NEXT(pwrite)(fd, from, space, at);
}

ssize_t pwrite64(int fd, const void* from, size_t count, off64_t at) {
  const size_t space = writable(fd, count);
  return space == 0 && count > 0 ? fail() : NEXT(pwrite64)(fd, from, space, at);
}
