#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "coordinator/resume/saved_progress.hpp"

namespace fp8cal {

/// The file of saved progress in a folder (runtime.checkpoint): "fp8cal progress 1\n", then
/// pack_progress, then the SHA-256 of all that.
std::filesystem::path progress_file(const std::filesystem::path& folder);

/// Makes the folder where it is missing. Throws InputError where no file can be written there.
void prepare_progress_folder(const std::filesystem::path& folder);

/// What is saved there; none where nothing is. Throws Error with the reason where the file is cut
/// short or changed, and InputError where it is whole but of another version of the format.
std::optional<SavedProgress> read_progress(const std::filesystem::path& folder);

/// Replaces what was saved there, as a whole or not at all.
void write_progress(const std::filesystem::path& folder, const SavedProgress& progress);

/// "hidden-16-calibrate-0": of a pass of a share, after so many layers.
std::string hidden_file_name(std::size_t layers, const std::string& pass, int share);

/// Removes files of hidden states but for `kept`.
void remove_hidden_files(const std::filesystem::path& folder, const std::vector<HiddenFile>& kept);

/// Removes all that, and the folder where that leaves it empty. What cannot be removed is warned
/// of: the job is done.
void remove_progress(const std::filesystem::path& folder) noexcept;

}  // namespace fp8cal
