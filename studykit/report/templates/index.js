const form = document.querySelector("form"), table = document.querySelector("table.claims");
const picks = [...form.querySelectorAll("select")];
const body = table.tBodies[0], rows = [...body.rows], said = document.querySelector("output");
const filter = () => {
  const wanted = new FormData(form), words = wanted.get("words").toLowerCase();
  const chosen = new URLSearchParams([...wanted].filter(([, value]) => value));
  try { history.replaceState(null, "", `${location.pathname}?${chosen}${location.hash}`); } catch {}
  let shown = 0;
  for (const row of rows) {
    const picked = picks.every(s => !s.value || row.dataset[s.name] === s.value);
    row.hidden = !(picked && row.textContent.toLowerCase().includes(words));
    shown += !row.hidden;
  }
  said.textContent = `${shown} of ${rows.length} claims`;
};
form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", event => event.preventDefault());
const order = ["reproduced", "partially reproduced", "not reproduced", "underpowered", "uninformative",
  "not evaluated"];
table.querySelectorAll("thead th").forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const up = head.ariaSort !== "ascending";
    table.querySelectorAll("thead th").forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const last = column === table.tHead.rows[0].cells.length - 1;
    const key = row => last ? String(order.indexOf(row.dataset.verdict))
      : row.cells[column].dataset.key ?? row.cells[column].textContent;
    const way = up ? 1 : -1;
    body.append(...[...rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return way * (isNaN(x) || isNaN(y) ? x.localeCompare(y, "en", { numeric: true }) : x - y);
    }));
  });
});
for (const [name, value] of new URLSearchParams(location.search)) {
  const field = form.elements[name];
  if (field) field.value = value;
}
filter();
