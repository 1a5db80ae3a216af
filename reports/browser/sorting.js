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

/** Says in a table's head by which column it is sorted. */
const markSorted = (header, descending) => {
  for (const other of header.closest("tr").querySelectorAll("th[aria-sort]"))
    other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
};

/** Calls `use` with the column that someone sorts by, and in which direction. */
const onSort = (table, use) => {
  table.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const header = button.parentElement;
      const descending = header.getAttribute("aria-sort") === "ascending";
      markSorted(header, descending);
      use(header.cellIndex, descending);
    });
  });
};

for (const table of document.querySelectorAll("table.sortable:not(.cells)")) {
  const body = table.tBodies[0];
  onSort(table, (...by) => body.append(...sortedRows([...body.rows], ...by)));
}
