#include "coordinator/submission/batch_template.hpp"

#include <gmock/gmock.h>

#include "tests/unit/error_text.hpp"

namespace fp8cal {
namespace {

using testing::HasSubstr;

const ScriptParts kParts = {
    .directives = "#SBATCH --nodes=1\n", .setup = "module load 'a'\n", .settings = "retries=5\n"};

std::string refusal(const std::string& text) {
  return error_text([&] { render_template("my.sbatch", text, kParts); });
}

TEST(BatchTemplate, HasItsLinesReplaced) {
  EXPECT_EQ(render_template("t", "#!/bin/bash\n@DIRECTIVES@\n# @SETUP@\n\n@SETUP@\n@SETTINGS@\nend",
                            kParts),
            "#!/bin/bash\n#SBATCH --nodes=1\n# @SETUP@\n\nmodule load 'a'\nretries=5\nend\n");
}

TEST(BatchTemplate, KeepsFieldsInWhatTheUserGives) {
  const ScriptParts parts = {.directives = "", .setup = "", .settings = "x='@SETUP@'\n@SETUP@\n"};
  EXPECT_EQ(render_template("t", "#!x\n@DIRECTIVES@\n@SETUP@\n@SETTINGS@\n", parts),
            "#!x\nx='@SETUP@'\n@SETUP@\n");
}

TEST(BatchTemplate, RefusesMissingAndOtherFields) {
  EXPECT_THAT(refusal("#!x\n@DIRECTIVES@\n@SETUP@\n"),
              HasSubstr("my.sbatch: batch template: line @SETTINGS@: expected it once, alone"));
  EXPECT_THAT(refusal("#!x\n@DIRECTIVES@\nx @SETUP@\n@SETTINGS@\n"), HasSubstr("line @SETUP@"));
  EXPECT_THAT(refusal("#!x\n@DIRECTIVES@\n@SETUP@\n@SETUP@\n@SETTINGS@\n"), HasSubstr("it again"));
  EXPECT_THAT(refusal("#!x\n@DIRECTIVES@\n@SETUP@\n@SETTINGS@\n@MODULES@\n"),
              HasSubstr("line @MODULES@"));
  EXPECT_THAT(refusal(""), HasSubstr("#!"));
  EXPECT_THAT(refusal("@DIRECTIVES@\n@SETUP@\n@SETTINGS@\n"), HasSubstr("#!"));
}

TEST(BatchTemplate, RefusesDirectivesThatSbatchWouldNotRead) {
  EXPECT_THAT(refusal("#!x\nset -e\n@DIRECTIVES@\n@SETUP@\n@SETTINGS@\n"),
              HasSubstr("it before any command"));
}

TEST(BatchTemplate, IsCompiledIn) {
  for (const std::string_view text : {run_template(), collect_template()}) {
    const std::string script = render_template("built in", text, kParts);
    EXPECT_THAT(script, HasSubstr("\n#SBATCH --nodes=1\n"));
    EXPECT_THAT(script, HasSubstr("\nretries=5\n"));
    EXPECT_EQ(script.find("\n@"), std::string::npos);
  }
}

}  // namespace
}  // namespace fp8cal
