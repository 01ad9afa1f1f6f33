// Four charts of the last five minutes, drawn by uPlot. Colours are asked for at each drawing, so a change of scheme
// is one more drawing.

const SECONDS = 300;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

class Chart {
  // series: [{name, key, of: point => value, kind: "line" | "area"}]; stacked: each lies on those before it.
  constructor(place, { title, series, format, head, stacked = false, top = null, describe }) {
    Object.assign(this, { series, format, head, stacked, describe });
    this.value = h("span.value", null, NOTHING);
    this.unit = h("span.unit");
    this.aside = h("span.aside");
    this.numbers = series.map(() => h("b", null, NOTHING));
    this.legend = series.map((one, at) => h("li", null, h(`span.swatch.${one.key}`), one.name, this.numbers[at]));
    this.plotted = h("div.plot", { role: "img", "aria-label": `${title}: no data yet` });
    this.nothing = h("div.nothing", null, "No data yet");
    this.plotted.append(this.nothing);
    place.append(
      h("h2", null, title),
      h("div.now", null, this.value, this.unit, this.aside),
      h("ul.legend", null, this.legend),
      this.plotted,
    );
    this.title = title;
    this.points = [];
    this.described = 0;
    this.at = null;
    this.plot = this.begin(top);
    new ResizeObserver(() => this.fit()).observe(this.plotted);
  }

  begin(top) {
    const quiet = () => colour("--quiet");
    const grid = { stroke: () => colour("--grid"), width: 1 };
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const shown = this.stacked ? [...this.series].reverse() : this.series;
    return new uPlot(
      {
        width: 300,
        height: 150,
        padding: [8, 6, 0, 0],
        legend: { show: false },
        cursor: { y: false, drag: { setScale: false }, points: { size: 6 }, sync: { key: "figures" } },
        scales: {
          x: { time: true, range: () => [(this.last ?? SECONDS) - SECONDS + 1, this.last ?? SECONDS] },
          y: { range: (_, low, high) => [0, top ?? (high > 0 ? high * 1.12 : 1)] },
        },
        axes: [
          { stroke: quiet, grid: { show: false }, ticks: { show: false }, font, size: 22, gap: 4, incrs: [60], values: (_, splits) => splits.map((split) => (this.near(split) ? "" : clock(split).slice(0, 5))) },
          { stroke: quiet, grid, ticks: { show: false }, font, size: 46, gap: 4, space: 32, values: (_, splits) => splits.map((split) => this.format(split)) },
        ],
        series: [
          {},
          ...shown.map((one) => ({
            stroke: () => colour(`--${one.key}`),
            fill: this.stacked ? () => colour(`--${one.key}`) : one.kind === "area" ? () => `${colour(`--${one.key}`)}22` : undefined,
            width: this.stacked ? 0.5 : 1.5,
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [(plot) => this.point(plot.cursor.idx)] },
      },
      [[], ...shown.map(() => [])],
      this.plotted,
    );
  }

  // Whether a time's label would be cut off by the edge.
  near(at) {
    const end = this.last ?? SECONDS;
    return end - at < 16 || at - (end - SECONDS) < 16;
  }

  fit() {
    const { clientWidth: width, clientHeight: height } = this.plotted;
    if (width && height) this.plot.setSize({ width, height });
  }

  // points: the oldest first, one a second, as GET /figures says them.
  update(points) {
    this.points = points;
    this.last = points.length ? points[points.length - 1].at : null;
    const columns = this.series.map((one) => points.map((point) => (point.gap ? null : one.of(point))));
    if (this.stacked) {
      for (let at = 1; at < columns.length; at += 1) columns[at] = columns[at].map((value, row) => (value === null ? null : value + columns[at - 1][row]));
      columns.reverse();
    }
    this.nothing.hidden = columns.some((column) => column.some((value) => value));
    if (!this.nothing.hidden) say(this.nothing, points.length > 5 ? "Nothing in the last minutes" : "No data yet");
    this.legend.forEach((item, at) => (item.hidden = Boolean(this.series[at].seldom) && !points.some((point) => !point.gap && this.series[at].of(point))));
    this.plot.setData([points.map((point) => point.at), ...columns]);
    this.words();
  }

  point(at) {
    this.at = at;
    this.words();
  }

  // The numbers above: of the moment that is pointed at, else of the newest.
  words() {
    const newest = this.points[this.points.length - 1];
    const pointed = this.points[this.at ?? -1];
    const chosen = pointed && !pointed.gap ? pointed : newest;
    if (!chosen) return;
    const head = this.head(chosen);
    say(this.value, head.value);
    say(this.unit, head.unit ?? "");
    say(this.aside, chosen === newest ? head.aside ?? "" : clock(chosen.at));
    this.aside.classList.toggle("bad", chosen === newest && Boolean(head.bad));
    this.series.forEach((one, at) => say(this.numbers[at], this.format(one.of(chosen))));
    // For those who hear it: not each second anew.
    if (newest.at - this.described >= 10 || newest.at < this.described) {
      this.described = newest.at;
      this.plotted.setAttribute("aria-label", `${this.title}, the last five minutes. Now ${this.describe(newest)}`);
    }
  }

  restyle() {
    this.plot.redraw(false, true);
  }
}

const LATE = 1;

function makeCharts() {
  const byClass = (name) => (point) => point.by_class?.[name] ?? 0;
  return [
    new Chart(find("#chart-rate"), {
      title: "Requests",
      stacked: true,
      series: [
        { name: "2xx", key: "c2", of: byClass("2xx") },
        { name: "3xx", key: "c3", of: byClass("3xx") },
        { name: "4xx", key: "c4", of: byClass("4xx") },
        { name: "5xx", key: "c5", of: byClass("5xx") },
        { name: "1xx", key: "c1", of: byClass("1xx"), seldom: true },
      ],
      format: number,
      head: (point) => {
        const failed = byClass("5xx")(point);
        return { value: number(point.rate), unit: "a second", aside: failed ? `${share(failed, point.rate)} failed` : "", bad: failed > 0.01 * point.rate };
      },
      describe: (point) => `${number(point.rate)} a second, ${number(byClass("4xx")(point))} of them 4xx, ${number(byClass("5xx")(point))} 5xx.`,
    }),
    new Chart(find("#chart-latency"), {
      title: "Time to answer",
      series: [
        { name: "p99", key: "p99", of: (point) => point.p99 ?? null },
        { name: "p90", key: "p90", of: (point) => point.p90 ?? null },
        { name: "p50", key: "p50", of: (point) => point.p50 ?? null, kind: "area" },
      ],
      format: (value) => (value === 0 ? "0" : taken(value)),
      head: (point) => ({ value: taken(point.p50), unit: "median", aside: point.p99 > LATE ? `p99 over ${taken(LATE)}` : "", bad: true }),
      describe: (point) => `half within ${taken(point.p50)}, 90 percent within ${taken(point.p90)}, 99 percent within ${taken(point.p99)}.`,
    }),
    new Chart(find("#chart-cache"), {
      title: "Cache hits",
      top: 100,
      series: [{ name: "of the requests that asked the cache", key: "c2", of: (point) => (point.cache_requests ? (100 * point.hits) / point.cache_requests : null), kind: "area" }],
      format: (value) => (value === null || value === undefined ? NOTHING : `${value.toFixed(0)} %`),
      head: (point) => ({ value: share(point.hits, point.cache_requests), aside: `${number(point.hits)} of ${number(point.cache_requests)} a second` }),
      describe: (point) => `${share(point.hits, point.cache_requests)} of ${number(point.cache_requests)} a second.`,
    }),
    new Chart(find("#chart-connections"), {
      title: "Connections",
      series: [
        { name: "open", key: "p90", of: (point) => point.connections, kind: "area" },
        { name: "requests in flight", key: "c4", of: (point) => point.in_flight },
      ],
      format: number,
      head: (point) => ({ value: number(point.connections), unit: "open", aside: `↑ ${octets(point.sent)}/s  ↓ ${octets(point.received)}/s` }),
      describe: (point) => `${number(point.connections)} open, ${number(point.in_flight)} requests in flight, ${octets(point.sent)} a second sent, ${octets(point.received)} received.`,
    }),
  ];
}
