#include "coordinator/report/study_page.hpp"

#include "coordinator/report/page_frame.hpp"
#include "coordinator/report/study_sections.hpp"
#include "coordinator/study/study_output.hpp"

namespace fp8cal {

std::string study_page(const StudyRecord& study, const std::filesystem::path& file) {
  using Section = Markup (*)(const StudyRecord&);
  constexpr Section kSections[] = {study_verdict_section,   study_datasets_section,
                                   study_samples_section,   study_settings_section,
                                   study_variation_section, study_results_section};
  Markup sections;
  for (const Section section : kSections) sections += section(study);
  return html_page("What FP8 costs " + file_title(study.model), {file.string()}, sections, "");
}

}  // namespace fp8cal
