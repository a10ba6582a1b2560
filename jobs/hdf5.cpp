#include "jobs/hdf5.hpp"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "jobs/error.hpp"

namespace fp8cal::hdf5 {
namespace {

herr_t copy_description(unsigned, const H5E_error2_t* error, void* text) {
  auto& innermost = *static_cast<std::array<char, 256>*>(text);
  const char* description = error->desc != nullptr ? error->desc : "";
  fmt::format_to_n(innermost.data(), innermost.size() - 1, "{}: {}", error->func_name, description);
  return 1;  // the walk starts at the innermost error: stop there
}

template <class NameOf>
std::string name_from(NameOf name_of) {
  std::string name(
      static_cast<std::size_t>(checked(name_of(nullptr, 0), "name", __FILE__, __LINE__)), '\0');
  checked(name_of(name.data(), name.size() + 1), "name", __FILE__, __LINE__);
  return name;
}

}  // namespace

void silence() {
  // HDF5's error settings belong to a thread.
  thread_local const bool silent = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  static_cast<void>(silent);
}

void throw_last_error(const char* call, const char* source_file, int line) {
  std::array<char, 256> innermost{};
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, copy_description, &innermost);
  H5Eclear2(H5E_DEFAULT);
  throw Error(
      ExitCode::failed,
      fmt::format("{}:{}: {}: {}", std::filesystem::path(source_file).filename().string(), line,
                  call, innermost[0] != '\0' ? innermost.data() : "HDF5 says no more"));
}

Handle::~Handle() {
  if (id_ >= 0) H5Idec_ref(id_);
}

Handle open_read_only(const std::filesystem::path& path) {
  // HDF5's own message for a file that cannot be opened does not say why in every version.
  if (std::FILE* file = std::fopen(path.c_str(), "rb")) {
    std::fclose(file);
  } else {
    throw InputError(path.string(), "cannot open", "an HDF5 file", std::strerror(errno));
  }
  silence();
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (file.id() < 0) {
    H5Eclear2(H5E_DEFAULT);
    throw InputError(path.string(), "format", "a complete HDF5 file", "something else");
  }
  return file;
}

std::string describe(const Handle& object) {
  const hid_t id = object.id();
  silence();
  std::string text =
      name_from([id](char* name, std::size_t n) { return H5Fget_name(id, name, n); });
  text += ':';
  text += name_from([id](char* name, std::size_t n) { return H5Iget_name(id, name, n); });
  if (FP8CAL_HDF5(H5Iget_type(id)) == H5I_ATTR) {
    text += " attribute ";
    text += name_from([id](char* name, std::size_t n) { return H5Aget_name(id, n, name); });
  }
  return text;
}

}  // namespace fp8cal::hdf5
