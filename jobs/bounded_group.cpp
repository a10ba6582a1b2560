#include "jobs/bounded_group.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

constexpr std::size_t kMaxNameBytes = 256;  // "model.layers.79.self_attn.q_proj" has 32
constexpr std::size_t kMaxAttributes = 4096;
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 24;  // a whole job file is one string
constexpr std::size_t kLinkBytes = 512;  // a link and what a caller keeps for its name, about

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void require_plain(const Handle& where, const char* what, const std::string& name) {
  if (is_plain_name(name)) return;
  throw InputError(
      hdf5::describe(where), what,
      fmt::format("a name of letters, digits, '_', '.' and '-', at most {} bytes", kMaxNameBytes),
      "'" + name + "'");
}

std::string text_of(const hdf5::Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Attribute read_text(const Handle& attribute, const hdf5::Shape& shape) {
  std::vector<std::string> strings = hdf5::read_strings(attribute, kMaxTextBytes);
  for (const std::string& one : strings) {
    if (one.find('\0') != std::string::npos) {
      throw InputError(hdf5::describe(attribute), "value", "text", "a NUL byte");
    }
  }
  if (shape.empty()) return std::move(strings.front());
  return strings;
}

Attribute read_attribute(const Handle& attribute) {
  const hdf5::Shape shape = hdf5::shape_of(attribute, kMaxTextBytes);
  const H5T_class_t kind = FP8CAL_HDF5(H5Tget_class(hdf5::type_of(attribute).id()));
  const std::size_t dimensions = kind == H5T_STRING ? 1 : 0;
  if (shape.size() > dimensions) {
    throw InputError(hdf5::describe(attribute), "shape", "one number, one string or a list of them",
                     text_of(shape));
  }
  if (kind == H5T_STRING) return read_text(attribute, shape);
  if (kind == H5T_INTEGER) return hdf5::read_numbers<std::int64_t>(attribute, shape).front();
  return hdf5::read_numbers<double>(attribute, shape).front();
}

std::size_t bytes_of(const Attribute& attribute) {
  std::size_t bytes = sizeof(Attribute);
  if (const auto* text = std::get_if<std::string>(&attribute)) bytes += text->size();
  if (const auto* list = std::get_if<std::vector<std::string>>(&attribute)) {
    for (const std::string& one : *list) bytes += sizeof(std::string) + one.size();
  }
  return bytes;
}

Attributes read_attributes(const Handle& object, MemoryBudget& budget) {
  Attributes attributes;
  for (const std::string& name : hdf5::attribute_names(object, kMaxAttributes)) {
    require_plain(object, "attribute", name);
    const Handle attribute(FP8CAL_HDF5(H5Aopen(object.id(), name.c_str(), H5P_DEFAULT)));
    Attribute value = read_attribute(attribute);
    budget.take(1, kLinkBytes + bytes_of(value), attribute);
    attributes.emplace(name, std::move(value));
  }
  return attributes;
}

void require_units(const Handle& dataset, std::string_view units, MemoryBudget& budget) {
  Attributes expected;
  if (!units.empty()) expected.emplace("units", std::string(units));
  if (read_attributes(dataset, budget) == expected) return;
  throw InputError(hdf5::describe(dataset), "attributes",
                   units.empty() ? "none" : fmt::format("units = {} alone", units), "others");
}

}  // namespace

bool is_plain_name(std::string_view name) {
  const auto may_follow = [](char c) { return is_word(c) || c == '.' || c == '-'; };
  return !name.empty() && name.size() <= kMaxNameBytes && is_word(name.front()) &&
         std::ranges::all_of(name, may_follow);
}

void MemoryBudget::take(std::size_t count, std::size_t bytes, const Handle& where) {
  if (count > left_ / bytes) {
    throw InputError(hdf5::describe(where), "size", "less in all than a result can need",
                     "more than the memory set aside for one");
  }
  left_ -= count * bytes;
}

BoundedGroup::BoundedGroup(const Handle& parent, const std::string& name, std::size_t max_links,
                           MemoryBudget& budget)
    : group_(hdf5::open_group(parent, name)),
      links_(hdf5::hard_links(group_, max_links)),
      budget_(budget) {
  budget_.take(links_.size() + 1, kLinkBytes, group_);
  for (const hdf5::Link& link : links_) require_plain(group_, "link", link.name);
}

bool BoundedGroup::has(std::string_view name) const {
  return std::ranges::binary_search(links_, name, {}, &hdf5::Link::name);
}

void BoundedGroup::require_only(std::initializer_list<std::string_view> names) const {
  for (const hdf5::Link& link : links_) {
    if (std::ranges::find(names, link.name) == names.end()) {
      throw InputError(hdf5::describe(group_), "contents",
                       fmt::format("{} only", fmt::join(names, ", ")), link.name);
    }
  }
}

hdf5::Shape BoundedGroup::shape(const std::string& name, std::size_t max_elements) const {
  return hdf5::shape_of(hdf5::open_dataset(group_, name), max_elements);
}

template <class T>
std::vector<T> BoundedGroup::numbers(const std::string& name, const hdf5::Shape& shape,
                                     std::string_view units) const {
  const Handle dataset = hdf5::open_dataset(group_, name);
  const hdf5::Shape found =
      hdf5::shape_of(dataset, std::numeric_limits<std::size_t>::max() / sizeof(T));
  if (found != shape) {
    throw InputError(hdf5::describe(dataset), "shape", text_of(shape), text_of(found));
  }
  budget_.take(hdf5::count_of(shape), sizeof(T), dataset);
  std::vector<T> values = hdf5::read_numbers<T>(dataset, shape);
  require_units(dataset, units, budget_);
  return values;
}

template <class T>
std::vector<T> BoundedGroup::list(const std::string& name, std::size_t max_elements,
                                  std::string_view units) const {
  const hdf5::Shape found = shape(name, max_elements);
  if (found.size() != 1) {
    throw InputError(describe(name), "shape", "one dimension", text_of(found));
  }
  return numbers<T>(name, found, units);
}

template std::vector<std::uint8_t> BoundedGroup::numbers(const std::string&, const hdf5::Shape&,
                                                         std::string_view) const;
template std::vector<std::uint32_t> BoundedGroup::numbers(const std::string&, const hdf5::Shape&,
                                                          std::string_view) const;
template std::vector<std::uint64_t> BoundedGroup::numbers(const std::string&, const hdf5::Shape&,
                                                          std::string_view) const;
template std::vector<float> BoundedGroup::numbers(const std::string&, const hdf5::Shape&,
                                                  std::string_view) const;
template std::vector<double> BoundedGroup::numbers(const std::string&, const hdf5::Shape&,
                                                   std::string_view) const;
template std::vector<std::uint32_t> BoundedGroup::list(const std::string&, std::size_t,
                                                       std::string_view) const;
template std::vector<float> BoundedGroup::list(const std::string&, std::size_t,
                                               std::string_view) const;

std::vector<std::string> BoundedGroup::strings(const std::string& name,
                                               std::size_t max_bytes) const {
  const Handle dataset = hdf5::open_dataset(group_, name);
  const hdf5::Shape found = hdf5::shape_of(dataset, max_bytes);
  if (found.size() != 1) {
    throw InputError(hdf5::describe(dataset), "shape", "one dimension", text_of(found));
  }
  std::vector<std::string> values = hdf5::read_strings(dataset, max_bytes);
  budget_.take(1, kLinkBytes + bytes_of(values), dataset);
  require_units(dataset, {}, budget_);
  return values;
}

Attributes BoundedGroup::attributes() const { return read_attributes(group_, budget_); }

std::string BoundedGroup::describe(const std::string& name) const {
  return hdf5::describe(group_) + "/" + name;
}

}  // namespace fp8cal
