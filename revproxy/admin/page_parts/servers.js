// What the proxy is made of at the moment: upstream servers, workers, certificates, listeners, totals.

const STATES = {
  up: ["good", "up"],
  aside: ["warn", "aside"],
  down: ["bad", "down"],
};
const FEW_DAYS = 14;
const MOST_BEHIND = 30; // seconds: longer than any answer is waited for

// A line may end behind the scheme rather than within an address.
function breakable(name) {
  const at = name.indexOf("://") + 3;
  return at > 2 ? [name.slice(0, at), h("wbr"), name.slice(at)] : name;
}

function serverRow(upstream, server, order) {
  const [kind, words] = STATES[server.state] ?? ["plain", server.state];
  const wait = server.state === "aside" && server.aside_for > 0 ? ` for ${age(Math.ceil(server.aside_for))}` : "";
  const down = server.state === "down";
  const name = shortened(server.name, 120);
  return [
    h("td.name", null, breakable(name)),
    badge(kind, words + wait),
    number(server.weight),
    number(server.open),
    number(server.idle),
    number(server.failures),
    h(
      "td.act",
      null,
      h(
        "button.small",
        {
          type: "button",
          "data-key": `${upstream.name} ${server.name}`,
          "aria-label": down ? `Bring ${name} back` : `Take ${name} out`,
          onclick: () => order(upstream.name, server.name, down ? "up" : "down"),
        },
        down ? "Bring back" : "Take out",
      ),
    ),
  ];
}

function showUpstreams(upstreams, order) {
  const body = find("#upstreams .body");
  if (!upstreams.length) return fill(body, h("p.empty", null, "No upstreams are configured."));
  return fill(
    body,
    table(
      "Upstream servers",
      [["Server"], ["State"], ["Weight", "number"], ["Open", "number"], ["Idle", "number"], ["Failures", "number"], ["", ""]],
      upstreams.map((upstream) => ({
        title: [shortened(upstream.name, 120), upstream.queued ? h("span.badge.warn", null, `${number(upstream.queued)} waiting`) : null],
        rows: upstream.servers.map((server) => serverRow(upstream, server, order)),
      })),
    ),
  );
}

const LEAST_SPAN = 2; // seconds: workers tell of themselves once a second
const spent = new Map(); // pid → {at, cpu, share}

// The share of one processor that a process used lately, or null where it was seen only once.
function sharesOf(workers, now) {
  for (const pid of [...spent.keys()]) if (!workers.some((one) => one.pid === pid)) spent.delete(pid);
  return workers.map(({ pid, cpu }) => {
    const before = spent.get(pid);
    if (!before || cpu < before.cpu) spent.set(pid, { at: now, cpu, share: null });
    else if (now - before.at >= LEAST_SPAN) spent.set(pid, { at: now, cpu, share: (cpu - before.cpu) / (now - before.at) });
    return spent.get(pid).share;
  });
}

function showWorkers(workers, now) {
  const shares = sharesOf(workers, now);
  const kinds = { serving: "good", starting: "info", draining: "warn", upgrading: "info" };
  const body = find("#workers .body");
  if (!workers.length) return fill(body, h("p.empty", null, "None has told of itself yet."));
  return fill(
    body,
    table(
      "Workers",
      [["Worker"], ["State"], ["In flight", "number"], ["Connections", "number"], ["Requests", "number"], ["Memory", "number"], ["CPU", "number"], ["Up", "number"]],
      [
        {
          rows: workers.map((worker, at) => [
            h("td.name.short", null, `${worker.number}`, h("span.note", null, `  pid ${worker.pid}`)),
            h(
              "td.tight",
              null,
              worker.beat_age > 5 ? badge("bad", `silent for ${age(worker.beat_age)}`) : badge(kinds[worker.state] ?? "plain", worker.state),
              worker.restarts ? [" ", h("span.note", null, counted(worker.restarts, "restart"))] : null,
            ),
            number(worker.in_flight),
            number(worker.connections),
            number(worker.requests),
            octets(worker.memory),
            h("span", { title: `${taken(worker.cpu)} since it was started` }, shares[at] === null ? NOTHING : share(shares[at], 1)),
            age(now - worker.started),
          ]),
        },
      ],
    ),
  );
}

function left(days) {
  if (days < 0) return badge("bad", `over since ${age(-days * 86400)}`);
  return badge(days < FEW_DAYS / 4 ? "bad" : days < FEW_DAYS ? "warn" : "good", days < 2 ? age(days * 86400) : `${Math.floor(days)} days`);
}

function showCertificates(certificates) {
  const body = find("#certificates .body");
  if (!certificates.length) return fill(body, h("p.empty", null, "No listener speaks TLS."));
  const sorted = [...certificates].sort((one, other) => one.days_left - other.days_left);
  return fill(
    body,
    table(
      "Certificates",
      [["Names", "wrap"], ["From", "wrap"], ["Until", "tight"], ["Left"]],
      [{ rows: sorted.map((one) => [h("td.name", null, shortened((one.names ?? []).join(", ") || NOTHING, 300)), h("span", { title: one.source }, shortened((one.source ?? "").split("/").pop() || NOTHING, 120)), day(one.not_after), left(one.days_left)]) }],
    ),
  );
}

function showListeners(listeners) {
  const body = find("#listeners .body");
  if (!listeners.length) return fill(body, h("p.empty", null, "Nothing listens."));
  return fill(
    body,
    table(
      "Listeners",
      [["Address"], ["Speaks"], ["Connections", "number"]],
      [{ rows: listeners.map((one) => [h("td.name", null, one.address), one.tls ? "HTTPS" : "HTTP", number(one.connections)]) }],
    ),
  );
}

function showTotals(status) {
  const { totals = {}, cache } = status;
  const rows = [
    ["Requests", number(totals.requests)],
    ["In flight", number(totals.in_flight)],
    ["Connections", number(totals.connections)],
    ["Tunnels", number(totals.tunnels)],
    ["Refused connections", number(totals.refused)],
    ["Handshakes failed", number(totals.handshakes_failed)],
  ];
  if (cache) rows.push([`Cached (${cache.store})`, number(cache.entries)], ["Cache holds", octets(cache.octets)]);
  fill(find("#totals .body"), h("dl.counts", null, rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))));
}

function showHead(status) {
  const state = find("#state");
  const kind = status.state === "serving" && status.ready ? "good" : status.state === "draining" ? "warn" : "info";
  state.className = `state ${kind}`;
  const words = { starting: "Starting", serving: status.ready ? "Serving" : "Not ready", draining: "Draining", upgrading: "Handing over" };
  say(find("#state-text"), words[status.state] ?? status.state);
  const { config = {} } = status;
  const rows = [
    ["Up", age(status.uptime)],
    ["Configuration", [config.file ? config.file.split("/").pop() : "from the command line", config.generation > 1 ? `no. ${config.generation}` : ""].filter(Boolean).join(", ")],
    ["Read", when(config.loaded)],
    ["Version", status.version],
  ];
  fill(find("#facts"), rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))));
  const reload = config.last_reload;
  say(
    find("#foot"),
    `revproxy ${status.version}, process ${status.pid}${config.file ? `, ${config.file}` : ""}` + (reload ? `. Last reload at ${when(reload.at)}: ${reload.text}` : ""),
  );
  find("#rollback").disabled = !config.previous;
}

let newest = null;

// Answers and events come on two connections. What was asked for before an order must not be shown after what came of
// it: the button would say what is no longer so.
function isOvertaken(status) {
  const behind = newest?.pid === status.pid ? newest.uptime - status.uptime : 0;
  if (behind > 0 && behind < MOST_BEHIND) return true; // more than that: the clock was set back
  newest = status;
  return false;
}

function showStatus(status, order) {
  if (isOvertaken(status)) return;
  showHead(status);
  showUpstreams(status.upstreams ?? [], order);
  showWorkers(status.workers ?? [], status.started + status.uptime);
  showCertificates(status.certificates ?? []);
  showListeners(status.listeners ?? []);
  showTotals(status);
}
