// Elements are made here alone. Strings become text nodes, never markup.

const find = (selector, within = document) => within.querySelector(selector);

// h("p.note", {title: "x"}, "text", child, ...): what is null or false is left out.
function h(kind, attributes, ...children) {
  const [tag, ...classes] = kind.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : visible(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(visible(child));
  }
}

// New content in place of the old; who had the focus keeps it, if something with its key is there again.
function fill(element, ...children) {
  const held = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const fresh = document.createDocumentFragment();
  add(fresh, children);
  element.replaceChildren(fresh);
  if (held) [...element.querySelectorAll("[data-key]")].find((one) => one.dataset.key === held)?.focus();
}

// Sets a text only where it differs: a screen reader is told nothing twice.
function say(element, text) {
  const shown = visible(text);
  if (element.textContent !== shown) element.textContent = shown;
}

function badge(kind, text) {
  return h(`span.badge.${kind}`, null, text);
}

// rows: arrays of cells. columns: [heading, class of its cells]. The roles are said, since a phone gets the rows as
// blocks of their own, in which each cell says its column's name.
function table(caption, columns, groups) {
  const cell = (content, [name, kind]) => {
    const made = content instanceof HTMLTableCellElement ? content : h(`td${kind ? `.${kind}` : ""}`, null, content);
    made.setAttribute("role", "cell");
    if (kind?.includes("number")) made.dataset.name = name;
    return made;
  };
  return h(
    "div.scroll",
    null,
    h(
      "table",
      { role: "table" },
      h("caption.hidden", null, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map(([name, kind]) => h(`th${kind ? `.${kind}` : ""}`, { scope: "col", role: "columnheader" }, name || h("span.hidden", null, "Orders"))))),
      groups.map((group) =>
        h(
          "tbody",
          { role: "rowgroup" },
          group.title && h("tr.group", { role: "row" }, h("th", { scope: "rowgroup", role: "rowheader", colspan: columns.length }, group.title)),
          group.rows.map((row) => h("tr", { role: "row" }, row.map((content, at) => cell(content, columns[at])))),
        ),
      ),
    ),
  );
}

// Asks before an order is given; resolves to whether it shall be.
function confirmed(title, text, yes) {
  const dialog = find("#confirm");
  say(find("#confirm-title"), title);
  say(find("#confirm-text"), text);
  say(find("#confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
