#include "coordinator/report/report_command.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <span>

#include "coordinator/report/figure_tables.hpp"
#include "coordinator/report/page.hpp"
#include "coordinator/report/show_text.hpp"
#include "coordinator/supervision/last_words.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"

namespace fp8cal {
namespace {

namespace fs = std::filesystem;

/// "out/demo.report.html" for "out/demo.h5".
std::string default_output(const std::string& result) {
  return fs::path(result).replace_extension(".report.html").string();
}

/// Makes it where it is missing.
void check_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (fs::is_directory(folder)) return check_writable(fs::path(folder) / "perplexity.csv");
  throw InputError("--csv", "cannot make the folder", "a folder to write to",
                   fmt::format("'{}': {}", folder, error.message()));
}

void check_not_a_result(const std::string& out, const std::vector<std::string>& results) {
  for (const std::string& result : results) {
    std::error_code missing;
    if (fs::equivalent(out, result, missing)) {
      throw InputError(out, "--out", "another file than the results that are read", "the same");
    }
  }
}

void write_text(const fs::path& path, const std::string& text) {
  write_atomically(path, std::as_bytes(std::span(text)));
}

void report(const CommandLine& line) {
  std::vector<std::string> files = {line.subject};
  files.insert(files.end(), line.others.begin(), line.others.end());
  const std::string out = line.out.empty() ? default_output(line.subject) : line.out;
  check_not_a_result(out, files);
  check_writable(out);
  if (!line.csv.empty()) check_folder(line.csv);
  const ReportFigures figures = read_report(files);
  write_text(out, report_page(figures));
  if (!line.csv.empty()) {
    for (const FigureTable& one : figure_tables(figures)) {
      write_text(fs::path(line.csv) / (one.name + ".csv"), csv_text(one.table));
    }
  }
  fmt::print("report {}\n", out);
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

int report_results(const CommandLine& line) {
  return in_one_line([&] { report(line); });
}

int show_result(const CommandLine& line) {
  return in_one_line(
      [&] { fmt::print("{}", show_text(figures_of(read_result(line.subject), line.subject))); });
}

}  // namespace fp8cal
