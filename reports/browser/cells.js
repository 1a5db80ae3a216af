/** Rows of the table of cells, by id; most of thousands are not in the document. */
const cellRows = new Map();
/** Rows that a table shows, or would if it showed all that fit. */
let rowsInView = (table) => [...table.tBodies[0].rows];

const filters = document.querySelector("form.filters");
const cellTable = document.querySelector("table.cells");
if (filters && cellTable) {
  const table = cellTable;
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
  let fitting = rows;
  const allInView = rowsInView;
  rowsInView = (other) => (other === table ? fitting : allInView(other));

  /** Shows the first rows that fit: laying out thousands takes browsers seconds. */
  const show = (limit) => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    fitting = rows.filter((row) => fits(row, words));
    const shown = fitting.slice(0, limit);
    body.replaceChildren(...shown);
    count.textContent =
      shown.length === fitting.length
        ? `${fitting.length} of ${rows.length} cells`
        : `${shown.length} of ${fitting.length} that fit, of ${rows.length} cells`;
    more.hidden = shown.length === fitting.length;
  };
  const sort = (column, descending) => {
    rows = sortedRows(rows, column, descending);
  };

  // What is chosen is kept in the address: a view can be sent, and going back finds it again.
  const PLACE = "#cells?";
  let sortedBy = "";
  const fields = [...selects, search];
  const remember = () => {
    const view = new URLSearchParams();
    for (const { name, value } of fields) if (value !== "") view.set(name, value);
    if (sortedBy !== "") view.set("sort", sortedBy);
    const text = view.toString();
    if (text === "" && !location.hash.startsWith(PLACE)) return;
    history.replaceState(null, "", text === "" ? "#cells" : `${PLACE}${text}`);
  };
  const headers = [...table.tHead.rows[0].cells];
  const recall = () => {
    if (!location.hash.startsWith(PLACE)) return;
    const view = new URLSearchParams(location.hash.slice(PLACE.length));
    for (const field of fields) field.value = view.get(field.name) ?? "";
    const by = view.get("sort") ?? "";
    const header = headers.find(({ textContent }) => textContent === by.replace(/^-/, ""));
    if (header) {
      sortedBy = by;
      markSorted(header, by.startsWith("-"));
      sort(header.cellIndex, by.startsWith("-"));
    }
    document.querySelector("#cells").scrollIntoView();
  };

  const restart = () => {
    show(step);
    remember();
  };
  filters.addEventListener("input", restart);
  filters.addEventListener("reset", () => setTimeout(restart));
  filters.addEventListener("submit", (event) => event.preventDefault());
  onSort(table, (column, descending) => {
    sort(column, descending);
    sortedBy = (descending ? "-" : "") + headers[column].textContent;
    restart();
  });
  more.addEventListener("click", () => show(body.rows.length + step));
  window.addEventListener("beforeprint", () => show(Infinity));
  window.addEventListener("afterprint", () => show(step));
  filters.hidden = false;
  show(step);
  recall();
  show(step);
}
