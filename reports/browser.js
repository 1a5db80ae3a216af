// What the report's pages do in a browser; without it they are still complete.
const root = document.documentElement;

const themes = ["auto", "light", "dark"];
const themeButton = document.querySelector("#theme");
const remembered = () => {
  try {
    return localStorage.getItem("theme") ?? "auto";
  } catch {
    return "auto"; // a page opened from a file may have no storage
  }
};
const useTheme = (theme) => {
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  themeButton.textContent = `Theme: ${theme}`;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // as above
  }
};
let theme = themes.includes(remembered()) ? remembered() : "auto";
useTheme(theme);
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  theme = themes[(themes.indexOf(theme) + 1) % themes.length];
  useTheme(theme);
});

const numberOf = (text) => parseFloat(text.replace("−", "-").replace(/^[±+W]/, ""));
for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("th button").forEach((button, column) => {
    button.addEventListener("click", () => {
      const header = button.parentElement;
      const descending = header.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]"))
        other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const keyed = [...table.tBodies[0].rows].map((row) => {
        const text = row.cells[column].textContent;
        return { row, text, number: numberOf(text) };
      });
      const numeric = keyed.every(({ text, number }) => text === "–" || !Number.isNaN(number));
      keyed.sort((a, b) => {
        const order = numeric
          ? (Number.isNaN(a.number) ? -Infinity : a.number) -
            (Number.isNaN(b.number) ? -Infinity : b.number)
          : a.text < b.text
            ? -1
            : a.text > b.text
              ? 1
              : 0;
        return (descending ? -order : order) || 0;
      });
      table.tBodies[0].append(...keyed.map(({ row }) => row));
    });
  });
}

const filters = document.querySelector("form.filters");
if (filters) {
  const table = document.querySelector("table.cells");
  const rows = [...table.tBodies[0].rows].map((row) => ({
    row,
    values: [...row.cells].slice(0, 4).map((cell) => cell.textContent),
    text: row.textContent.toLowerCase(),
  }));
  const selects = [...filters.querySelectorAll("select")];
  selects.forEach((select, column) => {
    const values = [...new Set(rows.map(({ values }) => values[column]))].sort();
    for (const value of values) select.add(new Option(value, value));
  });
  const search = filters.querySelector("input");
  const count = document.querySelector("#shown");
  const apply = () => {
    const words = search.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const { row, values, text } of rows) {
      const fits =
        selects.every(({ value }, i) => value === "" || value === values[i]) &&
        words.every((word) => text.includes(word));
      if (row.hidden === fits) row.hidden = !fits;
      if (fits) shown++;
    }
    count.textContent = `${shown} of ${rows.length} cells`;
  };
  filters.addEventListener("input", apply);
  filters.addEventListener("reset", () => setTimeout(apply));
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.hidden = false;
  apply();
}

// A number of the tables: the cells behind it, with their files and commands.
const dialog = document.querySelector("dialog");
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-cells]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const list = dialog.querySelector("ul");
  list.replaceChildren(
    ...link.dataset.cells.split(" ").map((id) => {
      const row = document.getElementById(`c${id}`);
      const cell = row?.querySelector("a");
      const item = document.createElement("li");
      if (!cell) {
        item.textContent = `cell ${id}`;
        return item;
      }
      const name = decodeURIComponent(cell.getAttribute("href")).replace(/^cells\/|\.html$/g, "");
      const page = Object.assign(document.createElement("a"), {
        href: cell.href,
        textContent: `cell ${id}`,
      });
      const detail = document.createElement("div");
      const [model, algorithm, backend, bits, seed] = [...row.cells].map((c) => c.textContent);
      detail.textContent = `${algorithm} on ${backend}, ${bits}, ${model}, seed ${seed}: `;
      const file = Object.assign(document.createElement("code"), {
        textContent: `cells/${name}.json`,
      });
      const command = document.createElement("div");
      command.append(
        Object.assign(document.createElement("code"), {
          textContent: `${dialog.dataset.verify} --cell ${id}`,
        }),
      );
      detail.append(file);
      item.append(page, detail, command);
      return item;
    }),
  );
  dialog.showModal();
});
dialog?.querySelector("button").addEventListener("click", () => dialog.close());
