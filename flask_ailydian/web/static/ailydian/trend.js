// <ailydian-trend>: a model's days as a chart, with the numbers in a table behind it.

import { define, h, Part, Problem, svg } from "./base.js";
import { daysBetween, extent, steps } from "./scale.js";

const HEIGHT = 224;
const EDGE = { top: 12, right: 8, bottom: 26 };

/** What can be shown: the columns of a day, and how they are drawn and written. */
const METRICS = {
  requests: {
    bars: true,
    series: { successful: "successful_requests", failed: "failed_requests" },
  },
  latency: {
    series: {
      p50: "p50_inference_time_ms",
      p95: "p95_inference_time_ms",
      p99: "p99_inference_time_ms",
    },
  },
  accuracy: { series: { accuracy: "accuracy" }, most: 1 },
  cost: { bars: true, series: { cost: "cost_usd" } },
};

export class AilydianTrend extends Part {
  static twins = {
    ...Part.twins,
    model: ["model", "text"],
    version: ["version", "text"],
    metric: ["metric", "text"],
    kind: ["kind", "text"],
    days: ["days", "number"],
    data: ["data", "json"],
  };

  connectedCallback() {
    this._resized = new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (width && width !== this._width) {
        this._width = width;
        this._drawChart();
      }
    });
    super.connectedCallback();
    if (this.data) this._show(this.data);
    else this.refresh();
  }

  disconnectedCallback() {
    this._resized.disconnect();
    this._loading?.abort();
  }

  changed(name) {
    if (name === "data" && this.data) this._show(this.data);
    else if (["endpoint", "model", "days"].includes(name)) this.refresh();
    else if (["metric", "kind", "version"].includes(name)) this._rebuild();
  }

  /** Asks for the days anew. */
  async refresh() {
    this._loading?.abort();
    const { signal } = (this._loading = new AbortController());
    this._problem = undefined;
    if (!this._found) this._draw();
    const last = new Date();
    const first = new Date(last.getTime() - ((this.days || 28) - 1) * 86_400_000);
    const asked = new URLSearchParams({ from: day(first), to: day(last) });
    if (this.model) asked.set("model", this.model);
    try {
      const found = await (await this.ask(`/metrics/daily?${asked}`, { signal })).json();
      this._show(found);
    } catch (error) {
      if (signal.aborted) return;
      this._problem = error instanceof Problem ? error : new Problem({ error: "unreadable" });
      this.tell("error", { ...this._problem });
      this._draw();
    }
  }

  _show(found) {
    this._found = found;
    this._problem = undefined;
    this._draw();
  }

  get _metric() {
    return METRICS[this.metric] ? this.metric : "requests";
  }

  _versions() {
    const seen = new Map();
    for (const found of this._found.days) {
      const key = `${found.model} ${found.version}`;
      if (!seen.has(key))
        seen.set(key, { key, model: found.model, version: found.version, requests: 0 });
      seen.get(key).requests += found.total_requests;
    }
    return [...seen.values()].sort((a, b) => b.requests - a.requests);
  }

  _picked() {
    const versions = this._versions();
    return (
      versions.find((v) => v.key === this._key) ??
      versions.find((v) => v.version === this.version) ??
      versions[0]
    );
  }

  /** The days of the picked version, with those in between on which nothing was asked. */
  _days() {
    const picked = this._picked();
    const known = new Map(
      this._found.days
        .filter((d) => d.model === picked.model && d.version === picked.version)
        .map((d) => [d.date, d]),
    );
    const dates = daysBetween(this._found.from, this._found.to);
    return dates.map((date) => ({ date, ...known.get(date) }));
  }

  build() {
    this._card = h("div", { class: "card trend", part: "card" });
    this._draw();
    return [this._card];
  }

  _draw() {
    if (!this._card) return;
    const words = this.words;
    const title = this.model ? words.trend(this.model) : words.trendAll;
    this._card.setAttribute("role", "group");
    this._card.setAttribute("aria-label", title);
    this._resized.disconnect();
    this._plot = undefined;
    const head = h("header", {}, h("p", { class: "title", part: "title" }, title));
    const parts = [head];
    if (this._problem) {
      parts.push(this.problemBox(this._problem, () => this.refresh()));
    } else if (!this._found) {
      parts.push(h("p", { class: "empty" }, words.loading));
    } else if (!this._found.days.length) {
      parts.push(
        h(
          "div",
          { class: "empty" },
          h("div", {}, h("p", { class: "strong" }, words.noData), h("p", {}, words.noDataMeans)),
        ),
      );
    } else {
      head.append(this._segments());
      const versions = this._versions();
      if (versions.length > 1) parts.push(this._versionField(versions));
      this._plot = h("div", { class: "chart", part: "chart" });
      parts.push(this._legend(), this._plot, this._table());
    }
    const held = this.shadowRoot.activeElement?.dataset?.at;
    this._card.replaceChildren(...parts);
    if (held) this._card.querySelector(`[data-at="${held}"]`)?.focus();
    if (this._plot) {
      this._drawChart();
      this._resized.observe(this._plot);
    }
  }

  _segments() {
    const words = this.words;
    const choices = Object.keys(METRICS).map((name) => {
      const radio = h("input", {
        type: "radio",
        name: "metric",
        value: name,
        "data-at": name,
        ".checked": name === this._metric,
      });
      radio.addEventListener("change", () => {
        this.metric = name;
        this.shadowRoot.querySelector(`[data-at="${name}"]`)?.focus();
      });
      return h("label", {}, radio, h("span", {}, words.metrics[name]));
    });
    return h(
      "div",
      { class: "segments", role: "radiogroup", "aria-label": words.metric },
      ...choices,
    );
  }

  _versionField(versions) {
    const picked = this._picked();
    const select = h(
      "select",
      { id: "version", "data-at": "version", part: "select" },
      ...versions.map((v) =>
        h(
          "option",
          { value: v.key, ".selected": v.key === picked.key },
          this.model ? v.version : `${v.model} ${v.version}`,
        ),
      ),
    );
    select.addEventListener("change", () => {
      this._key = select.value;
      this._draw();
    });
    return h(
      "div",
      { class: "field pickrow" },
      h("label", { for: "version" }, this.model ? this.words.version : this.words.model),
      select,
    );
  }

  // The chart.

  get _bars() {
    return (this.kind ? this.kind === "bars" : METRICS[this._metric].bars) === true;
  }

  _legend() {
    const words = this.words;
    const names = Object.keys(METRICS[this._metric].series);
    const items = names.map((name, i) => {
      const sample = this._bars
        ? svg("rect", { class: `s${i + 1}`, width: 12, height: 12, x: 4, rx: 3 })
        : svg("path", { class: `l${i + 1}`, d: "M0 6H20" });
      return h(
        "div",
        {},
        svg("svg", { viewBox: "0 0 20 12", "aria-hidden": "true" }, sample),
        h("dt", { class: "small muted" }, words.series[name]),
        h("dd", { class: "figures", "data-series": name }),
      );
    });
    this._readout = h("dt", { class: "small strong figures", part: "day" });
    this._values = items.map((item) => item.querySelector("dd"));
    return h(
      "dl",
      { class: "legend", part: "legend" },
      h("div", {}, this._readout, h("dd", { class: "unseen" }, " ")),
      ...items,
    );
  }

  /** Writes one day's numbers beside the legend; without one, those of the last day that has any. */
  _read(found) {
    const columns = Object.values(METRICS[this._metric].series);
    const days = this._days();
    const shown =
      found ?? days.findLast((d) => columns.some((c) => number(d[c]) !== null)) ?? days.at(-1);
    this._readout.textContent = this._date(shown.date, true);
    columns.forEach((column, i) => {
      this._values[i].textContent = this._written(number(shown[column]));
    });
  }

  _drawChart() {
    if (!this._plot) return;
    const words = this.words;
    const { series, most } = METRICS[this._metric];
    const columns = Object.values(series);
    const days = this._days();
    const values = columns.map((column) => days.map((d) => number(d[column])));
    this._read();
    if (values.flat().every((value) => value === null)) {
      this._plot.replaceChildren(h("p", { class: "empty" }, words.noneOfThis));
      return;
    }
    const width = this._width || this._plot.clientWidth || 600;
    const top = most ?? extent(values, this._bars);
    const ticks = steps(top);
    const written = ticks.map((tick) => this._written(tick, true));
    const left = Math.max(...written.map((text) => text.length)) * 6.7 + 10;
    const box = { left, right: width - EDGE.right, top: EDGE.top, bottom: HEIGHT - EDGE.bottom };
    const y = (value) => box.bottom - (value / ticks.at(-1)) * (box.bottom - box.top);
    const step = (box.right - box.left) / days.length;
    const x = (i) => box.left + (i + 0.5) * step;
    const parts = ticks.flatMap((tick, i) => [
      svg("line", {
        class: i ? "grid" : "base",
        x1: box.left,
        x2: box.right,
        y1: y(tick),
        y2: y(tick),
      }),
      svg("text", { x: box.left - 8, y: y(tick) + 4, "text-anchor": "end" }, written[i]),
    ]);
    const lit = svg("rect", {
      class: "lit",
      y: box.top,
      width: step,
      height: box.bottom - box.top,
      visibility: "hidden",
    });
    parts.push(lit, ...(this._bars ? bars(values, x, y, step) : lines(values, x, y)));
    parts.push(...this._axis(days, x, box));
    const name = words.metrics[this._metric];
    const span = words.span(this._date(days[0].date), this._date(days.at(-1).date));
    const drawn = svg(
      "svg",
      {
        class: "plot",
        viewBox: `0 0 ${width} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `${name}, ${span}`,
      },
      ...parts,
    );
    drawn.addEventListener("pointermove", (event) => {
      const place =
        ((event.clientX - drawn.getBoundingClientRect().left) / drawn.clientWidth) * width;
      const i = Math.min(days.length - 1, Math.max(0, Math.floor((place - box.left) / step)));
      lit.setAttribute("x", box.left + i * step);
      lit.setAttribute("visibility", "visible");
      this._read(days[i]);
    });
    drawn.addEventListener("pointerleave", () => {
      lit.setAttribute("visibility", "hidden");
      this._read();
    });
    this._plot.replaceChildren(drawn);
  }

  _axis(days, x, box) {
    const room = Math.max(2, Math.floor((box.right - box.left) / 80));
    const every = Math.max(1, Math.ceil(days.length / room));
    const shown = days.map((_, i) => i).filter((i) => (days.length - 1 - i) % every === 0);
    return shown.map((i) => {
      const near = x(i) > box.right - 24;
      return svg(
        "text",
        { x: near ? box.right : x(i), y: HEIGHT - 6, "text-anchor": near ? "end" : "middle" },
        this._date(days[i].date),
      );
    });
  }

  _table() {
    const words = this.words;
    const { series } = METRICS[this._metric];
    const head = [words.day, ...Object.keys(series).map((name) => words.series[name])];
    const columns = Object.values(series);
    const rows = this._days()
      .filter((d) => columns.some((column) => number(d[column]) !== null))
      .reverse()
      .map((d) =>
        h(
          "tr",
          {},
          h("th", { scope: "row", class: "figures" }, this._date(d.date, true)),
          ...columns.map((c) => h("td", { class: "figures" }, this._written(number(d[c])))),
        ),
      );
    const made = h(
      "details",
      { part: "numbers", ".open": this._opened === true },
      h("summary", { "data-at": "numbers" }, words.numbers),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          {},
          h("caption", { class: "unseen" }, words.metrics[this._metric]),
          h("thead", {}, h("tr", {}, ...head.map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, ...rows),
        ),
      ),
    );
    made.addEventListener("toggle", () => {
      this._opened = made.open;
    });
    return made;
  }

  _date(text, whole = false) {
    const style = {
      day: "numeric",
      month: "short",
      ...(whole && { year: "numeric" }),
      timeZone: "UTC",
    };
    return new Intl.DateTimeFormat(this.words.code, style).format(new Date(`${text}T00:00:00Z`));
  }

  _written(value, short = false) {
    if (value === null) return "–";
    if (this._metric === "accuracy") return this.percent(value, short ? 0 : 1);
    if (this._metric === "cost") return this.money(value);
    if (this._metric === "latency") return `${this.number(value, short && value >= 10 ? 0 : 1)} ms`;
    return this.number(value);
  }
}

function number(value) {
  return typeof value === "number" ? value : null;
}

function day(moment) {
  return moment.toISOString().slice(0, 10);
}

/** Bars that stand on each other. */
function bars(values, x, y, step) {
  const width = Math.max(1, Math.min(step - 2, 28));
  return values[0].flatMap((_, i) => {
    let under = 0;
    return values.flatMap((series, s) => {
      const value = series[i];
      if (!value) return [];
      const from = y(under);
      under += value;
      const height = Math.max(1, from - y(under));
      const place = {
        x: x(i) - width / 2,
        y: from - height,
        width,
        height,
        rx: Math.min(2, width / 4),
      };
      return [svg("rect", { class: `s${s + 1}`, ...place })];
    });
  });
}

/** A line for each series, with gaps where there is no number; a lone day is a dot. */
function lines(values, x, y) {
  return values.flatMap((series, s) => {
    const stretches = [];
    series.forEach((value, i) => {
      if (value === null) return;
      if (i && series[i - 1] !== null) stretches.at(-1).push(i);
      else stretches.push([i]);
    });
    return stretches.map((stretch) => {
      const points = stretch.map((i) => `${x(i)} ${y(series[i])}`);
      return stretch.length > 1
        ? svg("path", { class: `l${s + 1}`, d: `M${points.join("L")}` })
        : svg("circle", { class: `l${s + 1}`, cx: x(stretch[0]), cy: y(series[stretch[0]]), r: 3 });
    });
  });
}

define("ailydian-trend", AilydianTrend);
