#include "coordinator/audit/audit_command.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <optional>

#include "coordinator/audit/audit_json.hpp"
#include "coordinator/audit/audit_text.hpp"
#include "coordinator/audit/rerun.hpp"
#include "coordinator/audit/weights_check.hpp"
#include "coordinator/job_progress.hpp"
#include "coordinator/model_attributes.hpp"
#include "coordinator/pipeline.hpp"
#include "coordinator/preparation.hpp"
#include "coordinator/resume/progress_file.hpp"
#include "jobs/error.hpp"
#include "jobs/result_writer.hpp"
#include "sharding/agreement.hpp"

namespace fp8cal {
namespace {

void verify_result(const CommandLine& line, const Control& control) {
  const Verification done = verify(line.subject, threads_per_rank(control));
  fmt::print("{}", line.json ? verification_json(done, line.subject) + "\n"
                             : verification_text(done, line.subject));
  if (done.findings.empty()) return;
  std::fflush(stdout);
  throw Error(
      ExitCode::audit_difference,
      fmt::format("{}: {} finding{}, first: {}", line.subject, done.findings.count(),
                  done.findings.count() == 1 ? "" : "s", text_of(done.findings.kept().front())));
}

/// Before any work: the weights must be those that the result was made from.
void check_weights(const StoredResult& stored, const std::string& where, const Rerun& again,
                   const Control& control) {
  std::string expected;
  std::optional<Checkpoint> checkpoint;
  run_agreed(control, [&] {
    expected = job_attribute<std::string>(stored.result.job, "weights_digest", where);
    checkpoint = open_checkpoint(again.job, again.inputs.config);
  });
  const int threads = again.job.runtime.threads.value_or(threads_per_rank(control));
  expect_weights_digest(expected, again.job.model.path, *checkpoint, again.inputs.config, threads,
                        control);
}

/// A result to compare; where it is damaged, the error says how to learn more.
StoredResult read_for_audit(const std::string& file) {
  try {
    return read_result(file);
  } catch (const InputError& error) {
    if (!begins_as_hdf5(file)) throw;
    throw InputError(error.where, error.what_is, error.expected,
                     fmt::format("{} ('fp8cal audit {} --verify' says more)", error.found, file));
  }
}

/// other: what to call the second one.
void compare_results(const CommandLine& line, const StoredResult& a, const StoredResult& b,
                     const std::string& other) {
  const Comparison found = compare(a, b, line.tolerances);
  fmt::print("{}", line.json ? comparison_json(found, line.subject, other) + "\n"
                             : comparison_text(found, line.subject, other));
  if (!found.cause) return;
  std::fflush(stdout);
  std::string text =
      fmt::format("{} and {} differ, first in {}", line.subject, other, text_of(*found.cause));
  if (found.first_layer && found.first_layer->object != found.cause->object) {
    text += fmt::format(", from {} on", found.first_layer->object);
  }
  throw Error(ExitCode::audit_difference, text);
}

/// Every rank reads the file: it holds the tokens that all of them need.
void rerun(const CommandLine& line, const Control& control, MPI_Comm world, const Guards& guards,
           std::optional<StatusKeeper>& status) {
  StoredResult stored;
  Rerun again;
  run_agreed(control, [&] {
    stored = read_for_audit(line.subject);
    again = rerun_of(stored, line.subject, rerun_options(line.other, line.job));
  });
  begin_status(again.job, control, status);
  run_agreed(control, [&] { check_ranks(again.job, control); });
  stand_guard(again.job, control, guards);
  JobProgress progress(again.job, control, status ? &*status : nullptr);
  check_weights(stored, line.subject, again, control);
  const bool speaks = control.rank() == 0;
  if (!speaks) stored = {};  // compared on rank 0
  Outcome outcome = compute_job(again.job, std::move(again.inputs), line.text, control, world,
                                progress.listener());
  run_agreed(control, [&] {
    if (!speaks) return;
    if (!again.job.runtime.checkpoint.empty()) remove_progress(again.job.runtime.checkpoint);
    const std::string digest = content_digest_of(outcome.result);
    if (status) status->tell_digest(digest);
    compare_results(line, stored, {std::move(outcome.result), digest}, "the rerun");
  });
}

}  // namespace

void audit(const CommandLine& line, const Control& control, MPI_Comm world, const Guards& guards,
           std::optional<StatusKeeper>& status) {
  if (line.rerun) return rerun(line, control, world, guards, status);
  run_agreed(control, [&] {
    if (control.rank() != 0) return;  // the work of seconds
    if (line.verify) return verify_result(line, control);
    compare_results(line, read_for_audit(line.subject), read_for_audit(line.other), line.other);
  });
}

}  // namespace fp8cal
