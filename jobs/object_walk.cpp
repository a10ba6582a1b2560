#include "jobs/object_walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

using hdf5::Handle;

constexpr std::size_t kMaxDepth = 16;

struct Link {
  std::string name;
  H5L_type_t type;
  std::string target;  // opaque: equal for links that lead to one object
};

herr_t add_link(hid_t, const char* name, const H5L_info_t* info, void* links) noexcept {
  auto& found = *static_cast<std::vector<Link>*>(links);
  // An address up to HDF5 1.10, a token from 1.12 on.
  found.push_back(
      {name, info->type, std::string(reinterpret_cast<const char*>(&info->u), sizeof info->u)});
  return found.size() > kMaxObjectNames;  // 1 ends the iteration
}

void require(bool holds, const Handle& where, const char* what, const std::string& expected,
             const std::string& found) {
  if (!holds) throw InputError(hdf5::describe(where), what, expected, found);
}

class Walk {
 public:
  std::vector<WalkedObject> run(const Handle& file) {
    add(file, "/", "");
    const Handle root(FP8CAL_HDF5(H5Oopen(file.id(), "/", H5P_DEFAULT)));
    descend(root, "/", 1);
    std::ranges::sort(found_, {}, [](const Found& one) { return one.object.path; });
    return with_first_names();
  }

 private:
  struct Found {
    WalkedObject object;
    std::string target;
  };

  void descend(const Handle& group, const std::string& prefix, std::size_t depth) {
    require(depth <= kMaxDepth, group, "depth", fmt::format("at most {} levels", kMaxDepth),
            "more");
    std::vector<Link> links;
    FP8CAL_HDF5(H5Literate(group.id(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr, add_link, &links));
    for (const Link& link : links) {
      const std::string path = prefix + link.name;
      if (path == "/provenance" || path == "/profile") continue;
      require(link.type == H5L_TYPE_HARD, group, "link", "hard links only",
              fmt::format("{}, another kind of link", link.name));
      // HDF5 would take such a name for a path, and so open something else.
      require(link.name != "." && link.name.find('/') == std::string::npos, group, "link",
              "a plain name", link.name);
      visit(group, link, path, depth);
    }
  }

  void visit(const Handle& group, const Link& link, const std::string& path, std::size_t depth) {
    const std::size_t index = add(group, path, link.target);
    try {
      const Handle object(FP8CAL_HDF5(H5Oopen(group.id(), link.name.c_str(), H5P_DEFAULT)));
      if (FP8CAL_HDF5(H5Iget_type(object.id())) == H5I_GROUP)
        descend(object, path + "/", depth + 1);
    } catch (const InputError&) {
      throw;
    } catch (const Error& error) {
      found_[index].object.problem = error.what();
    }
  }

  std::size_t add(const Handle& group, const std::string& path, const std::string& target) {
    path_bytes_ += path.size();
    require(found_.size() < kMaxObjectNames && path_bytes_ <= kMaxArrayBytes, group, "size",
            fmt::format("at most {} names in the file", kMaxObjectNames), "more");
    Found& found = found_.emplace_back();
    found.object.path = path;
    found.target = target;
    return found_.size() - 1;
  }

  std::vector<WalkedObject> with_first_names() {
    std::map<std::string, std::size_t> firsts;
    std::vector<WalkedObject> objects;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      found_[i].object.first_name = firsts.try_emplace(found_[i].target, i).first->second;
      objects.push_back(std::move(found_[i].object));
    }
    return objects;
  }

  std::vector<Found> found_;
  std::size_t path_bytes_ = 0;
};

}  // namespace

std::vector<WalkedObject> walk_objects(const Handle& file) { return Walk().run(file); }

}  // namespace fp8cal
