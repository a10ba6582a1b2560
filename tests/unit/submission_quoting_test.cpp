#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "coordinator/child_process.hpp"
#include "coordinator/submission/quoting.hpp"
#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

const std::vector<std::string>& hostile_texts() {
  static const std::vector<std::string> all = {"plain",
                                               "",
                                               "$(touch x)",
                                               "`touch x`",
                                               "it's",
                                               "\"quoted\"",
                                               "a;b & c | d > e",
                                               "two  blanks",
                                               " ends ",
                                               "\\",
                                               "a\\'b",
                                               "'",
                                               "''",
                                               "%j 50%%",
                                               "#comment",
                                               "a #b",
                                               "Bl\xc3\xa4tter/\xe6\x96\x87",
                                               "*?[a]{b,c}~",
                                               "-n",
                                               "!!",
                                               "$HOME ${x:-y}",
                                               "\xff"};
  return all;
}

std::string bash(const std::string& script) {
  const Finished done =
      run_program({"bash", "-c", script}, current_environment(), std::chrono::seconds(20));
  EXPECT_EQ(done.status, 0) << done.errors;
  EXPECT_EQ(done.errors, "");
  return done.output;
}

/// As sbatch reads a line (get_argument in Slurm's src/sbatch/opt.c): the first option of it.
std::string read_by_sbatch(const std::string& line) {
  std::string option;
  char quote = 0;
  bool escaped = false;
  for (const char c : line.substr(std::string("#SBATCH ").size())) {
    if (c == '\n' || (quote == 0 && !escaped && c == ' ')) break;
    if (escaped) {
      escaped = false;
    } else if (c == '\\') {
      escaped = true;
      continue;
    } else if (quote != 0 && c == quote) {
      quote = 0;
      continue;
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      continue;
    } else if (quote == 0 && c == '#') {
      break;
    }
    option += c;
  }
  EXPECT_EQ(quote, 0) << line;
  return option;
}

TEST(BashWord, IsTheTextToBash) {
  for (const std::string& text : hostile_texts()) {
    EXPECT_EQ(bash("printf %s " + bash_word(text)), text);
  }
  EXPECT_EQ(bash_word("it's"), "'it'\\''s'");
}

TEST(BashWord, RefusesControlCharacters) {
  for (const std::string text : {"a\nb", "\r", "a\tb", "\x1b[31m", "\x7f"}) {
    EXPECT_THAT(error_text([&] { bash_word(text); }), HasSubstr("control character"));
    EXPECT_THAT(error_text([&] { sbatch_line("chdir", text); }), HasSubstr("control character"));
  }
  EXPECT_THAT(error_text([] { bash_word(std::string("a\0b", 3)); }),
              HasSubstr("control character"));
}

TEST(BashArray, HasEachWordOnce) {
  const std::string array = bash_array("words", hostile_texts());
  std::string expected;
  for (const std::string& text : hostile_texts()) expected += "<" + text + ">";
  EXPECT_EQ(bash(array + "; printf '<%s>' \"${words[@]}\""), expected);
  EXPECT_EQ(bash_array("words", {}), "words=()");
  EXPECT_EQ(bash_array("words", {"a", "b c"}), "words=('a' 'b c')");
}

TEST(SbatchLine, IsTheValueToSbatch) {
  for (const std::string& text : hostile_texts()) {
    EXPECT_EQ(read_by_sbatch(sbatch_line("comment", text)), "--comment=" + text);
  }
  EXPECT_EQ(sbatch_line("nodes", "2"), "#SBATCH --nodes=2\n");
  EXPECT_EQ(sbatch_line("comment", "a \"b\\"), "#SBATCH --comment=\"a \\\"b\\\\\"\n");
}

TEST(SbatchLine, RefusesWhatOldVersionsCannotHold) {
  EXPECT_NO_THROW(sbatch_line("chdir", std::string(4096, 'a')));
  EXPECT_THAT(error_text([] { sbatch_line("chdir", std::string(4097, 'a')); }),
              HasSubstr("value of --chdir too long for sbatch: expected at most 4096 bytes"));
}

TEST(FilePattern, DoublesPercents) {
  EXPECT_EQ(in_file_pattern("/data/50%j/%"), "/data/50%%j/%%");
  EXPECT_THAT(error_text([] { in_file_pattern("/data/a\\b"); }), HasSubstr("backslash"));
}

}  // namespace
}  // namespace fp8cal
