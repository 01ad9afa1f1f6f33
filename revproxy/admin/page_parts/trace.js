// One request, opened: what it was, where the time went, and why it went as it did.

let traced = 0;

function classOf(status) {
  return status >= 100 && status < 600 ? `s${Math.floor(status / 100)}` : "s1";
}

const KINDS = { s1: "plain", s2: "good", s3: "info", s4: "warn", s5: "bad" };

function wholeTarget(record) {
  if (!record.host) return record.target || NOTHING;
  const target = record.target ?? "";
  return /^[a-z]+:\/\//i.test(target) ? target : `${record.scheme ?? "http"}://${record.host}${target}`;
}

// [name, seconds, class] of the parts of a request's time that are known.
function parts(record) {
  const { connect, first, total } = record;
  if (!(total > 0)) return [];
  if (!(first >= 0) || first > total) return [["in all", total, "t2"]];
  const connected = connect >= 0 && connect <= first ? connect : 0;
  return [
    ["to connect", connected, "t1"],
    ["until the first octet", first - connected, "t2"],
    ["until the last", total - first, "t3"],
  ].filter(([, seconds]) => seconds > 0);
}

const SVG = "http://www.w3.org/2000/svg";

function timing(record) {
  const known = parts(record);
  if (!known.length) return null;
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 1000 14");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  let left = 0;
  for (const [, seconds, kind] of known) {
    const width = (1000 * seconds) / record.total;
    const bar = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ x: left, y: 0, width, height: 14, class: kind })) bar.setAttribute(name, String(value));
    drawing.append(bar);
    left += width;
  }
  const swatches = { t1: "p90", t2: "p50", t3: "p99" };
  return h(
    "section.times",
    null,
    h("h3", null, "Where the time went"),
    drawing,
    h("ul", null, known.map(([name, seconds, kind]) => h("li", null, h(`span.swatch.${swatches[kind]}`), `${name} `, h("b", null, taken(seconds))))),
  );
}

function facts(record) {
  const rows = [
    ["Request id", record.id && h("code", null, record.id)],
    ["Trace", record.trace && h("code", null, record.trace)],
    ["Time", record.time],
    ["Client", record.client],
    ["Server", record.upstream || (record.status ? "none was asked" : null)],
    ["Tries", record.tries],
    ["Sent", octets(record.sent)],
    ["Received", octets(record.received)],
    ["Site", record.site],
    ["Route", record.route],
    ["Worker", record.worker],
    ["Version", record.version && `HTTP/${record.version}`],
    ["Cache", record.cache, true],
    ["Reason", record.reason],
    ["Detail", record.detail, true],
    ["User agent", record.agent, true],
    ["Referer", record.referer, true],
  ];
  return h(
    "dl.details",
    null,
    rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value, wide]) => h(wide ? "div.full" : "div", null, h("dt", null, name), h("dd", null, value))),
  );
}

function showTrace(record, below) {
  const kind = KINDS[classOf(record.status)];
  say(find("#trace-title"), `${record.method || NOTHING} ${wholeTarget(record)}`);
  fill(
    find("#trace-content"),
    h("div.summary", null, badge(kind, record.status || "no answer"), h("span", null, h("b", null, taken(record.total))), record.reason && h("span.note", null, record.reason)),
    h("section", null, h("h3", null, "Why it went so"), below),
    timing(record),
    h("section", null, h("h3", null, "What is known"), facts(record)),
  );
}

// record: what the list knows of it already, or null.
async function openTrace(id, record) {
  traced += 1;
  const mine = traced;
  const dialog = find("#trace");
  if (record) showTrace(record, h("p.note", null, "Asking the proxy…"));
  else {
    say(find("#trace-title"), `Request ${id}`);
    fill(find("#trace-content"), h("p.note", null, "Asking the proxy…"));
  }
  if (!dialog.open) dialog.showModal();
  find("#trace-content").scrollTop = 0;
  find("#trace-title").focus();
  try {
    const value = await call(`requests/${encodeURIComponent(id)}`);
    if (mine === traced) showTrace(value, [explanation(value), value.text && value.explanation?.length ? h("p", null, copyButton(value.text)) : null]);
  } catch (error) {
    if (mine !== traced) return;
    const said = error.status === 404 ? [h("p", null, "The proxy does not keep this request (any more): only the newest are kept.")] : refusal(error);
    if (record) showTrace(record, said);
    else fill(find("#trace-content"), said);
  }
}

function beginTrace() {
  const dialog = find("#trace");
  find("[data-close]", dialog).addEventListener("click", () => dialog.close());
  // A click beside the sheet closes it, as people expect.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  // The event comes later than the closing: by then the next request may be open, and its answer under way.
  dialog.addEventListener("close", () => {
    if (!dialog.open) traced += 1;
  });
}
