#include "jobs/recipe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

constexpr const char* kNone = "none";

const std::vector<Recipe>& linear_recipes() {
  using Input = Recipe::Input;
  static const std::vector<Recipe> all = {
      {"fp8-static", false, Input::per_tensor, {}},
      {"fp8-channel", true, Input::per_tensor, {}},
      {"fp8-dynamic", true, Input::per_token, {}},
      {"fp8-weight-only", true, Input::bf16, {}},
  };
  return all;
}

struct NamedKv {
  const char* name;
  KvFormat format;
};

constexpr NamedKv kKvFormats[] = {{"e4m3", {Fp8Format::e4m3, false}},
                                  {"e5m2", {Fp8Format::e5m2, false}},
                                  {"e4m3-head", {Fp8Format::e4m3, true}},
                                  {"e5m2-head", {Fp8Format::e5m2, true}}};

}  // namespace

Recipe find_recipe(const std::string& name) {
  for (const Recipe& linear : linear_recipes()) {
    if (linear.name == name) return linear;
    for (const NamedKv& kv : kKvFormats) {
      if (linear.name + kKvMark + kv.name == name) {
        return {name, linear.weight_per_channel, linear.input, kv.format};
      }
    }
  }
  throw InputError(
      "recipe", "unknown recipe",
      fmt::format("one of {}, with {}{{{}}} or without", fmt::join(recipe_names(), ", "), kKvMark,
                  fmt::join(kv_names().begin() + 1, kv_names().end(), ", ")),
      "'" + name + "'");
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const Recipe& recipe : linear_recipes()) names.push_back(recipe.name);
  return names;
}

const std::vector<std::string>& kv_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all = {kNone};
    for (const NamedKv& kv : kKvFormats) all.push_back(kv.name);
    return all;
  }();
  return names;
}

std::vector<std::string> combine(const std::vector<std::string>& recipes,
                                 const std::vector<std::string>& kv) {
  std::vector<std::string> names;
  for (const std::string& recipe : recipes) {
    for (const std::string& one : kv) {
      names.push_back(one == kNone ? recipe : recipe + kKvMark + one);
    }
  }
  return names;
}

}  // namespace fp8cal
