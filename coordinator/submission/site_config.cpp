#include "coordinator/submission/site_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <set>
#include <sstream>

#include "coordinator/submission/text_checks.hpp"
#include "jobs/byte_size.hpp"
#include "jobs/error.hpp"
#include "jobs/file.hpp"
#include "jobs/job.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

namespace po = boost::program_options;

constexpr std::uint64_t kMaxBytes = 1 << 16;

[[noreturn]] void refuse(const std::string& key, const std::string& expected,
                         const std::string& found) {
  throw InputError("site." + key, "bad value", expected, in_quotes(found));
}

int number(const std::string& key, const std::string& text, std::uint64_t min, std::uint64_t max) {
  if (const auto value = parse_whole(text, min, max)) return static_cast<int>(*value);
  refuse(key, fmt::format("a whole number from {} to {}", min, max), text);
}

std::uint64_t bytes(const std::string& key, const std::string& text) {
  if (const auto size = parse_byte_size(text)) return *size;
  refuse(key, "a size such as 80GiB", text);
}

std::string choice(const std::string& key, const std::string& text,
                   const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return text;
  refuse(key, fmt::format("one of {}", fmt::join(choices, ", ")), text);
}

double tflops(const std::string& key, const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && last == end && value > 0 && value <= 1e6) return value;
  refuse(key, "a number above 0, to 1000000", text);
}

struct Key {
  const char* name;
  void (*store)(SiteConfig& site, const std::string& key, const std::string& text);
};

using Text = const std::string&;

constexpr Key kKeys[] = {
    {"modules", [](SiteConfig& site, Text, Text text) { site.modules = words_of(text); }},
    {"container", [](SiteConfig& site, Text, Text text) { site.container = words_of(text); }},
    {"program", [](SiteConfig& site, Text, Text text) { site.program = text; }},
    {"launcher",
     [](SiteConfig& site, Text key, Text text) {
       site.launcher = choice(key, text, {"mpirun", "srun"});
     }},
    {"launcher_options",
     [](SiteConfig& site, Text, Text text) { site.launcher_options = words_of(text); }},
    {"bind",
     [](SiteConfig& site, Text key, Text text) {
       site.bind = choice(key, text, {"auto", "none"});
     }},
    {"gpu_memory",
     [](SiteConfig& site, Text key, Text text) { site.gpu_memory = bytes(key, text); }},
    {"gpu_tflops",
     [](SiteConfig& site, Text key, Text text) { site.gpu_tflops = tflops(key, text); }},
    {"memory", [](SiteConfig& site, Text key, Text text) { site.memory = bytes(key, text); }},
    {"partition", [](SiteConfig& site, Text, Text text) { site.partition = text; }},
    {"account", [](SiteConfig& site, Text, Text text) { site.account = text; }},
    {"time", [](SiteConfig& site, Text, Text text) { site.time = text; }},
    {"retries",
     [](SiteConfig& site, Text key, Text text) { site.retries = number(key, text, 0, 1000); }},
    {"warning",
     [](SiteConfig& site, Text key, Text text) { site.warning = number(key, text, 10, 3600); }},
};

const Key& expect_key(const std::string& where, const std::string& full_name) {
  std::vector<std::string> names;
  for (const Key& key : kKeys) {
    names.push_back(std::string("site.") + key.name);
    if (names.back() == full_name) return key;
  }
  throw InputError(
      where, "unknown key",
      fmt::format("one of slurm/site.conf, perhaps '{}'", nearest(full_name.substr(0, 256), names)),
      in_quotes(full_name));
}

}  // namespace

SiteConfig read_site_config(const std::filesystem::path& file) {
  SiteConfig site;
  const std::string where = file.string();
  std::set<std::string> given;
  try {
    std::istringstream stream(read_text_file(file, kMaxBytes));
    const auto parsed = po::parse_config_file(stream, po::options_description(),
                                              /*allow_unregistered=*/true);
    for (const auto& option : parsed.options) {
      const Key& key = expect_key(where, option.string_key);
      const std::string text = option.value.empty() ? "" : trimmed(option.value.front());
      if (text.empty()) {
        throw InputError(where, "key '" + option.string_key + "' has no value", "one", "nothing");
      }
      if (!given.insert(key.name).second) {
        throw InputError(where, "key '" + option.string_key + "' given twice", "it once",
                         in_quotes(text));
      }
      key.store(site, key.name, text);
    }
  } catch (const po::error& error) {
    throw InputError(where, "no site file", "lines of 'key = value' in the section [site]",
                     first_line(error.what()));
  }
  return site;
}

}  // namespace fp8cal
