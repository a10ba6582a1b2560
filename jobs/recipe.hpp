#pragma once

#include <string>
#include <vector>

namespace fp8cal {

/// How a recipe quantizes the linear layers; lm_head, embeddings and norms stay BF16.
struct Recipe {
  std::string name;
  bool weight_per_channel;  ///< one scale an output row; else one a tensor
  bool input_per_token;     ///< a scale a token at run time; else one static scale a tensor
};

/// Throws InputError that lists the known recipes.
const Recipe& find_recipe(const std::string& name);

/// Names of all recipes.
std::vector<std::string> recipe_names();

}  // namespace fp8cal
