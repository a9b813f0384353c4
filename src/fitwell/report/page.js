"use strict";
// charts: drawn once; their colours are the page's own, which follow light, dark and paper by themselves
(() => {
  const ink = "var(--ink)", soft = "var(--soft)", line = "var(--line)", font = "system-ui, sans-serif";
  const title = { titleColor: soft, titleFont: font, titleFontWeight: 400, titleFontSize: 12 };
  const label = { labelColor: ink, labelFont: font, labelFontSize: 11 };
  const config = {
    background: null, font, view: { stroke: null },
    axis: { ...title, ...label, domainColor: line, tickColor: line, gridColor: line, gridOpacity: 0.6 },
    legend: { ...title, ...label, orient: "top", direction: "horizontal", columns: 4, symbolStrokeWidth: 2, symbolOpacity: 1, labelLimit: 240 },
  };
  // a finger moves the page, not the chart under it
  const touch = matchMedia("(pointer: coarse)").matches;
  const strings = (value) => (typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value));
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const draw = (name, spec) => {
    if (touch) for (const layer of spec.layer) delete layer.params;
    if (window.innerWidth < 520) spec = { ...spec, config: { ...config, legend: { ...config.legend, columns: 2 } } };
    return vegaEmbed(`#chart-${name}`, spec, {
      renderer: "svg", actions: false, config, tooltip: { theme: "custom", sanitize: (value) => escapeText(strings(value)) },
    });
  };
  const escapeText = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  if (window.vegaEmbed) {
    Promise.all(Object.entries(charts).map(([name, spec]) => draw(name, spec)))
      .then(() => { document.body.dataset.drawn = "yes"; });
  }
})();

// tables: sorted by a click on a heading, by what the cell says it holds
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th"), table = heading.closest("table"), body = table.tBodies[0];
    const place = [...heading.parentNode.children].indexOf(heading);
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of heading.parentNode.children) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => row.children[place].dataset.value ?? row.children[place].textContent;
    const compare = (one, other) => {
      const [a, b] = [key(one), key(other)], [x, y] = [parseFloat(a), parseFloat(b)];
      // cells without a number stand last, whichever way
      if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
      const order = Number.isNaN(x) ? a.localeCompare(b) : x - y;
      return up ? order : -order;
    };
    body.append(...[...body.rows].sort(compare));
  });
}
