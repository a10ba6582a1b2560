#include "jobs/recipe.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jobs/error.hpp"

namespace fp8cal {
namespace {

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> all = {
      {.name = "fp8-static", .weight_per_channel = false, .input_per_token = false},
      {.name = "fp8-channel", .weight_per_channel = true, .input_per_token = false},
      {.name = "fp8-dynamic", .weight_per_channel = true, .input_per_token = true},
  };
  return all;
}

}  // namespace

const Recipe& find_recipe(const std::string& name) {
  for (const Recipe& recipe : recipes()) {
    if (recipe.name == name) return recipe;
  }
  throw InputError("scales.recipe", "unknown recipe",
                   fmt::format("one of {}", fmt::join(recipe_names(), ", ")), "'" + name + "'");
}

std::vector<std::string> recipe_names() {
  std::vector<std::string> names;
  for (const Recipe& recipe : recipes()) names.push_back(recipe.name);
  return names;
}

}  // namespace fp8cal
