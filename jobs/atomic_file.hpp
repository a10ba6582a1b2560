#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>

namespace fp8cal {

/// Replaces the file at `path` by `bytes` so that a crash at any moment leaves the old file or the
/// new one: writes and fsyncs `path`.partial in the same folder, calls `verify` with that name,
/// renames it, fsyncs the folder. On any failure removes `path`.partial; throws Error naming the
/// path and the reason (exit code 1), or what `verify` threw.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                      const std::function<void(const std::filesystem::path&)>& verify = {});

/// Throws InputError naming the path where write_atomically could not create its file now (missing
/// folder, no permission, the path is a folder), so that a job fails before its work. Leaves
/// nothing behind, also of an earlier crash.
void check_writable(const std::filesystem::path& path);

}  // namespace fp8cal
