// Asks for this page once more, to show the fields of the answer as a browser gets them.

const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
for (const row of document.querySelectorAll("#sent [data-field]")) {
  const value = answer.headers.get(row.dataset.field);
  const cell = row.querySelector(".got");
  if (value === null) {
    const none = document.createElement("i");
    none.textContent = "none";
    cell.replaceChildren(none);
  } else {
    cell.textContent = value;
  }
}
