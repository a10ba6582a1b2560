"""The pages of `fp8cal report` in Chromium: widths, themes, print, its script."""

import json
import unittest

import numpy as np

import browser
from report_harness import (CHARTS, LATENCY_CHARTS, STUDY_CHARTS, ReportTest, set_timeline,
                            timeline, write_profile_file, write_study)

CHROMIUM = browser.find_chromium()
VIEWS = [(360, False, "screen"), (360, True, "screen"), (1280, False, "screen"),
         (1280, True, "screen"), (720, False, "print"), (720, True, "print")]
# Text that is cut or lies on other text of its picture.
OVERLAPS = """[...document.querySelectorAll("svg.chart")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].map((one) => [one, one.getBoundingClientRect()]);
  const frame = svg.getBoundingClientRect();
  const found = [];
  texts.forEach(([one, a], i) => {
    if (!a.width) return;
    if (a.left < frame.left - 1 || a.right > frame.right + 1) {
      found.push(svg.id + " cuts " + one.textContent);
    }
    texts.slice(i + 1).forEach(([other, b]) => {
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide < 1.5 || high < 4) return;
      found.push(`${svg.id}: ${one.textContent} | ${other.textContent}`);
    });
  });
  return found;
})"""


class BrowserTest(ReportTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser(CHROMIUM)
        cls.addClassCleanup(cls.browser.close)

    def pages(self):
        def edit(file):
            set_timeline(file, timeline(3))
            file["provenance"].attrs["model_path"] = np.bytes_("/m/" + "long-name-" * 15)
        other = self.edited(edit)
        yield "one", self.report(self.original, out="one.html")[1], CHARTS
        yield "two", self.report(self.original, other, out="two.html")[1], [*CHARTS, "timeline-1"]
        profile = write_profile_file(self.folder / "profile.h5")
        yield "profile", self.report(profile, out="profile.html")[1], LATENCY_CHARTS
        study = write_study(self.folder)[0]
        yield "study", self.report(study, out="study.html")[1], STUDY_CHARTS

    def test_every_view(self):
        for name, page, charts in self.pages():
            for width, dark, media in VIEWS:
                with self.subTest(page=name, width=width, dark=dark, media=media):
                    self.browser.said.clear()
                    self.browser.show(page, width, dark, media)
                    self.check_view(width, dark and media == "screen", media, charts)

    def check_view(self, width, dark, media, charts):
        evaluate = self.browser.evaluate
        self.assertEqual(evaluate("window.innerWidth"), width)
        self.assertLessEqual(evaluate("document.scrollingElement.scrollWidth"), width)
        drawn = set(evaluate("[...document.querySelectorAll('svg.chart')]"
                             ".filter((one) => one.getBoundingClientRect().width > 150)"
                             ".map((one) => one.id)"))
        expected = set(charts)
        if media == "print":
            expected -= {"distribution-chosen"}  # nobody can choose on paper
        self.assertEqual(expected - drawn, set())
        self.assertEqual(evaluate(OVERLAPS), [])
        ground = evaluate("getComputedStyle(document.body).backgroundColor")
        self.assertEqual(ground, "rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
        self.assertEqual(self.browser.said, [])

    def test_any_tensor_can_be_chosen(self):
        _, page = self.report(self.original)
        self.browser.show(page, 1280)
        count = self.browser.evaluate("document.querySelectorAll('#choose-tensor option').length")
        self.assertGreaterEqual(count, 24)
        seen = set()
        for index in range(count):
            found = json.loads(self.browser.evaluate(f"""(() => {{
              const select = document.getElementById("choose-tensor");
              select.selectedIndex = {index};
              select.dispatchEvent(new Event("change"));
              const svg = document.getElementById("distribution-chosen");
              return JSON.stringify([svg.querySelectorAll("path").length, svg.innerHTML,
                                     document.getElementById("chosen-says").textContent]);
            }})()"""))
            self.assertGreaterEqual(found[0], 1)
            self.assertNotIn("NaN", found[1])
            self.assertIn("elements, amax", found[2])
            seen.add(found[2])
        self.assertEqual(len(seen), count)

    def test_without_scripts(self):
        _, page = self.report(self.original)
        self.browser.call("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(self.browser.call, "Emulation.setScriptExecutionDisabled", value=False)
        self.browser.show(page, 1280)
        height = "document.getElementById('{}').getBoundingClientRect().height"
        self.assertEqual(self.browser.evaluate(height.format("chosen")), 0)
        for column in range(6):
            name = f"distribution-0-{column}"
            self.assertGreater(self.browser.evaluate(height.format(name)), 100)

    def test_the_chosen_tensor_is_drawn_like_the_others(self):
        _, page = self.report(self.original)
        self.browser.show(page, 1280)
        drawn = self.browser.evaluate("""(() => {
          const still = document.getElementById("distribution-0-3");
          const module = still.querySelector("title").textContent;
          const select = document.getElementById("choose-tensor");
          select.selectedIndex = [...select.options].findIndex(
            (one) => one.textContent.startsWith(module + ":"));
          select.dispatchEvent(new Event("change"));
          const texts = (svg) => [...svg.querySelectorAll("text")].map((one) => one.textContent);
          const corners = (svg) => [...svg.querySelectorAll("path")].map(
            (one) => one.getAttribute("d").match(/-?[0-9.]+/g).map(Number));
          const chosen = document.getElementById("distribution-chosen");
          return JSON.stringify([still, chosen].map((svg) => [texts(svg).sort(), corners(svg)]));
        })()""")
        (still_texts, still), (chosen_texts, chosen) = json.loads(drawn)
        self.assertEqual(still_texts, chosen_texts)
        self.assertEqual([len(path) for path in still], [len(path) for path in chosen])
        for one, other in zip(still, chosen):
            self.assertLess(np.abs(np.array(one) - np.array(other)).max(), 0.2)


if __name__ == "__main__":
    unittest.main()
