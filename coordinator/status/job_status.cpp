#include "coordinator/status/job_status.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>
#include <utility>

#include "jobs/json.hpp"

namespace fp8cal {
namespace {

using nlohmann::json;

constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 16;
constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 53;
constexpr double kMaxFigure = 1e18;
constexpr std::array kStates = {"running", "done", "gate_failed", "differs", "stopped", "failed"};

/// The members of one object; each throws InputError naming the file and the key.
class Members {
 public:
  Members(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  std::string text(const char* key) const { return require_string(object_, key, where_); }
  std::uint64_t count(const char* key, std::uint64_t max = kMaxCount) const {
    return require_unsigned(object_, key, where_, 0, max);
  }
  double figure(const char* key) const {
    return require_number(object_, key, where_, 0, kMaxFigure);
  }
  bool is_null(const char* key) const { return require_member(object_, key, where_).is_null(); }

  std::optional<std::string> text_or_null(const char* key) const {
    if (is_null(key)) return std::nullopt;
    return text(key);
  }
  std::optional<double> figure_or_null(const char* key) const {
    if (is_null(key)) return std::nullopt;
    return figure(key);
  }
  std::optional<std::uint64_t> count_or_null(const char* key) const {
    if (is_null(key)) return std::nullopt;
    return count(key);
  }
  std::string time(const char* key) const {
    const std::string found = text(key);
    if (parse_utc(found)) return found;
    throw InputError(where_, key, "a time such as 2026-01-31T23:59:59Z", in_quotes(found));
  }
  std::string state(const char* key) const {
    const std::string found = text(key);
    if (std::ranges::find(kStates, found) != kStates.end()) return found;
    throw InputError(where_, key, "running, done, gate_failed, differs, stopped or failed",
                     in_quotes(found));
  }

 private:
  const json& object_;
  std::string where_;
};

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

}  // namespace

std::string state_of(ExitCode code) {
  switch (code) {
    case ExitCode::done:
      return "done";
    case ExitCode::gate_failed:
      return "gate_failed";
    case ExitCode::audit_difference:
      return "differs";
    case ExitCode::progress_saved:
      return "stopped";
    default:
      return "failed";
  }
}

nlohmann::ordered_json to_json(const JobStatus& status) {
  return {{"format", "fp8cal-status"},
          {"version", 1},
          {"state", status.state},
          {"message", status.message},
          {"exit_code", or_null(status.exit_code)},
          {"stage", status.stage},
          {"layer", or_null(status.layer)},
          {"unit", status.unit},
          {"done", status.done},
          {"units", status.units},
          {"tokens_per_second", or_null(status.tokens_per_second)},
          {"seconds_left", or_null(status.seconds_left)},
          {"started", status.started},
          {"updated", status.updated},
          {"host", status.host},
          {"pid", status.pid},
          {"ranks", status.ranks},
          {"partition", or_null(status.partition)},
          {"slurm_job", or_null(status.slurm_job)},
          {"restarts", status.restarts},
          {"result", status.result},
          {"checkpoint", or_null(status.checkpoint)},
          {"digest", or_null(status.digest)}};
}

JobStatus read_status(const std::filesystem::path& file) {
  const json object = read_json_file(file, kMaxBytes);
  const std::string where = file.string();
  require_format(object, "fp8cal-status", where);
  const Members members(object, where);
  JobStatus status;
  status.state = members.state("state");
  status.message = members.text("message");
  if (!members.is_null("exit_code")) {
    status.exit_code = static_cast<int>(members.count("exit_code", 255));
  }
  status.stage = members.text("stage");
  status.layer = members.count_or_null("layer");
  status.unit = members.text("unit");
  status.done = members.count("done");
  status.units = members.count("units");
  status.tokens_per_second = members.figure_or_null("tokens_per_second");
  status.seconds_left = members.figure_or_null("seconds_left");
  status.started = members.time("started");
  status.updated = members.time("updated");
  status.host = members.text("host");
  status.pid = members.count("pid");
  status.ranks = members.count("ranks");
  status.partition = members.text_or_null("partition");
  status.slurm_job = members.text_or_null("slurm_job");
  status.restarts = members.count("restarts");
  status.result = members.text("result");
  status.checkpoint = members.text_or_null("checkpoint");
  status.digest = members.text_or_null("digest");
  return status;
}

std::optional<std::int64_t> parse_utc(const std::string& text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return std::nullopt;
  }
  const auto part = [&text](std::size_t at, std::size_t digits) {
    return std::stoi(text.substr(at, digits));
  };
  constexpr std::array kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int year = part(0, 4), month = part(5, 2), day = part(8, 2);
  if (month < 1 || month > 12) return std::nullopt;
  const int days = kDays[static_cast<std::size_t>(month - 1)] + (month == 2 && is_leap(year));
  const int hour = part(11, 2), minute = part(14, 2), second = part(17, 2);
  if (day < 1 || day > days || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  std::tm time{};
  time.tm_year = year - 1900;
  time.tm_mon = month - 1;
  time.tm_mday = day;
  time.tm_hour = hour;
  time.tm_min = minute;
  time.tm_sec = second;
  return timegm(&time);
}

}  // namespace fp8cal
