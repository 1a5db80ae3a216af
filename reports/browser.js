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

/** Rows in the order of a column; numbers by value, all else by its letters. */
const sortedRows = (rows, column, descending) => {
  const keyed = rows.map((row) => {
    const text = row.cells[column].textContent;
    return { row, text, number: numberOf(text) };
  });
  const numeric = keyed.every(({ text, number }) => text === "–" || !Number.isNaN(number));
  const value = ({ number }) => (Number.isNaN(number) ? -Infinity : number);
  keyed.sort((a, b) => {
    const order = numeric ? value(a) - value(b) : a.text < b.text ? -1 : a.text > b.text ? 1 : 0;
    return (descending ? -order : order) || 0;
  });
  return keyed.map(({ row }) => row);
};

/** Calls `use` with the column that someone sorts by, and in which direction. */
const onSort = (table, use) => {
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const header = button.parentElement;
      const descending = header.getAttribute("aria-sort") === "ascending";
      for (const other of table.querySelectorAll("th[aria-sort]"))
        other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      use(header.cellIndex, descending);
    });
  });
};

for (const table of document.querySelectorAll("table.sortable:not(.cells)")) {
  const body = table.tBodies[0];
  onSort(table, (...by) => body.append(...sortedRows([...body.rows], ...by)));
}

/** Rows of the table of cells, by id; most of thousands are not in the document. */
const cellRows = new Map();

const filters = document.querySelector("form.filters");
if (filters) {
  const table = document.querySelector("table.cells");
  const body = table.tBodies[0];
  const more = document.querySelector("#more");
  const count = document.querySelector("#shown");
  const step = Number(table.dataset.page);
  const later = document.querySelector("#later");
  let rows = [...body.rows, ...(later === null ? [] : later.content.querySelectorAll("tr"))];
  for (const row of rows) cellRows.set(row.id, row);

  const selects = [...filters.querySelectorAll("select")];
  const search = filters.querySelector("input");
  selects.forEach((select, column) => {
    const values = new Set(rows.map((row) => row.cells[column].textContent));
    for (const value of [...values].sort()) select.add(new Option(value, value));
  });

  const fits = (row, words) =>
    selects.every(({ value }, i) => value === "" || value === row.cells[i].textContent) &&
    (words.length === 0 || words.every((word) => row.textContent.toLowerCase().includes(word)));

  /** Shows the first rows that fit: laying out thousands takes browsers seconds. */
  const show = (limit) => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = rows.filter((row) => fits(row, words));
    const shown = fitting.slice(0, limit);
    body.replaceChildren(...shown);
    count.textContent =
      shown.length === fitting.length
        ? `${fitting.length} of ${rows.length} cells`
        : `${shown.length} of ${fitting.length} that fit, of ${rows.length} cells`;
    more.hidden = shown.length === fitting.length;
  };
  const restart = () => show(step);
  filters.addEventListener("input", restart);
  filters.addEventListener("reset", () => setTimeout(restart));
  filters.addEventListener("submit", (event) => event.preventDefault());
  onSort(table, (...by) => {
    rows = sortedRows(rows, ...by);
    restart();
  });
  more.addEventListener("click", () => show(body.rows.length + step));
  window.addEventListener("beforeprint", () => show(Infinity));
  window.addEventListener("afterprint", restart);
  filters.hidden = false;
  restart();
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
      const row = cellRows.get(`c${id}`);
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
