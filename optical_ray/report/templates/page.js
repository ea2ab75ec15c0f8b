"use strict";
(() => {
  const specs = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Set();
  let printing = false;

  const theme = () => {
    const night = dark.matches && !printing;
    const ink = night ? "#dfe4e8" : "#1d2430", faint = night ? "#303a46" : "#dcd8cf";
    const axis = {gridcolor: faint, zerolinecolor: night ? "#5b6875" : "#9a958a", linecolor: faint, tickcolor: faint};
    return {ink, axis, hover: {bgcolor: night ? "#1b222b" : "#ffffff", bordercolor: faint, font: {color: ink}}};
  };
  const layoutOf = (spec) => {
    const {ink, axis, hover} = theme();
    const layout = structuredClone(spec.layout);
    Object.assign(layout, {paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hoverlabel: hover});
    layout.font = {color: ink, size: 12, family: "system-ui, -apple-system, Segoe UI, Roboto, sans-serif"};
    layout.autosize = true;
    for (const name of Object.keys(layout)) {
      if (/^[xy]axis/.test(name)) layout[name] = {...axis, automargin: true, ...layout[name]};
    }
    for (const shape of layout.shapes ?? []) if (shape.line?.color === "@ink") shape.line.color = ink;
    return layout;
  };
  const dataOf = (spec) => {
    const {ink} = theme();
    return JSON.parse(JSON.stringify(spec.data).replaceAll('"@ink"', JSON.stringify(ink)));
  };
  const draw = (node) => {
    const spec = specs[node.dataset.figure];
    drawn.add(node);
    return Plotly.react(node, dataOf(spec), layoutOf(spec),
      {responsive: true, displaylogo: false, displayModeBar: false, doubleClick: "reset"});
  };

  const start = async () => {
    const nodes = [...document.querySelectorAll(".plot")];
    const packed = document.getElementById("plotly");
    if (!nodes.length || !packed) return;
    if (!("DecompressionStream" in window)) {
      for (const node of nodes) node.textContent = "This browser is too old for the figures; the tables hold their data.";
      return;
    }
    const bytes = Uint8Array.from(atob(packed.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    packed.remove();
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) if (entry.isIntersecting && !drawn.has(entry.target)) draw(entry.target);
    }, {rootMargin: "600px"});
    for (const node of nodes) seen.observe(node);
    const redraw = () => drawn.forEach(draw);
    dark.addEventListener("change", redraw);
    addEventListener("beforeprint", () => {
      printing = true;
      document.querySelectorAll("details").forEach((node) => { node.dataset.was = node.open; node.open = true; });
      nodes.forEach(draw);
    });
    addEventListener("afterprint", () => {
      printing = false;
      document.querySelectorAll("details").forEach((node) => { node.open = node.dataset.was === "true"; });
      redraw();
    });
  };

  const valueOf = (row, index) => {
    const cell = row.cells[index], raw = cell.dataset.v ?? cell.textContent.trim();
    return raw === "" || raw === "–" ? null : isNaN(raw) ? raw : Number(raw);
  };
  document.querySelectorAll("table.sortable").forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, index) => head.firstElementChild.addEventListener("click", () => {
      const numeric = head.classList.contains("num");
      const up = head.ariaSort ? head.ariaSort !== "ascending" : !numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = up ? "ascending" : "descending";
      const rows = [...table.tBodies[0].rows];
      const free = rows.filter((row) => !row.classList.contains("control"));
      free.sort((one, two) => {
        const a = valueOf(one, index), b = valueOf(two, index);
        if (a === null || b === null) return (a === null) - (b === null);
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
        return up ? order : -order;
      });
      table.tBodies[0].append(...rows.filter((row) => row.classList.contains("control")), ...free);
    }));
  });
  start();
})();
