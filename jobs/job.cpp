#include "jobs/job.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>

#include "jobs/error.hpp"
#include "jobs/job_keys.hpp"

namespace fp8cal {
namespace {

namespace po = boost::program_options;

using ValuesByKey = std::map<std::string, std::vector<std::string>>;

constexpr const char* kCommandLine = "command line";
constexpr std::uintmax_t kMaxJobFileBytes = 1 << 15;  // an HDF5 attribute holds its text

const JobKey* find_key(const std::string& name) {
  for (const JobKey& key : job_keys()) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

const JobKey& expect_key(const std::string& where, const std::string& name) {
  if (const JobKey* key = find_key(name)) return *key;
  throw InputError(where, "unknown job key",
                   fmt::format("a key of 'fp8cal help job', perhaps '{}'", nearest_job_key(name)),
                   "'" + name + "'");
}

std::string trim(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// The parts of a list that are not empty, or the one value of what is none.
std::vector<std::string> split(const std::string& text, bool is_list) {
  if (!is_list) return {trim(text)};
  std::vector<std::string> parts;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    if (!trim(item).empty()) parts.push_back(trim(item));
  }
  return parts;
}

void add_values(ValuesByKey& values, const std::string& where, const JobKey& key,
                const std::vector<std::string>& given, bool is_list) {
  std::vector<std::string>& stored = values[key.name];
  if (!is_list && !stored.empty()) {
    throw InputError(where, "key '" + key.name + "' given twice", "one value",
                     fmt::format("'{}' and '{}'", stored[0], fmt::join(given, ",")));
  }
  stored.insert(stored.end(), given.begin(), given.end());
  if (stored.empty() || stored.back().empty()) {
    throw InputError(where, "key '" + key.name + "' has no value", key.argument, "nothing");
  }
}

bool holds_list(const JobKey& key, const std::set<std::string>& lists) {
  return key.is_list || lists.contains(key.name);
}

std::string read_text(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) {
    std::string found = std::filesystem::exists(file, error) ? "no regular file" : "nothing";
    if (std::filesystem::is_directory(file, error)) found = "a folder";
    if (error && error.value() != ENOENT) found = error.message();
    throw InputError(file.string(), "job file", "a file in INI form", found);
  }
  const std::uintmax_t bytes = std::filesystem::file_size(file, error);
  if (error || bytes > kMaxJobFileBytes) {
    throw InputError(file.string(), "job file too large",
                     fmt::format("at most {} bytes", kMaxJobFileBytes), std::to_string(bytes));
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream) throw system_error(file.string(), "read", errno, ExitCode::bad_input);
  return text.str();
}

ValuesByKey parse_file(const std::filesystem::path& file, const std::string& text,
                       const std::set<std::string>& lists) {
  po::options_description accepted;
  for (const JobKey& key : job_keys()) {
    accepted.add_options()(key.name.c_str(), po::value<std::vector<std::string>>());
  }
  ValuesByKey values;
  try {
    std::istringstream stream(text);
    const auto parsed = po::parse_config_file(stream, accepted, /*allow_unregistered=*/true);
    for (const auto& option : parsed.options) {
      const JobKey& key = expect_key(file.string(), option.string_key);
      const bool is_list = holds_list(key, lists);
      for (const std::string& value : option.value) {
        std::vector<std::string> parts = split(value, is_list);
        for (std::string& part : parts) {
          if (!key.is_path || part.empty() || part == key.default_value) continue;
          part = (file.parent_path() / part).lexically_normal().string();
        }
        add_values(values, file.string(), key, parts, is_list);
      }
    }
  } catch (const po::invalid_config_file_syntax& error) {
    throw InputError(file.string(), "not a job file", "lines of 'key = value' in [sections]",
                     "'" + error.tokens() + "'");
  } catch (const po::error& error) {
    throw InputError(file.string(), "not a job file", "lines of 'key = value' in [sections]",
                     error.what());
  }
  return values;
}

}  // namespace

JobValues read_job_values(const std::filesystem::path& file, const std::vector<JobOption>& options,
                          const std::set<std::string>& lists) {
  JobValues values = {
      .where = file.empty() ? kCommandLine : file.string(), .file_text = {}, .by_key = {}};
  if (!file.empty()) {
    values.file_text = read_text(file);
    values.by_key = parse_file(file, values.file_text, lists);
  }
  ValuesByKey overrides;
  for (const JobOption& option : options) {
    const JobKey& key = expect_key(kCommandLine, option.key);
    const bool is_list = holds_list(key, lists);
    add_values(overrides, kCommandLine, key, split(option.value, is_list), is_list);
  }
  for (auto& [name, given] : overrides) values.by_key[name] = std::move(given);
  return values;
}

Job make_job(const JobValues& values) {
  Job job;
  job.file_text = values.file_text;
  for (const JobKey& key : job_keys()) {
    const auto given = values.by_key.find(key.name);
    if (given != values.by_key.end()) {
      key.store(job, given->second);
    } else if (key.required) {
      throw InputError(values.where, "missing key '" + key.name + "'", key.argument, "nothing");
    } else if (!key.default_value.empty()) {
      key.store(job, split(key.default_value, key.is_list));
    }
  }
  return job;
}

Job read_job(const std::filesystem::path& file, const std::vector<JobOption>& options) {
  return make_job(read_job_values(file, options));
}

std::string describe_job_keys() {
  std::string text;
  std::string section;
  for (const JobKey& key : job_keys()) {
    const std::size_t dot = key.name.find('.');
    if (key.name.substr(0, dot) != section) {
      section = key.name.substr(0, dot);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    const std::string left = fmt::format("{} = {}", key.name.substr(dot + 1), key.argument);
    const std::string note = key.required                ? "required"
                             : key.default_value.empty() ? "optional"
                                                         : "default " + key.default_value;
    text += fmt::format("  {:<28} {}\n", left, note);
    std::istringstream words(key.help);
    std::string line;
    for (std::string word; words >> word;) {
      if (line.size() + 1 + word.size() > 88) {
        text += fmt::format("      {}\n", line);
        line.clear();
      }
      line += (line.empty() ? "" : " ") + word;
    }
    text += fmt::format("      {}\n", line);
  }
  return text;
}

bool is_job_key(const std::string& key) { return find_key(key) != nullptr; }

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  // Levenshtein distance, one row of the table at a time.
  const auto distance = [&word](const std::string& other) {
    std::vector<std::size_t> row(other.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i + 1;
      for (std::size_t j = 0; j < other.size(); ++j) {
        const std::size_t replaced = diagonal + (word[i] == other[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, replaced});
      }
    }
    return row.back();
  };
  return *std::min_element(
      candidates.begin(), candidates.end(),
      [&](const std::string& a, const std::string& b) { return distance(a) < distance(b); });
}

std::string nearest_job_key(const std::string& word) {
  std::vector<std::string> names;
  for (const JobKey& key : job_keys()) names.push_back(key.name);
  return nearest(word.substr(0, 256), names);
}

}  // namespace fp8cal
