// A number of the tables: the cells behind it, with their files and commands.
const dialog = document.querySelector("dialog");

const aboutCell = (id) => {
  const row = cellRows.get(`c${id}`);
  const link = row?.querySelector("a");
  if (!link) return make("li", { textContent: `cell ${id}` });
  const name = decodeURIComponent(link.getAttribute("href")).replace(/^cells\/|\.html$/g, "");
  const [model, algorithm, backend, bits, seed] = [...row.cells].map((c) => c.textContent);
  const command = `${dialog.dataset.verify} --cell ${id}`;
  return make(
    "li",
    {},
    make("a", { href: link.href, textContent: `cell ${id}` }),
    make(
      "div",
      {},
      `${algorithm} on ${backend}, ${bits}, ${model}, seed ${seed}: `,
      make("code", { textContent: `cells/${name}.json` }),
    ),
    make("div", {}, make("code", { textContent: command })),
  );
};

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-cells]");
  if (!link || !dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  dialog.querySelector("ul").replaceChildren(...link.dataset.cells.split(" ").map(aboutCell));
  dialog.showModal();
});
dialog?.querySelector("button").addEventListener("click", () => dialog.close());
