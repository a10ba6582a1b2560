#include "coordinator/report/report_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string_view>

#include "coordinator/report/figure_tables.hpp"
#include "coordinator/report/latency_page.hpp"
#include "coordinator/report/latency_text.hpp"
#include "coordinator/report/page.hpp"
#include "coordinator/report/show_text.hpp"
#include "coordinator/report/study_page.hpp"
#include "coordinator/study/study_file.hpp"
#include "coordinator/study/study_output.hpp"
#include "coordinator/supervision/last_words.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/profile_file.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

/// "out/demo.report.html" for "out/demo.h5".
std::string default_output(const std::string& file) {
  return fs::path(file).replace_extension(".report.html").string();
}

/// Makes it where it is missing.
void check_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (fs::is_directory(folder)) return check_writable(fs::path(folder) / "results.csv");
  throw InputError("--csv", "cannot make the folder", "a folder to write to",
                   fmt::format("'{}': {}", folder, error.message()));
}

void check_not_read(const std::string& out, const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    std::error_code missing;
    if (fs::equivalent(out, file, missing)) {
      throw InputError(out, "--out", "another file than those that are read", "the same");
    }
  }
}

void write_text(const fs::path& path, const std::string& text) {
  write_atomically(path, std::as_bytes(std::span(text)));
}

/// Told by its content: results and profiles are HDF5, a study is not.
bool is_study(const std::string& file) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
  std::array<char, kSignature.size()> begin = {};
  const std::size_t size =
      File::open(file).read_at(0, std::as_writable_bytes(std::span<char>(begin)));
  return std::string_view(begin.data(), size) != kSignature;
}

/// A page is of one study, of results alone, or of profiles alone.
bool is_study(const std::vector<std::string>& files) {
  const auto study = std::ranges::find_if(files, [](const auto& file) { return is_study(file); });
  if (study == files.end()) return false;
  if (files.size() == 1) return true;
  throw InputError(*study, "a study beside other files", "one study, or HDF5 results alone",
                   fmt::format("{} files", files.size()));
}

/// Whether all are profiles; none is a study.
bool are_profiles(const std::vector<std::string>& files) {
  const auto count =
      std::ranges::count_if(files, [](const auto& one) { return is_profile_file(one); });
  if (count == 0 || count == std::ssize(files)) return count != 0;
  const auto profile =
      std::ranges::find_if(files, [](const auto& one) { return is_profile_file(one); });
  throw InputError(*profile, "a latency profile beside other files",
                   "results alone, or profiles alone",
                   fmt::format("{} of {} files", count, files.size()));
}

void write_csv(const std::string& folder, const std::vector<FigureTable>& tables) {
  for (const FigureTable& one : tables) {
    write_text(fs::path(folder) / (one.name + ".csv"), csv_text(one.table));
  }
}

void report_study(const std::string& file, const std::string& out, const std::string& csv) {
  const StudyRecord study = read_study_file(file);
  write_text(out, study_page(study, file));
  if (!csv.empty()) write_study_csv(csv, study, file);
}

void report_results(const std::vector<std::string>& files, const std::string& out,
                    const std::string& csv) {
  const ReportFigures figures = read_report(files);
  write_text(out, report_page(figures));
  if (!csv.empty()) write_csv(csv, figure_tables(figures));
}

void report_profiles(const std::vector<std::string>& files, const std::string& out,
                     const std::string& csv) {
  const LatencyReport report = read_latency_report(files);
  write_text(out, latency_page(report));
  if (!csv.empty()) write_csv(csv, latency_csv(report));
}

void report(const CommandLine& line) {
  std::vector<std::string> files = {line.subject};
  files.insert(files.end(), line.others.begin(), line.others.end());
  const std::string out = line.out.empty() ? default_output(line.subject) : line.out;
  check_not_read(out, files);
  check_writable(out);
  if (!line.csv.empty()) check_folder(line.csv);
  if (is_study(files)) {
    report_study(line.subject, out, line.csv);
  } else if (are_profiles(files)) {
    report_profiles(files, out, line.csv);
  } else {
    report_results(files, out, line.csv);
  }
  fmt::print("report {}\n", out);
}

/// Of a result, a profile or a study, for a terminal.
std::string text_of(const std::string& file) {
  if (is_study(file)) {
    return study_text(read_study_file(file), fs::absolute(file).lexically_normal());
  }
  if (is_profile_file(file)) return latency_text(read_latency(file).value(), file);
  return show_text(read_figures(file));
}

/// Runs `work`; says in a line why it failed.
template <class Work>
int in_one_line(const Work& work) {
  try {
    work();
    std::fflush(stdout);
    return static_cast<int>(ExitCode::done);
  } catch (const Error& error) {
    print_error(error.what());
    return static_cast<int>(error.code());
  }
}

}  // namespace

int report_files(const CommandLine& line) {
  return in_one_line([&] { report(line); });
}

int show_file(const CommandLine& line) {
  return in_one_line([&] { fmt::print("{}", text_of(line.subject)); });
}

}  // namespace fp8cal
