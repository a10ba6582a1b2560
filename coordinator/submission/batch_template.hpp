#pragma once

#include <string>
#include <string_view>

namespace fp8cal {

/// What takes the place of a template's lines @DIRECTIVES@, @SETUP@ and @SETTINGS@: lines, each
/// with its end. A fourth, @BINDING@, which may be absent, is the script that binds a rank to its
/// GPU.
struct ScriptParts {
  std::string directives;  ///< #SBATCH lines
  std::string setup;       ///< of the site
  std::string settings;    ///< assignments that the rest of the script works with
};

/// name: of the template, for messages. Throws InputError where one of the three is not there
/// exactly once as a line of its own, for another line of this kind, and where a command stands
/// before @DIRECTIVES@, after which sbatch reads no directives.
std::string render_template(const std::string& name, std::string_view text,
                            const ScriptParts& parts);

/// The templates of slurm/, compiled in.
std::string_view run_template();
std::string_view collect_template();
std::string_view binding_script();

}  // namespace fp8cal
