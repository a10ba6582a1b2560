#include "coordinator/checkpoint/export_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "jobs/atomic_file.hpp"
#include "jobs/checkpoint_layout.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/safetensors_index.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxCopiedBytes = std::uint64_t{256} << 20;
constexpr std::string_view kPartial = ".partial";

bool is_tokenizer_file(const std::string& name) {
  constexpr std::array<std::string_view, 10> kNames = {
      "tokenizer.json",      "tokenizer_config.json",  "tokenizer.model",
      "chat_template.jinja", "chat_template.json",     "special_tokens_map.json",
      "added_tokens.json",   "generation_config.json", "vocab.json",
      "merges.txt"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

bool is_licence_file(const std::string& name) {
  return name.starts_with("LICENSE") || name.starts_with("NOTICE") ||
         name.starts_with("USE_POLICY");
}

[[noreturn]] void refuse(const fs::path& out, const std::string& expected,
                         const std::string& found) {
  throw InputError(out.string(), "folder for the checkpoint", expected, found);
}

/// Throws where `out` or a folder above it is `model`, whatever links lead there.
void expect_outside(const fs::path& model, const fs::path& out) {
  std::error_code ignored;
  for (fs::path above = fs::weakly_canonical(fs::absolute(out)); !above.empty();
       above = above.parent_path()) {
    if (fs::equivalent(above, model, ignored)) refuse(out, "one outside the model's", "inside it");
    if (above == above.root_path()) return;
  }
}

/// The names of the files that the folder's index maps tensors to; none where it has no valid one.
std::set<std::string> indexed_files(const fs::path& folder) {
  try {
    return read_safetensors_index(folder / kIndexName).shards;
  } catch (const Error&) {
    return {};
  }
}

/// A name that an export gives, without what marks it as unfinished.
std::string final_name(const fs::path& path) {
  std::string name = path.filename().string();
  if (name.ends_with(kPartial)) name.resize(name.size() - kPartial.size());
  return name;
}

/// Whether all that the folder holds is what an export leaves that was killed: config.json comes
/// last.
bool holds_unfinished_export(const fs::path& out) {
  for (const fs::directory_entry& entry : fs::directory_iterator(out)) {
    const std::string name = final_name(entry.path());
    const bool is_ours = is_checkpoint_file_name(name) || is_tokenizer_file(name) ||
                         is_licence_file(name) || name == "README.md" || name == kIndexName ||
                         name == "hf_quant_config.json" || name == "config.json";
    if (!is_ours || entry.is_directory() || entry.path().filename() == "config.json") return false;
  }
  return true;
}

}  // namespace

void prepare_export_folder(const fs::path& model, const fs::path& out, bool force) {
  expect_outside(model, out);
  std::error_code error;
  fs::create_directories(out, error);
  if (error || !fs::is_directory(out)) {
    refuse(out, "one that can be made", error ? error.message() : "a file of this name");
  }
  const bool is_empty = fs::is_empty(out, error);
  if (error) refuse(out, "one that can be read", error.message());
  if (!is_empty && !force && !holds_unfinished_export(out)) {
    refuse(out, "an empty or new one, or --force", "files in it");
  }
  check_writable(out / "config.json");
}

std::vector<fs::path> files_to_copy(const fs::path& model) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(model)) {
    const std::string name = entry.path().filename().string();
    // A link counts as what it leads to: so do caches of the Hugging Face hub keep their files.
    std::error_code unreadable;
    if (!is_tokenizer_file(name) && !is_licence_file(name)) continue;
    if (!entry.is_regular_file(unreadable)) continue;
    const std::uintmax_t bytes = entry.file_size(unreadable);
    if (unreadable || bytes > kMaxCopiedBytes) {
      throw InputError(entry.path().string(), "file to copy",
                       fmt::format("at most {} bytes", kMaxCopiedBytes),
                       unreadable ? unreadable.message() : std::to_string(bytes));
    }
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void remove_old_checkpoint(const fs::path& out, const std::set<std::string>& kept) {
  const std::set<std::string> indexed = indexed_files(out);
  remove_files({out / kIndexName, out / "config.json"});
  std::vector<fs::path> stale;
  for (const fs::directory_entry& entry : fs::directory_iterator(out)) {
    const std::string name = final_name(entry.path());
    const bool is_tensors =
        is_checkpoint_file_name(name) || (indexed.contains(name) && name.ends_with(".safetensors"));
    const bool is_ours = is_tensors || is_tokenizer_file(name) || name == "hf_quant_config.json";
    if (is_ours && !kept.contains(name) && !entry.is_directory()) stale.push_back(entry.path());
  }
  remove_files(stale);
}

PublishedFiles::~PublishedFiles() {
  if (paths_.empty()) return;
  std::reverse(paths_.begin(), paths_.end());
  try {
    remove_files(paths_);
  } catch (const Error&) {
    // A destructor must not throw, and the failure that led here is the one to tell of.
  }
}

void PublishedFiles::write(const fs::path& path, std::string_view text) {
  add(path);
  write_atomically(path, std::as_bytes(std::span(text)));
}

void publish_copy(const fs::path& from, const fs::path& out, PublishedFiles& published) {
  published.write(out / from.filename(), read_text_file(from, kMaxCopiedBytes));
}

}  // namespace fp8cal
