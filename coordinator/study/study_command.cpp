#include "coordinator/study/study_command.hpp"

#include <fmt/format.h>

#include <span>

#include "coordinator/job_progress.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/study/study.hpp"
#include "coordinator/study/study_figures.hpp"
#include "coordinator/study/study_file.hpp"
#include "coordinator/study/study_output.hpp"
#include "coordinator/study/study_run.hpp"
#include "coordinator/study/study_tables.hpp"
#include "jobs/atomic_file.hpp"
#include "jobs/error.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

/// The job that stands for the study where one is asked for.
Job representative(const Study& study) {
  Job job = study.cells.front().job;
  job.output.result = study.file.string();
  return job;
}

void write_study(const Study& study, const std::string& csv) {
  const StudyFigures figures = read_figures(study);
  const StudyRecord record =
      study_record(study, figures, study_tables(figures, study.cells.front().job.calibration.seed));
  const std::string text = study_json(record);
  write_atomically(study.file, std::as_bytes(std::span(text)));
  if (!csv.empty()) write_study_csv(csv, record, study.file);
  fmt::print("{}", study_text(record, study.file));
}

/// The part of the study that --part names: "2/9", counted from 0.
Study named_part(const Study& study, const std::string& part) {
  const std::size_t all = study.calibrations.size();
  for (std::size_t k = 0; k < all; ++k) {
    if (part == fmt::format("{}/{}", k, all)) return part_of(study, k);
  }
  throw InputError("--part", "bad value",
                   fmt::format("a calibration of the study, 0/{} to {}/{}", all, all - 1, all),
                   "'" + part + "'");
}

}  // namespace

void study(const CommandLine& line, const Control& control, MPI_Comm world, const Guards& guards,
           std::optional<StatusKeeper>& status) {
  Study study;
  run_agreed(control, [&] {
    study = read_study(line.subject, line.job);
    if (!line.part.empty()) study = named_part(study, line.part);
  });
  const Job job = representative(study);
  begin_status(job, control, status);
  run_agreed(control, [&] {
    check_ranks(job, control);
    if (control.rank() == 0) check_writable(study.file);
  });
  stand_guard(job, control, guards);
  // Results that are written are its progress: it can stop whether or not there is a place for
  // more.
  if (!guards.stop_signals) guards.stop_signals.emplace();
  JobProgress progress(job, control, status ? &*status : nullptr);
  if (line.tables) {
    expect_results(study, control);
  } else {
    run_study(study, line.text, control, world, progress.listener());
  }
  run_agreed(control, [&] {
    if (control.rank() != 0) return;
    if (line.part.empty()) return write_study(study, line.csv);
    fmt::print("part {}: {} results in {}\n", line.part, study.cells.size(),
               study.results.string());
  });
}

}  // namespace fp8cal
