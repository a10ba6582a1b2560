// Draws the tensor that is chosen as distribution_chart.cpp draws those that stand in the page.
"use strict";
(() => {
  const data = document.getElementById("distributions");
  if (!data) return;
  const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_~";
  const area = { left: 44, top: 34, right: 318, bottom: 168 };
  const svg = document.getElementById("distribution-chosen");
  const select = document.getElementById("choose-tensor");

  // Decimal logarithms of the counts; null for none.
  const decode = (text) => {
    const logs = [];
    for (let i = 0; i < text.length; i += 2) {
      const high = digits.indexOf(text[i]);
      logs.push(high < 0 ? null : (high * 64 + digits.indexOf(text[i + 1])) / 200);
    }
    return logs;
  };

  const add = (name, attributes, text) => {
    const node = document.createElementNS(svg.namespaceURI, name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    if (text !== undefined) node.textContent = text;
    svg.append(node);
  };
  const line = (x1, y1, x2, y2, style) => add("line", { x1, y1, x2, y2, class: style });
  const label = (x, y, style, text) => add("text", { x, y, class: style }, text);

  const power = (base, exponent) =>
    base + (exponent < 0 ? "⁻" : "") +
    String(Math.abs(exponent)).replace(/./g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);

  const drawAxes = (x, y, low, high, top) => {
    const first = Math.ceil(low / 4), last = Math.floor(high / 4);
    const step = Math.max(1, Math.ceil((last - first) / 7));
    for (let octave = first; octave <= last; octave += step) {
      line(x(octave * 4), area.top, x(octave * 4), area.bottom, "grid");
      label(x(octave * 4), area.bottom + 12, "tick mid", power("2", octave - 127));
    }
    for (let decade = 0; decade <= top; decade += Math.max(1, Math.ceil(top / 5))) {
      line(area.left, y(decade), area.right, y(decade), "grid");
      label(area.left - 4, y(decade) + 3.5, "tick end", power("10", decade));
    }
    label((area.left + area.right) / 2, area.bottom + 25, "name mid", "magnitude");
    label(0, 12, "name", "elements");
    line(area.left, area.bottom, area.right, area.bottom, "axis");
    line(area.left, area.top, area.left, area.bottom, "axis");
  };

  const drawBars = (x, y, tensor, logs, range) => {
    const paths = { flushed: "", kept: "", clipped: "" };
    const bar = (style, left, right, log) => {
      if (log === null || left >= right) return;
      paths[style] += `M${x(left)},${area.bottom}V${y(log)}H${x(right)}V${area.bottom}`;
    };
    logs.forEach((log, i) => {
      const bin = tensor.first + i, { low, high } = range;
      if (low && bin === low.bin) {
        const [kept, beyond] = decode(low.counts);
        bar("flushed", bin, low.at, beyond);
        bar("kept", low.at, bin + 1, kept);
      } else if (high && bin === high.bin) {
        const [kept, beyond] = decode(high.counts);
        bar("kept", bin, high.at, kept);
        bar("clipped", high.at, bin + 1, beyond);
      } else {
        const isFlushed = low && bin < low.bin, isClipped = high && bin > high.bin;
        bar(isFlushed ? "flushed" : isClipped ? "clipped" : "kept", bin, bin + 1, log);
      }
    });
    for (const style in paths) if (paths[style]) add("path", { d: paths[style], class: style });
  };

  const drawRange = (x, range) => {
    const low = x(range.low.at), high = x(range.high.at);
    const isRight = low > (area.left + area.right) / 2;
    line(low, 26, low, area.bottom, "guide");
    line(high, 14, high, area.bottom, "guide");
    label(isRight ? low - 3 : low + 3, 30, isRight ? "tick end" : "tick",
          "smallest kept " + range.smallest);
    label(high - 3, 18, "tick end", "largest " + range.largest);
  };

  const draw = (tensor, range) => {
    svg.querySelectorAll(":scope > :not(title):not(desc)").forEach((node) => node.remove());
    document.getElementById("chosen-says").textContent = range.says;
    const logs = decode(tensor.counts);
    if (!logs.length) return;
    const scaled = range.low !== undefined;
    let low = tensor.first, high = tensor.first + logs.length;
    if (scaled) {
      low = Math.max(0, Math.min(low, range.low.at - 1));
      high = Math.max(high, range.high.at + 1);
    }
    const top = Math.max(1, Math.ceil(Math.max(...logs)));
    const x = (bin) => area.left + (bin - low) / (high - low) * (area.right - area.left);
    const y = (log) => area.bottom - (log + 0.3) / (top + 0.3) * (area.bottom - area.top);
    drawAxes(x, y, low, high, top);
    drawBars(x, y, tensor, logs, range);
    if (scaled) drawRange(x, range);
  };

  const choices = [];
  for (const tensor of JSON.parse(data.textContent)) {
    for (const range of tensor.ranges) {
      choices.push([tensor, range]);
      const option = document.createElement("option");
      option.textContent = tensor.module + (range.name ? ": " + range.name : "");
      select.append(option);
    }
  }
  select.addEventListener("change", () => draw(...choices[select.selectedIndex]));
  document.getElementById("chosen").hidden = false;
  draw(...choices[0]);
})();
