#include "coordinator/resume/hidden_states.hpp"

#include <fmt/format.h>

#include <map>

#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"

namespace fp8cal {
namespace {

/// Where a sequence is.
struct Place {
  const HiddenFile* file;
  std::size_t index;  // in it
};

std::map<std::size_t, Place> places_of(const std::vector<HiddenFile>& files,
                                       const std::string& pass) {
  std::map<std::size_t, Place> places;
  for (const HiddenFile& file : files) {
    if (file.pass != pass) continue;
    std::size_t index = 0;
    for (const Range& run : file.sequences) {
      for (std::size_t s = run.first; s < run.end(); ++s) places[s] = {&file, index++};
    }
  }
  return places;
}

[[noreturn]] void refuse(const std::string& where, std::size_t sequence, const std::string& found) {
  throw Error(ExitCode::failed, fmt::format("{}: hidden states of sequence {}: expected them whole "
                                            "and unchanged, found {}",
                                            where, sequence, found));
}

}  // namespace

std::string pack_hidden_file(const HiddenFile& file) {
  std::string bytes;
  pack(bytes, file.name);
  pack(bytes, file.pass);
  pack(bytes, file.sequences);
  pack(bytes, file.digests);
  return bytes;
}

HiddenFile unpack_hidden_file(Unpacker& from) {
  HiddenFile file;
  from.take(file.name);
  from.take(file.pass);
  from.take(file.sequences);
  from.take(file.digests);
  // Ranges that no file could hold would wrap around in the sum.
  std::size_t count = 0;
  bool holds = file.name.find('/') == std::string::npos;
  for (const Range& run : file.sequences) {
    holds = holds && run.count <= file.digests.size();
    count += holds ? run.count : 0;
  }
  if (holds && count == file.digests.size()) return file;
  throw Error(ExitCode::failed,
              "packed hidden states: expected the name of a file in the same "
              "folder and a digest a sequence, found another");
}

HiddenFile write_hidden(const std::filesystem::path& folder, const std::string& name,
                        const std::string& pass, const Ranges& sequences,
                        std::span<const std::uint16_t> states) {
  HiddenFile file = {name, pass, sequences, {}};
  const std::size_t count = count_of(sequences);
  const std::size_t elements = count == 0 ? 0 : states.size() / count;
  for (std::size_t s = 0; s < count; ++s) {
    file.digests.push_back(sha256(std::as_bytes(states.subspan(s * elements, elements))));
  }
  write_atomically(folder / name, std::as_bytes(states));
  return file;
}

std::vector<std::uint16_t> read_hidden(const std::filesystem::path& folder,
                                       const std::vector<HiddenFile>& files,
                                       const std::string& pass, const Ranges& sequences,
                                       std::size_t elements) {
  const std::map<std::size_t, Place> places = places_of(files, pass);
  std::map<std::string, File> opened;
  std::vector<std::uint16_t> states(count_of(sequences) * elements);
  const std::size_t bytes = elements * sizeof(std::uint16_t);
  std::span<std::byte> left = std::as_writable_bytes(std::span(states));
  for (const Range& run : sequences) {
    for (std::size_t s = run.first; s < run.end(); ++s) {
      const auto place = places.find(s);
      if (place == places.end()) refuse(folder.string(), s, "none of pass " + pass);
      const auto& [from, index] = place->second;
      auto file = opened.find(from->name);
      if (file == opened.end()) {
        file = opened.emplace(from->name, File::open(folder / from->name)).first;
      }
      const std::span<std::byte> into = left.first(bytes);
      if (file->second.read_at(index * bytes, into) != bytes) refuse(from->name, s, "fewer bytes");
      if (sha256(into) != from->digests.at(index)) refuse(from->name, s, "other bytes");
      left = left.subspan(bytes);
    }
  }
  return states;
}

}  // namespace fp8cal
