#include "coordinator/audit/object_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "coordinator/audit/flow_order.hpp"
#include "jobs/content_digest.hpp"
#include "jobs/result_objects.hpp"
#include "jobs/result_reader.hpp"

namespace fp8cal {
namespace {

constexpr const char* kDigestAttribute = "attribute content_digest";
constexpr const char* kHash = "SHA-256";
const std::string kTableNames = std::string("/provenance/") + kObjectNames;
const std::string kTableDigests = std::string("/provenance/") + kObjectDigests;

using Table = std::map<std::string, std::string>;  // path -> SHA-256

std::optional<Table> read_table(const hdf5::Handle& file, Findings& findings) {
  try {
    const auto columns = read_object_table(file);
    if (!columns) return std::nullopt;
    Table table;
    for (std::size_t i = 0; i < columns->paths.size(); ++i) {
      table.emplace(columns->paths[i], columns->sha256[i]);
    }
    return table;
  } catch (const Error& error) {
    findings.add({kTableDigests, "content", "a table of object digests", error.what()});
    return std::nullopt;
  }
}

/// True where a group above `path` cannot be read.
bool below_a_problem(const std::string& path, const std::vector<ObjectDigest>& objects) {
  return std::ranges::any_of(objects, [&](const ObjectDigest& one) {
    return !one.problem.empty() && path.starts_with(one.path + "/");
  });
}

/// Of each object's names the one that comes first in the order of data flow, by first_name: of the
/// modules that read one input, the one that is computed first.
std::map<std::size_t, std::string> names_of(const std::vector<ObjectDigest>& objects) {
  std::map<std::size_t, std::string> names;
  for (const ObjectDigest& one : objects) {
    std::string& name = names.try_emplace(one.first_name, one.path).first->second;
    if (flow_order(one.path) < flow_order(name)) name = one.path;
  }
  return names;
}

bool is_listed_as_is(const ObjectDigest& object, const Table& table) {
  const auto entry = table.find(object.path);
  return entry != table.end() && entry->second == object.sha256;
}

/// How the objects differ from the table.
std::vector<Finding> differences(const std::vector<ObjectDigest>& objects, const Table& table) {
  std::vector<Finding> found;
  Table left = table;
  for (const ObjectDigest& one : objects) {
    const auto entry = table.find(one.path);
    left.erase(one.path);
    if (!one.problem.empty() || is_listed_as_is(one, table)) continue;
    if (entry == table.end()) {
      found.push_back({one.path, "object", "none of that name", "one"});
    } else {
      found.push_back({one.path, kHash, entry->second, one.sha256});
    }
  }
  for (const auto& [path, digest] : left) {
    if (below_a_problem(path, objects)) continue;
    found.push_back({path, "object", "one of that name", "none"});
  }
  return found;
}

/// Without those of other names of an object whose own name is among them.
void leave_one_name(std::vector<Finding>& findings, const std::vector<ObjectDigest>& objects) {
  const std::map<std::size_t, std::string> names = names_of(objects);
  std::map<std::string, std::string> main_names;  // another name -> the object's
  for (const ObjectDigest& one : objects) {
    const std::string& name = names.at(one.first_name);
    if (name != one.path) main_names.emplace(one.path, name);
  }
  std::set<std::string> told;
  for (const Finding& one : findings) told.insert(one.object);
  std::erase_if(findings, [&](const Finding& one) {
    const auto name = main_names.find(one.object);
    return name != main_names.end() && told.contains(name->second);
  });
}

/// The objects are as written: what differs is the table.
void add_table_damage(const std::vector<ObjectDigest>& objects, const Table& table,
                      Findings& findings) {
  for (const Finding& one : differences(objects, table)) {
    findings.add({one.what == kHash ? kTableDigests : kTableNames, "entry " + one.object, one.found,
                  one.expected});
  }
}

void add_changes(const std::vector<ObjectDigest>& objects, const std::optional<Table>& table,
                 const ObjectCheck& check, Findings& findings) {
  std::vector<Finding> found;
  for (const ObjectDigest& one : objects) {
    if (one.problem.empty()) continue;
    found.push_back({one.path, "content", "what HDF5 can read", one.problem});
  }
  if (table) {
    for (Finding& one : differences(objects, *table)) found.push_back(std::move(one));
  }
  leave_one_name(found, objects);
  std::ranges::stable_sort(found, {}, [](const Finding& one) { return flow_order(one.object); });
  const bool named = !found.empty();
  for (Finding& one : found) findings.add(std::move(one));
  if (named) return;
  if (table) {  // every object is as written
    findings.add({"/", kDigestAttribute, check.computed, check.stored});
  } else {
    findings.add({"/", "content digest", check.stored,
                  check.computed + "; cannot say which object changed, without object digests"});
  }
}

}  // namespace

ObjectCheck check_objects(const hdf5::Handle& file, Findings& findings) {
  ObjectCheck check;
  try {
    check.stored = stored_content_digest(file);
    const ContentDigests digests = content_digests(file);
    check.computed = digests.content;
    check.objects = digests.objects.size();
    const std::optional<Table> table = read_table(file, findings);
    check.has_table = table.has_value();
    if (check.computed != check.stored) {
      add_changes(digests.objects, table, check, findings);
    } else if (table) {
      add_table_damage(digests.objects, *table, findings);
    }
  } catch (const Error& error) {
    findings.add({"/", "content", "objects that the content digest covers", error.what()});
  }
  return check;
}

}  // namespace fp8cal
