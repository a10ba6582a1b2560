#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "jobs/error.hpp"
#include "jobs/hdf5.hpp"

namespace fp8cal::hdf5 {
namespace {

template <class Item>
struct Listing {
  std::size_t max_items;
  std::vector<Item> items;
  std::optional<std::string> not_hard;  // the first link of another kind
};

// HDF5 calls these from C. A value other than 0 ends the iteration.

herr_t add_link(hid_t, const char* name, const H5L_info_t* info, void* listing) noexcept {
  auto& found = *static_cast<Listing<Link>*>(listing);
  if (info->type != H5L_TYPE_HARD) {
    found.not_hard = name;
    return 1;
  }
  // An address up to HDF5 1.10, a token from 1.12 on.
  found.items.push_back(
      {name, std::string(reinterpret_cast<const char*>(&info->u), sizeof info->u)});
  return found.items.size() > found.max_items;
}

herr_t add_name(hid_t, const char* name, const H5A_info_t*, void* listing) noexcept {
  auto& found = *static_cast<Listing<std::string>*>(listing);
  found.items.emplace_back(name);
  return found.items.size() > found.max_items;
}

template <class Item>
void refuse_excess(const Handle& object, const char* what, const Listing<Item>& listing) {
  if (listing.items.size() <= listing.max_items) return;
  throw InputError(describe(object), what, fmt::format("at most {}", listing.max_items), "more");
}

}  // namespace

std::vector<Link> hard_links(const Handle& group, std::size_t max_links) {
  Listing<Link> found{max_links, {}, {}};
  FP8CAL_HDF5(H5Literate(group.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_link, &found));
  if (found.not_hard) {
    throw InputError(describe(group), "link", "hard links only",
                     *found.not_hard + ", another kind of link");
  }
  refuse_excess(group, "links", found);
  std::ranges::sort(found.items, {}, &Link::name);
  return std::move(found.items);
}

std::vector<std::string> attribute_names(const Handle& object, std::size_t max_names) {
  Listing<std::string> found{max_names, {}, {}};
  FP8CAL_HDF5(H5Aiterate2(object.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_name, &found));
  refuse_excess(object, "attributes", found);
  std::ranges::sort(found.items);
  return std::move(found.items);
}

Handle open_group(const Handle& location, const std::string& name) {
  silence();
  Handle group(H5Gopen2(location.id(), name.c_str(), H5P_DEFAULT));
  if (group.id() < 0) {
    H5Eclear2(H5E_DEFAULT);
    throw InputError(describe(location), "group", name, "no readable group of that name");
  }
  return group;
}

}  // namespace fp8cal::hdf5
