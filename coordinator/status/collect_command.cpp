#include "coordinator/status/collect_command.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <span>

#include "coordinator/status/sweep_results.hpp"
#include "coordinator/supervision/last_words.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"

namespace fp8cal {

int collect_sweep(const CommandLine& line) {
  try {
    const SweepRecord sweep = read_sweep(line.subject);
    if (!line.csv.empty()) check_writable(line.csv);
    std::vector<TaskResult> tasks;
    for (const SweepTask& task : sweep.tasks) tasks.push_back(read_task_result(task));
    fmt::print("{}{}", aligned_text(short_table(sweep.keys, tasks)), protocol_lines(tasks));
    std::fflush(stdout);
    if (!line.csv.empty()) {
      const std::string csv = csv_text(full_table(sweep.keys, tasks));
      write_atomically(line.csv, std::as_bytes(std::span(csv)));
    }
    const std::string missing = missing_text(tasks);
    if (!missing.empty()) throw Error(ExitCode::failed, missing);
    return static_cast<int>(ExitCode::done);
  } catch (const Error& error) {
    print_error(error.what());
    return static_cast<int>(error.code());
  }
}

}  // namespace fp8cal
