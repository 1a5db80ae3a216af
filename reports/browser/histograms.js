// What cells hold of their layers is in scripts beside the pages, loaded when someone asks for it.
const SVG = "http://www.w3.org/2000/svg";
const svgElement = (tag, attributes, ...children) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const loaded = new Map();
/** A cell's layers and losses, from the file of its group in a folder. */
const dataOf = ({ name, group }, folder = "data") => {
  const wait =
    loaded.get(group) ??
    new Promise((resolve, reject) => {
      const script = make("script", { src: `${folder}/group${group}.js`, onload: resolve });
      script.onerror = () => reject(new Error(`${folder}/group${group}.js is missing`));
      document.body.append(script);
    });
  loaded.set(group, wait);
  return wait.then(() => layersOf(globalThis.quantbench[`group${group}`][name]));
};

/** Columns as rows: what the files hold takes less room so. */
const layersOf = ({ accuracy, losses, ids, ...columns }) => ({
  accuracy,
  losses,
  sites: ids.split(" ").map((id, i) => {
    const { bits, sqnr, clipped, differing, histograms: all } = columns;
    const found = all[i];
    const histogram = found && {
      ...{ from: found[0], to: found[1], uniform: found[2] === 1, counts: found[3] },
      levels: found.slice(4),
    };
    return {
      id,
      bits: bits[i],
      sqnr: sqnr[i],
      clipped: clipped[i],
      differing: differing[i],
      histogram,
    };
  }),
});

/** More levels than this are lines too close to be told apart. */
const MOST_GRID_LINES = 33;

/** The values of a tensor over the levels that they are rounded to. */
const histogramOf = (histogram, label, [width, height] = [120, 34]) => {
  if (!histogram) return "–";
  const { from, to, levels, uniform, counts } = histogram;
  const heights = [...atob(counts)].map((sign) => sign.charCodeAt(0));
  const x = (value) => (width * (value - from)) / (to - from);
  const step = width / heights.length;
  // Square roots keep tails in sight beside the many zeros behind a ReLU.
  const y = (count) => height * (1 - Math.sqrt(count / 255));
  const area = heights.map((count, i) => `V${y(count)}H${(i + 1) * step}`).join("");
  const [low, high] = [levels[0], levels.at(-1)];
  const every = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  const shown = !uniform ? levels : every.length <= MOST_GRID_LINES ? every : [low, high];
  const grid = shown.map((level) => `M${x(level)} 0V${height}`).join("");
  return svgElement(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": `Values of ${label} over levels from ${low} to ${high}`,
    },
    svgElement("path", { class: "area", d: `M0 ${height}${area}V${height}Z` }),
    svgElement("path", { class: "levels", d: grid }),
  );
};

/** Power of each tensor's error over that of its values, in the order of the network. */
const errorsOf = (sites) => {
  const changed = sites.flatMap(({ id, sqnr }, place) =>
    sqnr === null ? [] : [{ id, place, sqnr }],
  );
  if (changed.length === 0) return make("p", { textContent: "Quantization changes nothing." });
  const [width, height, row] = [520, 14, 18];
  const ratios = changed.map(({ sqnr }) => sqnr);
  // The longest bar is the largest error: decibel above the tensor that is hurt least.
  const best = Math.max(...ratios) + 3;
  const scale = (width - 220) / (best - Math.min(...ratios));
  const rows = changed.map(({ id, sqnr }, i) => {
    const style = id.endsWith("/kernel") ? "series1" : "series0";
    return svgElement(
      "g",
      { class: style },
      svgElement("text", { x: 164, y: i * row + 12, "text-anchor": "end" }, id),
      svgElement("rect", {
        ...{ class: "mark", x: 170, y: i * row + 2, height },
        width: (best - sqnr) * scale,
      }),
      svgElement("text", { x: 174 + (best - sqnr) * scale, y: i * row + 12 }, (-sqnr).toFixed(1)),
    );
  });
  const size = {
    viewBox: `0 0 ${width} ${changed.length * row}`,
    width,
    height: changed.length * row,
  };
  return make(
    "figure",
    {},
    make("figcaption", { textContent: "Error / signal, dB: longer is worse" }),
    svgElement(
      "svg",
      { class: "chart", ...size, role: "img", "aria-label": "Quantization error by layer" },
      ...rows,
    ),
  );
};

const histograms = document.querySelector("details.histograms");
if (histograms) {
  histograms.hidden = false;
  const { name, group } = histograms.dataset;
  const fill = async () => {
    const { sites } = await dataOf({ name, group }, "../data");
    const shown = sites.filter(({ histogram }) => histogram);
    const figures = shown.map(({ id, histogram }) => {
      const { levels } = histogram;
      const ends = levels.length > 0 ? `: levels ${levels[0]} to ${levels.at(-1)}` : "";
      return make(
        "figure",
        {},
        make("figcaption", { className: "soft", textContent: `${id}${ends}` }),
        histogramOf(histogram, id, [260, 80]),
      );
    });
    histograms.querySelector(".error").replaceChildren(errorsOf(sites));
    histograms.querySelector(".charts").replaceChildren(...figures);
  };
  histograms.addEventListener("toggle", () => void fill(), { once: true });
}
