// The live requests. However many arrive, there are as many rows as before, and they are written anew at most four
// times a second. The list stands still while somebody reads it: under the mouse or a finger, with the focus in it,
// scrolled down, or paused.

const MOST_ROWS = 200;
const MOST_KEPT = 400;
const BEAT = 250;
const TOUCHED = 4000;
const SLOW = 1;
const ASKED_OF_THE_PROXY = ["status", "host", "path", "method", "client", "upstream", "reason", "slower", "worker"];

// "status:5xx GET shop" → what the proxy chooses by, and what must be in what is shown.
function parseFilter(text) {
  const query = {};
  const words = [];
  for (const word of text.trim().split(/\s+/).filter(Boolean)) {
    const [, name, value] = /^([a-z]+):(.+)$/i.exec(word) ?? [];
    if (name && ASKED_OF_THE_PROXY.includes(name.toLowerCase())) query[name.toLowerCase()] = value;
    else words.push(word.toLowerCase());
  }
  return { query, words };
}

class Requests {
  // asks: called with the query when the proxy is to be asked for other ones.
  constructor(asks) {
    this.asks = asks;
    this.kept = []; // the newest first
    this.shown = [];
    this.fresh = 0; // arrived since the list was written
    this.lost = 0; // left out by the proxy, since the page was opened
    this.words = [];
    this.mistake = ""; // what the proxy said of the filter
    this.paused = false;
    this.hovered = false;
    this.focused = false;
    this.touched = 0;
    this.timer = 0;
    this.written = 0;
    this.current = 0; // the row that Tab reaches
    this.nodes = [];
    this.place = find("#rows");
    this.note = find("#requests-note");
    this.input = find("#filter");
    this.button = find("#pause");
    this.listen();
  }

  get held() {
    return this.paused || this.hovered || this.focused || this.place.scrollTop > 4 || Date.now() - this.touched < TOUCHED;
  }

  // What arrives.

  matches(record) {
    if (!this.words.length) return true;
    const { id, client, method, target, host, status, upstream, cache, reason, detail, agent, referer, site, route } = record;
    const text = [id, client, method, target, host, status, upstream, cache, reason, detail, agent, referer, site, route].join("\n").toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  arrived(record) {
    if (!this.matches(record)) return;
    this.kept.unshift(record);
    if (this.kept.length > 2 * MOST_KEPT) this.kept.length = MOST_KEPT;
    this.fresh += 1;
    this.schedule();
  }

  left(count) {
    this.lost += count;
    this.schedule();
  }

  // The newest that the proxy keeps, in place of all.
  replace(records) {
    this.kept = records.filter((record) => this.matches(record)).slice(0, MOST_KEPT);
    this.fresh = 0;
    this.write();
  }

  schedule() {
    if (this.timer) return;
    const wait = Math.max(0, this.written + BEAT - performance.now());
    this.timer = setTimeout(() => {
      requestAnimationFrame(() => {
        this.timer = 0;
        if (this.held) this.about();
        else this.write();
      });
    }, wait);
  }

  // What is shown.

  write() {
    this.written = performance.now();
    this.shown = this.kept.slice(0, MOST_ROWS);
    this.fresh = 0;
    while (this.nodes.length < this.shown.length) this.nodes.push(this.node(this.nodes.length));
    this.nodes.forEach((node, at) => {
      const record = this.shown[at];
      node.row.hidden = !record;
      if (record && node.row.record !== record) this.set(node, record);
    });
    this.turn(Math.min(this.current, Math.max(0, this.shown.length - 1)));
    find("#list").setAttribute("aria-rowcount", String(this.shown.length + 1));
    const empty = find("#requests-empty");
    empty.hidden = this.shown.length > 0;
    if (!empty.hidden) {
      const filtered = this.input.value.trim();
      say(find("strong", empty), filtered ? "No request matches." : "No requests yet.");
      say(find("span", empty), filtered ? "Clear the filter to see all." : "When one arrives, it shows here.");
    }
    this.about();
  }

  node(at) {
    const cell = (name) => h(`span.c-${name}`, { role: "gridcell" });
    const cells = Object.fromEntries(["time", "status", "method", "target", "total", "sent", "cache", "upstream", "client"].map((name) => [name, cell(name)]));
    const host = h("span.host");
    const target = document.createTextNode("");
    cells.target.append(host, target);
    const row = h("div.row", { role: "row", tabindex: -1, "aria-rowindex": at + 2 }, ...Object.values(cells));
    this.place.append(row);
    return { row, cells, host, target };
  }

  set({ row, cells, host, target }, record) {
    row.record = record;
    row.className = `row${record.status >= 500 || !record.status ? " failed" : ""}${record.total > SLOW ? " slow" : ""}`;
    cells.status.className = `c-status ${classOf(record.status)}`;
    say(cells.time, clock(record.time));
    say(cells.status, record.status || NOTHING);
    say(cells.method, shortened(record.method || NOTHING, 40));
    const text = shortened(record.target || (record.reason ? `(${record.reason})` : NOTHING));
    say(host, shortened(record.host, 80));
    if (target.data !== text) target.data = text;
    cells.target.title = `${shortened(record.host, 200)}${shortened(record.target, 600)}`;
    say(cells.total, taken(record.total));
    say(cells.sent, octets(record.sent));
    say(cells.cache, shortened(cacheWord(record.cache), 60));
    say(cells.upstream, shortened(record.upstream || NOTHING, 80));
    say(cells.client, shortened(record.client || NOTHING, 60));
  }

  // A filter that is not understood, perhaps because it is still being typed; none is no mistake.
  refuse(mistake) {
    this.mistake = mistake;
    this.input.setAttribute("aria-invalid", String(Boolean(mistake)));
    this.about();
  }

  about() {
    this.note.classList.toggle("bad", Boolean(this.mistake));
    if (this.mistake) return say(this.note, this.mistake);
    const parts = [];
    if (this.held && this.shown.length) parts.push(this.fresh ? `Standing still, ${number(this.fresh)} new` : "Standing still");
    else if (this.shown.length >= MOST_ROWS) parts.push(`The newest ${MOST_ROWS}`);
    if (this.lost) parts.push(`${number(this.lost)} more than could be shown`);
    return say(this.note, parts.join(" · "));
  }

  // What the reader does.

  turn(at, focus = false) {
    this.nodes[this.current]?.row.setAttribute("tabindex", "-1");
    this.current = at;
    const row = this.nodes[at]?.row;
    row?.setAttribute("tabindex", "0");
    if (focus && row) {
      row.focus();
      row.scrollIntoView({ block: "nearest" });
    }
  }

  pause(paused) {
    this.paused = paused;
    this.button.setAttribute("aria-pressed", String(paused));
    say(this.button, paused ? "Go on" : "Pause");
    if (paused) this.about();
    else {
      this.place.scrollTop = 0;
      this.goOn();
    }
  }

  goOn() {
    if (!this.held) this.write();
    else this.about();
  }

  open(row) {
    if (row?.record?.id) openTrace(row.record.id, row.record);
  }

  filter() {
    const { query, words } = parseFilter(this.input.value);
    this.words = words;
    this.refuse("");
    this.place.scrollTop = 0;
    this.asks(query);
  }

  listen() {
    let typing = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.filter(), 200);
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        if (this.shown.length) this.turn(0, true);
      } else if (event.key === "Escape" && !this.input.value) this.input.blur();
    });
    this.button.addEventListener("click", () => this.pause(!this.paused));

    let pressed = null;
    this.place.addEventListener("pointerdown", (event) => {
      pressed = event.target.closest(".row")?.record ?? null;
      if (event.pointerType !== "mouse") {
        this.touched = Date.now();
        setTimeout(() => this.goOn(), TOUCHED + 50);
      }
    });
    this.place.addEventListener("click", (event) => {
      const row = event.target.closest(".row");
      // Were the rows written anew between press and release, it is not the one that was meant.
      if (row && (!pressed || row.record === pressed)) {
        this.turn(this.nodes.findIndex((node) => node.row === row));
        this.open(row);
      }
      pressed = null;
    });
    this.place.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      this.hovered = true;
      this.about();
    });
    this.place.addEventListener("pointerleave", () => {
      this.hovered = false;
      this.goOn();
    });
    this.place.addEventListener("scroll", () => this.goOn(), { passive: true });
    this.place.addEventListener("focusin", (event) => {
      this.focused = true;
      const at = this.nodes.findIndex((node) => node.row === event.target);
      if (at >= 0) this.turn(at);
      this.about();
    });
    this.place.addEventListener("focusout", (event) => {
      if (this.place.contains(event.relatedTarget) || find("#trace").open) return;
      this.focused = false;
      this.goOn();
    });
    this.place.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const last = this.shown.length - 1;
    const page = 10;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -last, End: last };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in steps) {
      event.preventDefault();
      const to = this.current + steps[event.key];
      if (to < 0 && event.key === "ArrowUp") this.input.focus();
      else this.turn(Math.max(0, Math.min(last, to)), true);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(this.nodes[this.current]?.row);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.input.focus();
    }
  }
}

// Cache-Status (RFC 9211) in a word: "revproxy; hit; ttl=30" → "hit"; "revproxy; fwd=uri-miss; stored" → "uri-miss, stored".
function cacheWord(value) {
  if (!value) return NOTHING;
  const parts = value.split(";").map((part) => part.trim());
  const forward = parts.find((part) => part.startsWith("fwd="))?.slice(4);
  if (parts.includes("hit")) return "hit";
  if (!forward) return value;
  return parts.includes("stored") ? `${forward}, stored` : parts.includes("collapsed") ? `${forward}, shared` : forward;
}
