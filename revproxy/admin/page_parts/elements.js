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

// rows: arrays of cells. columns: [heading, class of its cells].
function table(caption, columns, groups) {
  const cells = (row) => row.map((cell, at) => (cell instanceof HTMLTableCellElement ? cell : h(`td${columns[at][1] ? `.${columns[at][1]}` : ""}`, null, cell)));
  return h(
    "div.scroll",
    null,
    h(
      "table",
      null,
      h("caption.hidden", null, caption),
      h("thead", null, h("tr", null, columns.map(([name, kind]) => h(`th${kind ? `.${kind}` : ""}`, { scope: "col" }, name || h("span.hidden", null, "Orders"))))),
      groups.map((group) =>
        h(
          "tbody",
          null,
          group.title && h("tr.group", null, h("th", { scope: "rowgroup", colspan: columns.length }, group.title)),
          group.rows.map((row) => h("tr", null, cells(row))),
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
