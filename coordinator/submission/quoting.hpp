#pragma once

#include <string>
#include <vector>

namespace fp8cal {

/// `text` as one word of bash that stands for these bytes and nothing else. Throws InputError where
/// it holds a control character: no name that a job needs has one, and logs and tables that show it
/// would break.
std::string bash_word(const std::string& text);

/// "name=('a' 'b')".
std::string bash_array(const std::string& name, const std::vector<std::string>& words);

/// "#SBATCH --name=value\n", quoted for sbatch's own parser of such lines: quotes of both kinds
/// group, a backslash takes the next character as it is, and # begins a comment (get_argument in
/// Slurm's src/sbatch/opt.c). Throws InputError as bash_word does, and where the value is so long
/// that old versions of sbatch, which copy it to 8 KiB, would break.
std::string sbatch_line(const std::string& name, const std::string& value);

/// A path as Slurm's file name patterns (%j and others) have it. Throws InputError for one with a
/// backslash, with which Slurm would fill in no pattern of the whole name.
std::string in_file_pattern(const std::string& path);

}  // namespace fp8cal
