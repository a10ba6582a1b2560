#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "jobs/error.hpp"
#include "jobs/result_reader.hpp"
#include "jobs/result_writer.hpp"
#include "tests/unit/full_result.hpp"
#include "tests/unit/result_random_edits.hpp"
#include "tests/unit/temp_folder.hpp"

/// `data` chooses edits of a result file that then gets its right digest: HDF5's checksums and ours
/// would stop almost every other change. Any exception but fp8cal::Error is a finding, and so is a
/// file that is read, but comes back otherwise once written again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace fs = std::filesystem;
  static const fp8cal::TempFolder folder;
  static const fs::path original = folder.path() / "original.h5";
  static const std::string digest = fp8cal::write_result(fp8cal::full_result(), original);
  const fs::path edited = folder.path() / "edited.h5";
  fs::copy_file(original, edited, fs::copy_options::overwrite_existing);
  std::size_t used = 0;
  const fp8cal::Choose choose = [&](std::size_t bound) {
    const std::size_t high = used < size ? data[used++] : 0;
    const std::size_t low = bound > 256 && used < size ? data[used++] : 0;
    return (high + 256 * low) % bound;
  };
  constexpr std::size_t kMaxEdits = 4;
  fp8cal::forge_result(edited, 1 + size % kMaxEdits, choose);
  fp8cal::StoredResult stored;
  try {
    stored = fp8cal::read_result(edited);
  } catch (const fp8cal::Error&) {
    return 0;
  }
  const std::string written = fp8cal::write_result(stored.result, edited);
  if (fp8cal::write_result(fp8cal::read_result(edited).result, edited) != written) std::abort();
  return 0;
}
