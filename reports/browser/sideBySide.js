// Two cells of a run, layer by layer. Their data are scripts that are loaded when they are asked for.
const { list } = globalThis.quantbench;
const byName = new Map(list.map((cell) => [cell.name, cell]));
const [first, second] = document.querySelectorAll(".sideBySide select");
const lossesOf = (cells) => {
  const all = cells.flatMap(({ losses }) => losses);
  if (all.length === 0) return make("p", { textContent: "Neither was trained." });
  const [width, height] = [620, 240];
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const y = (loss) => 10 + ((height - 20) * (high - loss)) / (high - low || 1);
  const lines = cells.map(({ losses, label }, i) => {
    const at = (place) => 40 + ((width - 50) * place) / Math.max(1, losses.length - 1);
    const d = losses.map((loss, place) => `${place ? "L" : "M"}${at(place)} ${y(loss)}`).join("");
    return svgElement("g", { class: `series${i}` }, svgElement("path", { class: "series", d }));
  });
  const ticks = [low, high].map((loss) =>
    svgElement("text", { x: 34, y: y(loss) + 4, "text-anchor": "end" }, loss.toPrecision(3)),
  );
  const chart = svgElement(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: "img",
      "aria-label": "Losses by step",
    },
    ...ticks,
    ...lines,
  );
  const legend = cells.map(({ label, losses }, i) =>
    make("div", { className: `series${i}`, textContent: losses.length > 0 ? `— ${label}` : label }),
  );
  return make("figure", {}, ...legend, chart);
};

const number = (value, digits) =>
  value === null || value === undefined ? "–" : value.toFixed(digits);
const share = (value) => number(value, 3);

const show = async () => {
  const chosen = [byName.get(first.value), byName.get(second.value)];
  const [a, b] = await Promise.all(chosen.map((cell) => dataOf(cell)));
  const theirs = new Map(b.sites.map((site) => [site.id, site]));
  const ids = [...new Set([...a.sites, ...b.sites].map(({ id }) => id))];
  const ours = new Map(a.sites.map((site) => [site.id, site]));
  document.querySelector("#layers tbody").replaceChildren(
    ...ids.map((id) => {
      const [left, right] = [ours.get(id), theirs.get(id)];
      const cell = (content, className = "") => make("td", { className }, content);
      const difference =
        typeof left?.sqnr === "number" && typeof right?.sqnr === "number"
          ? left.sqnr - right.sqnr
          : null;
      return make(
        "tr",
        {},
        Object.assign(make("th", { scope: "row" }), { textContent: id }),
        cell(histogramOf(left?.histogram, `${id}, first`), "text"),
        cell(histogramOf(right?.histogram, `${id}, second`), "text"),
        cell(`${left?.bits ?? "–"} / ${right?.bits ?? "–"}`),
        cell(left?.sqnr === null ? "exact" : number(left?.sqnr, 1)),
        cell(right?.sqnr === null ? "exact" : number(right?.sqnr, 1)),
        cell(number(difference, 1).replace("-", "−")),
        cell(share(left?.clipped)),
        cell(share(right?.clipped)),
        cell(share(left?.differing)),
        cell(share(right?.differing)),
      );
    }),
  );
  const named = [a, b].map((data, i) => ({
    ...data,
    label: `${chosen[i].label}: ${data.accuracy} %`,
  }));
  document.querySelector("#losses").replaceChildren(lossesOf(named));
  history.replaceState(null, "", `#${new URLSearchParams({ a: first.value, b: second.value })}`);
};

/** Only cells of the same network have the same layers. */
const fill = (select, cells, wanted) => {
  select.replaceChildren(
    ...cells.map(({ name, label, model }) => new Option(`${label} (${model})`, name)),
  );
  select.value = cells.some(({ name }) => name === wanted) ? wanted : (cells[0]?.name ?? "");
};
const fillSecond = (wanted) => {
  const { model, name } = byName.get(first.value);
  const others = list.filter((cell) => cell.model === model);
  fill(second, others, wanted ?? others.find((cell) => cell.name !== name)?.name);
};
const start = () => {
  const asked = new URLSearchParams(location.hash.slice(1));
  fill(first, list, asked.get("a"));
  fillSecond(asked.get("b") ?? undefined);
  void show();
};
first.addEventListener("input", () => {
  fillSecond(second.value);
  void show();
});
second.addEventListener("input", () => void show());
start();
