#include "coordinator/submission/cluster.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <string_view>

#include "coordinator/submission/slurm_time.hpp"
#include "coordinator/submission/text_checks.hpp"
#include "jobs/byte_size.hpp"
#include "jobs/error.hpp"
#include "jobs/json.hpp"

namespace fp8cal {
namespace {

struct Column {
  const char* name;
  std::size_t width;
};

constexpr Column kColumns[] = {
    {"Partition", 256}, {"Nodes", 32}, {"Memory", 32}, {"Time", 32}, {"Gres", 4096}};
constexpr std::uint64_t kMaxNodes = 1 << 24;
constexpr std::uint64_t kMaxMebibytes = std::uint64_t{1} << 40;
constexpr std::uint64_t kMaxGpus = 1 << 16;

std::optional<std::uint64_t> parse_time_limit(const std::string& text) {
  if (text == "infinite" || text == "n/a") return std::nullopt;
  if (const auto seconds = parse_slurm_time(text)) return seconds;
  throw Error(ExitCode::failed, "");
}

NodeGroup parse_group(std::string_view line) {
  std::vector<std::string> cells;
  for (const Column& column : kColumns) {
    cells.push_back(trimmed(line.substr(0, column.width)));
    line.remove_prefix(std::min(column.width, line.size()));
  }
  const auto expect = [](std::optional<std::uint64_t> number) {
    if (!number) throw Error(ExitCode::failed, "");
    return *number;
  };
  NodeGroup group;
  group.is_default = cells[0].ends_with('*');
  group.partition = cells[0].substr(0, cells[0].size() - (group.is_default ? 1 : 0));
  group.nodes = expect(parse_whole(cells[1], 0, kMaxNodes));
  if (cells[2].ends_with('+')) cells[2].pop_back();  // the least of several
  group.memory = expect(parse_whole(cells[2], 0, kMaxMebibytes)) << 20;
  group.time_limit = parse_time_limit(cells[3]);
  group.gpus = expect(gpus_of_gres(cells[4]));
  if (group.partition.empty()) throw Error(ExitCode::failed, "");
  return group;
}

/// The items between commas that stand in no parentheses, and without what parentheses hold.
std::vector<std::string> gres_items(const std::string& gres) {
  std::vector<std::string> items(1);
  int depth = 0;
  for (const char c : gres) {
    if (c == '(') ++depth;
    if (depth == 0 && c == ',') items.emplace_back();
    if (depth == 0 && c != ',') items.back() += c;
    if (c == ')' && depth > 0) --depth;
  }
  return items;
}

std::uint64_t nodes_of(const std::vector<NodeGroup>& groups) {
  std::uint64_t nodes = 0;
  for (const NodeGroup& group : groups) nodes += group.nodes;
  return nodes;
}

/// Leaves the groups whose nodes have at least `needed` of something, of which they have `has`.
void keep_those_with(std::vector<NodeGroup>& groups, std::uint64_t NodeGroup::*has,
                     std::uint64_t needed) {
  std::erase_if(groups, [&](const NodeGroup& group) { return group.*has < needed; });
}

std::uint64_t most(const std::vector<NodeGroup>& groups, std::uint64_t NodeGroup::*has) {
  std::uint64_t most = 0;
  for (const NodeGroup& group : groups) most = std::max(most, group.*has);
  return most;
}

void check_number_of_nodes(const std::vector<NodeGroup>& groups, const NodeRequest& request,
                           const std::string& which) {
  const std::uint64_t nodes = nodes_of(groups);
  if (request.nodes <= nodes) return;
  throw InputError("--nodes", "more than partition '" + groups.front().partition + "' has" + which,
                   fmt::format("at most {}", nodes), fmt::to_string(request.nodes));
}

}  // namespace

std::vector<std::string> sinfo_arguments() {
  std::string format;
  for (const Column& column : kColumns) {
    format += fmt::format("{}{}:{}", format.empty() ? "" : ",", column.name, column.width);
  }
  return {"sinfo", "--noheader", "--all", "--exact", "--noconvert", "--Format=" + format};
}

std::vector<NodeGroup> parse_node_groups(const std::string& text) {
  std::vector<NodeGroup> groups;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (trimmed(line).empty()) continue;
    try {
      groups.push_back(parse_group(line));
    } catch (const Error&) {
      throw Error(
          ExitCode::failed,
          fmt::format("sinfo: line {}: expected a partition, its nodes, MiB of memory, time "
                      "limit and Gres, found {}",
                      groups.size() + 1,
                      in_quotes(fmt::to_string(fmt::join(words_of(line), " ")))));
    }
  }
  return groups;
}

std::optional<std::uint64_t> gpus_of_gres(const std::string& gres) {
  std::uint64_t gpus = 0;
  for (const std::string& item : gres_items(gres)) {
    if (item != "gpu" && !item.starts_with("gpu:")) continue;
    const std::string count = item.substr(item.rfind(':') + 1);
    // "gpu" and "gpu:h100" are one GPU.
    const bool is_number = !count.empty() && count.find_first_not_of("0123456789") == count.npos;
    const auto number = is_number ? parse_whole(count, 0, kMaxGpus) : 1;
    if (!number) return std::nullopt;
    gpus += *number;
  }
  return gpus;
}

std::vector<NodeGroup> partition_of(const std::vector<NodeGroup>& groups, const std::string& name) {
  std::vector<NodeGroup> chosen;
  std::set<std::string> names;
  for (const NodeGroup& group : groups) {
    names.insert(group.partition);
    if (name.empty() ? group.is_default : group.partition == name) chosen.push_back(group);
  }
  if (!chosen.empty()) return chosen;
  throw InputError(
      "--partition",
      name.empty() ? "none given, and this cluster has no default" : "unknown partition",
      fmt::format("one of {}", fmt::join(names, ", ")), name.empty() ? "none" : in_quotes(name));
}

void check_request(const std::vector<NodeGroup>& partition, const NodeRequest& request) {
  std::vector<NodeGroup> groups = partition;
  const std::string where = "partition '" + groups.front().partition + "'";
  check_number_of_nodes(groups, request, "");
  const std::uint64_t gpus = most(groups, &NodeGroup::gpus);
  if (request.gpus > gpus) {
    throw InputError(
        "--gpus-per-node", "more than any node of " + where + " has",
        gpus == 0 ? "runtime.backend = cpu, since there are none" : fmt::format("at most {}", gpus),
        fmt::to_string(request.gpus));
  }
  keep_those_with(groups, &NodeGroup::gpus, request.gpus);
  check_number_of_nodes(groups, request, fmt::format(" with {} GPUs", request.gpus));
  const std::uint64_t memory = most(groups, &NodeGroup::memory);
  if (request.memory > memory) {
    throw InputError("site.memory", "the job needs more than any such node of " + where + " has",
                     "at most " + format_byte_size(memory), format_byte_size(request.memory));
  }
  keep_those_with(groups, &NodeGroup::memory, request.memory);
  check_number_of_nodes(groups, request, " with " + format_byte_size(request.memory));
  const std::optional<std::uint64_t> limit = groups.front().time_limit;
  if (limit && request.time && *request.time > *limit) {
    throw InputError("--time", "longer than " + where + " allows",
                     fmt::format("at most {} minutes", *limit / 60),
                     fmt::format("{} minutes", *request.time / 60));
  }
}

}  // namespace fp8cal
