#include "coordinator/command_line.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "coordinator/audit/rerun.hpp"
#include "coordinator/option_values.hpp"
#include "coordinator/profile/profile_request.hpp"
#include "jobs/error.hpp"
#include "jobs/job_keys.hpp"

namespace fp8cal {
namespace {

constexpr const char* kWhere = kCommandLine;
constexpr int kMaxRanks = 65536;
constexpr std::size_t kMostReported = 8;
constexpr std::size_t kMostTokens = std::size_t{1} << 20;  // as a config.json may say at most
constexpr std::size_t kMostSequences = 65536;

bool takes_job(const std::string& command) {
  return command == "run" || command == "plan" || command == "bench" || command == "study" ||
         command == "submit";
}

/// An option of one command that is no job key.
struct Option {
  const char* command;
  const char* name;
  void (*store)(CommandLine& line, const std::string& value);
};

void store_tolerance_scale(CommandLine& line, const std::string& value) {
  line.tolerances.scale = parse_tolerance("--tolerance-scale", value);
}

void store_tolerance_ppl(CommandLine& line, const std::string& value) {
  line.tolerances.ppl = parse_tolerance("--tolerance-ppl", value);
}

constexpr Option kOptions[] = {
    {"plan", "ranks",
     [](CommandLine& line, const std::string& value) {
       line.ranks = parse_number("--ranks", value, 1, kMaxRanks);
     }},
    {"synth", "config", [](CommandLine& line, const std::string& value) { line.config = value; }},
    {"synth", "seed",
     [](CommandLine& line, const std::string& value) {
       line.seed = parse_number("--seed", value, std::uint64_t{0}, ~std::uint64_t{0});
     }},
    {"scales", "policy", [](CommandLine& line, const std::string& value) { line.policy = value; }},
    {"scales", "recipe",
     [](CommandLine& line, const std::string& value) { line.recipes = split("--recipe", value); }},
    {"scales", "kv",
     [](CommandLine& line, const std::string& value) { line.kv = split("--kv", value); }},
    {"scales", "out", [](CommandLine& line, const std::string& value) { line.out = value; }},
    {"export", "model", [](CommandLine& line, const std::string& value) { line.model = value; }},
    {"export", "out", [](CommandLine& line, const std::string& value) { line.out = value; }},
    {"export", "format", [](CommandLine& line, const std::string& value) { line.format = value; }},
    {"audit", "tolerance-scale", store_tolerance_scale},
    {"audit", "tolerance-ppl", store_tolerance_ppl},
    {"submit", "rerun",
     [](CommandLine& line, const std::string& value) { line.submit.rerun = value; }},
    {"submit", "tolerance-scale", store_tolerance_scale},
    {"submit", "tolerance-ppl", store_tolerance_ppl},
    {"submit", "nodes",
     [](CommandLine& line, const std::string& value) {
       line.submit.nodes = parse_number("--nodes", value, 1, kMaxRanks);
     }},
    {"submit", "gpus-per-node",
     [](CommandLine& line, const std::string& value) {
       line.submit.gpus_per_node = parse_number("--gpus-per-node", value, 1, 1024);
     }},
    {"submit", "partition",
     [](CommandLine& line, const std::string& value) { line.submit.partition = value; }},
    {"submit", "account",
     [](CommandLine& line, const std::string& value) { line.submit.account = value; }},
    {"submit", "time",
     [](CommandLine& line, const std::string& value) { line.submit.time = value; }},
    {"submit", "array",
     [](CommandLine& line, const std::string& value) { line.submit.array.push_back(value); }},
    {"submit", "after",
     [](CommandLine& line, const std::string& value) { line.submit.after = value; }},
    {"submit", "template",
     [](CommandLine& line, const std::string& value) { line.submit.template_file = value; }},
    {"submit", "site",
     [](CommandLine& line, const std::string& value) { line.submit.site_file = value; }},
    {"study", "part", [](CommandLine& line, const std::string& value) { line.part = value; }},
    {"study", "csv", [](CommandLine& line, const std::string& value) { line.csv = value; }},
    {"collect", "csv", [](CommandLine& line, const std::string& value) { line.csv = value; }},
    {"report", "out", [](CommandLine& line, const std::string& value) { line.out = value; }},
    {"report", "csv", [](CommandLine& line, const std::string& value) { line.csv = value; }},
    {"export", "recipe", [](CommandLine& line, const std::string& value) { line.recipe = value; }},
    {"profile", "scales",
     [](CommandLine& line, const std::string& value) { line.profile.scales = value; }},
    {"profile", "variants",
     [](CommandLine& line, const std::string& value) {
       line.profile.variants = split("--variants", value);
     }},
    {"profile", "kv",
     [](CommandLine& line, const std::string& value) { line.profile.kv = split("--kv", value); }},
    {"profile", "prompts",
     [](CommandLine& line, const std::string& value) {
       line.profile.prompts = split_numbers("--prompts", value, kMostTokens);
     }},
    {"profile", "decode-batches",
     [](CommandLine& line, const std::string& value) {
       line.profile.decode_batches = split_numbers("--decode-batches", value, kMostSequences);
     }},
    {"profile", "contexts",
     [](CommandLine& line, const std::string& value) {
       line.profile.contexts = split_numbers("--contexts", value, kMostTokens);
     }},
};

/// Options without a value.
struct Flag {
  const char* command;
  const char* name;
  bool& (*of)(CommandLine& line);
};

constexpr Flag kFlags[] = {
    {"bench", "json", [](CommandLine& line) -> bool& { return line.json; }},
    {"audit", "json", [](CommandLine& line) -> bool& { return line.json; }},
    {"audit", "verify", [](CommandLine& line) -> bool& { return line.verify; }},
    {"audit", "rerun", [](CommandLine& line) -> bool& { return line.rerun; }},
    {"profile", "json", [](CommandLine& line) -> bool& { return line.json; }},
    {"study", "tables", [](CommandLine& line) -> bool& { return line.tables; }},
    {"status", "json", [](CommandLine& line) -> bool& { return line.json; }},
    {"export", "force", [](CommandLine& line) -> bool& { return line.force; }},
    {"submit", "study", [](CommandLine& line) -> bool& { return line.submit.study; }},
    {"submit", "dry-run", [](CommandLine& line) -> bool& { return line.submit.dry_run; }}};

/// Options without a value that are short for "yes" of a job key.
struct JobFlag {
  const char* name;
  const char* key;
};

constexpr JobFlag kJobFlags[] = {{"allow-overlap", "evaluation.allow_overlap"}};

/// Job keys that a command without a job file takes.
bool takes_key(const std::string& command, const std::string& key) {
  if (command == "audit") return may_change_in_rerun(key);
  return command == "profile" && is_profile_key(key);
}

/// What the command takes after "--".
std::vector<std::string> option_names(const CommandLine& line) {
  std::vector<std::string> names;
  for (const Option& option : kOptions) {
    if (line.command == option.command) names.emplace_back(option.name);
  }
  for (const Flag& flag : kFlags) {
    if (line.command == flag.command) names.emplace_back(flag.name);
  }
  const bool has_job = takes_job(line.command);
  for (const JobKey& key : job_keys()) {
    if (has_job || takes_key(line.command, key.name)) names.push_back(key.name);
  }
  if (!has_job) return names;
  for (const JobFlag& flag : kJobFlags) names.emplace_back(flag.name);
  return names;
}

[[noreturn]] void refuse_option(const CommandLine& line, const std::string& key) {
  std::string expected = "one of 'fp8cal help'";
  if (const std::vector<std::string> names = option_names(line); !names.empty()) {
    const std::string name = nearest(key.substr(0, 256), names);
    if (is_job_key(name)) expected = "a key of 'fp8cal help job'";
    expected += fmt::format(", perhaps '--{}'", name);
  }
  throw InputError(kWhere, "unknown option", expected, "'--" + key + "'");
}

void store_option(CommandLine& line, const std::string& key, const std::string& value) {
  for (const Option& option : kOptions) {
    if (line.command == option.command && key == option.name) return option.store(line, value);
  }
  const bool takes_it = takes_job(line.command) || takes_key(line.command, key);
  if (!takes_it || !is_job_key(key)) refuse_option(line, key);
  line.job.push_back({key, value});
}

bool store_flag(CommandLine& line, const std::string& argument) {
  for (const Flag& flag : kFlags) {
    if (line.command != flag.command || argument != std::string("--") + flag.name) continue;
    flag.of(line) = true;
    return true;
  }
  for (const JobFlag& flag : kJobFlags) {
    if (!takes_job(line.command) || argument != std::string("--") + flag.name) continue;
    line.job.push_back({flag.key, "yes"});
    return true;
  }
  return false;
}

/// `audit` verifies one result, runs one again, or compares two.
void check_audit(const CommandLine& line) {
  if (line.command != "audit") return;
  // A rerun may have a second argument, its job file.
  const bool compares = !line.other.empty() && !line.rerun;
  const int asked = (compares ? 1 : 0) + (line.verify ? 1 : 0) + (line.rerun ? 1 : 0);
  if (asked != 1) {
    throw InputError(kWhere, "'audit'", "two results to compare, or one and --verify or --rerun",
                     asked == 0 ? "one" : "more than one of these");
  }
  if (line.rerun || line.job.empty()) return;
  throw InputError(kWhere, "'audit' runs nothing", "--rerun", "'--" + line.job.front().key + "'");
}

/// `submit` has a tolerance only for what it compares, and one kind of batch.
void check_submit(const CommandLine& line) {
  if (line.command != "submit") return;
  const bool compares = !line.submit.rerun.empty();
  if (!compares && !line.tolerances.exact()) {
    throw InputError(kWhere, "a tolerance, but nothing to compare", "--rerun RESULT beside it",
                     "none");
  }
  const int kinds =
      (compares ? 1 : 0) + (line.submit.study ? 1 : 0) + (line.submit.array.empty() ? 0 : 1);
  if (kinds <= 1) return;
  throw InputError(kWhere, "--rerun, --study and --array", "one of them", "several");
}

void store_subject(CommandLine& line, const std::string& argument) {
  if (line.command == "profile") {
    throw InputError(kWhere, "'profile' takes no job file", "--model.path FOLDER and options",
                     "'" + argument + "'");
  }
  if (line.subject.empty()) {
    line.subject = argument;
  } else if (line.command == "audit" && line.other.empty()) {
    line.other = argument;
  } else if (line.command == "report" && line.others.size() + 1 < kMostReported) {
    line.others.push_back(argument);
  } else if (line.command == "report") {
    throw InputError(kWhere, "too many results side by side",
                     fmt::format("at most {}", kMostReported),
                     "more ('fp8cal collect' makes one table of a sweep)");
  } else {
    const bool takes_two = line.command == "audit";
    throw InputError(kWhere, takes_two ? "more than two arguments" : "more than one argument",
                     takes_two ? "two results at most" : "one after the command",
                     "'" + line.subject + "' and '" + argument + "'");
  }
}

/// What a command cannot do without.
void check_complete(const CommandLine& line) {
  const auto need = [&line](const char* command, const std::string& value, const char* what,
                            const char* expected) {
    if (line.command != command || !value.empty()) return;
    throw InputError(kWhere, fmt::format("'{}' needs {}", command, what), expected, "none");
  };
  need("synth", line.config, "a shape", "--config CONFIG.json");
  need("synth", line.subject, "a folder", "a folder to write the checkpoint to");
  need("scales", line.subject, "a result", "a result file of 'fp8cal run'");
  need("scales", line.policy, "a policy", "--policy amax, percentile:P, mse or kl");
  need("scales", line.out, "a file to write", "--out NEW_RESULT");
  need("export", line.subject, "a result", "a result file of 'fp8cal run' or 'fp8cal scales'");
  need("export", line.model, "the model", "--model FOLDER, which the result was made from");
  need("export", line.out, "a folder to write", "--out FOLDER");
  need("submit", line.subject, "a job", "a job file, not after the words of --array");
  need("study", line.subject, "a study", "a job file whose keys may hold lists");
  need("collect", line.subject, "a sweep", "the sweep.json of 'fp8cal submit'");
  need("report", line.subject, "a result", "one result file or several");
  need("show", line.subject, "a result", "a result file");
  need("audit", line.subject, "a result", "one to verify, or two to compare");
  check_audit(line);
  check_submit(line);
}

}  // namespace

const std::vector<std::string>& command_names() {
  static const std::vector<std::string> all = {
      "run",   "plan",   "scales", "export",  "audit",  "bench", "profile", "study",
      "synth", "submit", "status", "collect", "report", "show",  "help",    "version"};
  return all;
}

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  line.text = fmt::format("fp8cal {}", fmt::join(arguments, " "));
  if (arguments.empty()) {
    line.command = "help";
    return line;
  }
  line.command = arguments[0];
  if (line.command == "--help" || line.command == "-h") line.command = "help";
  if (line.command == "--version") line.command = "version";
  if (std::find(command_names().begin(), command_names().end(), line.command) ==
      command_names().end()) {
    throw InputError(kWhere, "unknown command",
                     fmt::format("one of {}, perhaps '{}'", fmt::join(command_names(), ", "),
                                 nearest(line.command.substr(0, 256), command_names())),
                     "'" + line.command + "'");
  }
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const bool is_short = line.command == "report" && arguments[i] == "-o";
    const std::string argument = is_short ? "--out" : arguments[i];
    if (argument == "--help" || argument == "-h") {
      line.command = "help";
      line.subject.clear();
      return line;
    }
    if (!argument.starts_with("-")) {
      store_subject(line, argument);
      continue;
    }
    if (!argument.starts_with("--")) {
      throw InputError(kWhere, "unknown option", "'--section.key value'", "'" + argument + "'");
    }
    if (store_flag(line, argument)) continue;
    const std::size_t equals = argument.find('=');
    if (equals != std::string::npos) {
      store_option(line, argument.substr(2, equals - 2), argument.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      store_option(line, argument.substr(2), arguments[i + 1]);
      ++i;
      // Each word of a sweep is a key with its values.
      const bool sweeps = line.command == "submit" && argument == "--array";
      while (sweeps && i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) {
        store_option(line, argument.substr(2), arguments[++i]);
      }
    } else {
      throw InputError(kWhere, "option '" + argument + "' has no value", "a value", "nothing");
    }
  }
  check_complete(line);
  return line;
}

bool is_supervised(const CommandLine& line) {
  return line.command == "run" || line.command == "study" || line.rerun;
}

}  // namespace fp8cal
