// Puts the parts together: what comes from the proxy goes to them, keys and the colour scheme too.

const MOST_POINTS = SECONDS;

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Then it holds until the page is left.
  }
}

function kept(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

// Colours: as the system, dark, light.
const SCHEMES = { auto: ["Auto", "as the system"], dark: ["Dark", "dark"], light: ["Light", "light"] };
const system = matchMedia("(prefers-color-scheme: dark)");
let scheme = kept("scheme") in SCHEMES ? kept("scheme") : "auto";

function dress(charts) {
  document.documentElement.toggleAttribute("data-dark", scheme === "dark" || (scheme === "auto" && system.matches));
  const [name, words] = SCHEMES[scheme];
  say(find("#theme"), name);
  find("#theme").setAttribute("aria-label", `Colours: ${words}`);
  for (const chart of charts) chart.restyle();
}

dress([]);

function begin() {
  const charts = makeCharts();
  let points = [];
  let drawn = false;
  let until = 0;
  let countdown = 0;

  const turnScheme = () => {
    const names = Object.keys(SCHEMES);
    scheme = names[(names.indexOf(scheme) + 1) % names.length];
    keep("scheme", scheme);
    dress(charts);
  };
  find("#theme").addEventListener("click", turnScheme);
  system.addEventListener("change", () => dress(charts));

  const draw = () => {
    if (drawn) return;
    drawn = true;
    requestAnimationFrame(() => {
      drawn = false;
      for (const chart of charts) chart.update(points);
      const newest = points[points.length - 1];
      if (newest && !document.body.classList.contains("stale")) document.title = `${number(newest.rate)}/s · revproxy`;
    });
  };

  // Where seconds are missing, the lines are to stop and begin again.
  const joined = (all) => {
    const whole = [];
    for (const point of all) {
      const before = whole[whole.length - 1];
      if (before && point.at <= before.at) continue;
      if (before && !before.gap && point.at - before.at > 2.6) whole.push({ at: before.at + 1, gap: true });
      whole.push(point);
    }
    return whole.slice(-MOST_POINTS);
  };

  const orders = new Orders(() => refresh());
  const show = (status) => showStatus(status, (...words) => orders.mark(...words));

  let round = 0;
  const fetchRequests = async () => {
    round += 1;
    const mine = round;
    const query = new URLSearchParams(stream.filters);
    query.set("limit", MOST_ROWS);
    const { requests: records } = await call(`requests?${query}`);
    if (mine === round) requests.replace(records ?? []);
  };
  const requests = new Requests((query) => {
    const filters = new URLSearchParams(query).toString();
    stream.open(filters && `?${filters}`);
  });

  const refresh = async () => {
    try {
      show(await call("status"));
    } catch {
      // The stream tells when the proxy is gone.
    }
  };

  const fetchAll = async () => {
    try {
      const [status, figures] = await Promise.all([call("status"), call("figures"), fetchRequests()]);
      show(status);
      const history = figures.history ?? [];
      if (history.length) points = joined([...points.filter((point) => point.at < history[0].at), ...history]);
      draw();
    } catch {
      // as above
    }
  };

  const takers = {
    request: (record) => requests.arrived(record),
    status: show,
    figures: (point) => {
      points = joined([...points, point]);
      draw();
    },
    dropped: (value) => requests.left(Number(value.requests) || 0),
  };

  const goneWords = () => {
    const seconds = Math.ceil((until - Date.now()) / 1000);
    say(find("#gone-text"), seconds > 0 ? `The proxy does not answer. Next try in ${seconds} s.` : "The proxy does not answer. Trying again…");
  };
  const changed = (state, wait) => {
    const gone = state === "gone";
    clearInterval(countdown);
    document.body.classList.toggle("stale", gone);
    find("#gone").hidden = !gone;
    if (!gone) {
      fetchAll();
      return;
    }
    until = Date.now() + wait;
    goneWords();
    countdown = setInterval(goneWords, 500);
    document.title = "gone · revproxy";
    find("#state").className = "state bad";
    say(find("#state-text"), "No answer");
  };
  const stream = new Stream((kind, value) => takers[kind]?.(value), changed, (text) => requests.refuse(text));
  find("#retry").addEventListener("click", () => stream.open());

  beginTrace();
  beginExplain();

  const keys = {
    "/": () => find("#filter").focus(),
    "?": () => find("#keys-dialog").showModal(),
    p: () => requests.pause(!requests.paused),
    e: () => find("#explain-form").elements.url.focus(),
    r: () => (requests.shown.length ? requests.turn(0, true) : find("#requests").focus()),
    t: turnScheme,
  };
  find("#keys").addEventListener("click", keys["?"]);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, dialog")) return;
    if (event.key in keys) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  requests.write();
  stream.open();
}

begin();
