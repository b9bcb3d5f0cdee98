// A chart over days: bars that stand on each other, or lines. Drawn at the width it has; one day
// is chosen by pointer, touch or arrow keys, and what it says stands above the chart for all.

import { behind, h, number, s, table } from "./dom.js";
import { linear, ticks } from "./scale.js";
import { day, fullDay, say } from "./words.js";

const HEIGHT = 208;
const EDGE = { top: 10, right: 8, bottom: 26 };
const chosen = new Map();

/**
 * `series`: `{label, values, colour}`, a value or null for each of `days`; `colour` names a class.
 * `format` writes values, `short` those on the axis; `least` is the smallest top of the axis.
 */
export function chart({
  key,
  title,
  kind,
  days,
  series,
  format,
  short = format,
  least = 0,
  wide = false,
}) {
  const plot = h("div", { class: "plot" });
  const date = h("b");
  const values = series.map(() => h("b"));
  const cursor = h("div", {
    class: "cursor",
    role: "slider",
    tabindex: "0",
    "data-key": key,
    "aria-label": say("choose.day", { chart: title }),
    "aria-valuemin": "1",
    "aria-valuemax": String(days.length),
  });
  plot.append(cursor);
  let frame = null;
  const choose = (index) => {
    const at = Math.min(Math.max(index, 0), days.length - 1);
    if (at === days.length - 1) chosen.delete(key);
    else chosen.set(key, days[at]);
    const said = series.map((one) => `${one.label} ${format(one.values[at])}`);
    date.textContent = fullDay(days[at]);
    values.forEach((value, i) => (value.textContent = format(series[i].values[at])));
    cursor.setAttribute("aria-valuenow", String(at + 1));
    cursor.setAttribute("aria-valuetext", `${fullDay(days[at])}: ${said.join(", ")}`);
    cursor.at = at;
    frame?.mark(at);
  };
  const keys = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -7, PageUp: 7 };
  cursor.addEventListener("keydown", (event) => {
    const to = { Home: 0, End: days.length - 1 }[event.key] ?? cursor.at + (keys[event.key] ?? NaN);
    if (Number.isNaN(to)) return;
    event.preventDefault();
    choose(to);
  });
  for (const kind of ["pointermove", "pointerdown"]) {
    cursor.addEventListener(kind, (event) => frame && choose(frame.nearest(event.offsetX)));
  }
  new ResizeObserver(() => {
    const width = Math.floor(plot.clientWidth);
    if (!width || width === frame?.width) return;
    frame?.svg.remove();
    frame = draw(width, { kind, days, series, short, least });
    plot.prepend(frame.svg);
    frame.mark(cursor.at);
  }).observe(plot);
  choose(days.includes(chosen.get(key)) ? days.indexOf(chosen.get(key)) : days.length - 1);
  const rows = days
    .map((d, i) => [fullDay(d), ...series.map((one) => number(format(one.values[i])))])
    .reverse();
  const shown = table(title, [say("date"), ...series.map((one) => one.label)], rows);
  const details = behind(say("table"), shown);
  details.dataset.key = `${key}-table`;
  return h(
    "figure",
    { class: wide ? "chart wide" : "chart" },
    h("figcaption", null, title),
    legend(series, kind, date, values),
    plot,
    details,
  );
}

/** What the colours mean, with the values of the chosen day. */
const legend = (series, kind, date, values) =>
  h(
    "ul",
    { class: "legend" },
    h("li", null, date),
    series.map((one, i) =>
      h("li", { class: `${one.colour} ${kind}` }, swatch(kind), one.label, values[i]),
    ),
  );

const swatch = (kind) =>
  s(
    "svg",
    { viewBox: "0 0 18 10", width: 18, height: 10, "aria-hidden": "true" },
    kind === "bars"
      ? s("rect", { class: "bar", x: 3, width: 12, height: 10, rx: 2 })
      : s("path", { class: "line", d: "M0 5H18" }),
  );

function draw(width, { kind, days, series, short, least }) {
  const stacked = days.map((_, i) => series.reduce((sum, one) => sum + (one.values[i] ?? 0), 0));
  const all =
    kind === "bars" ? stacked : series.flatMap((one) => one.values.filter((v) => v != null));
  const marks = ticks(0, Math.max(least, ...all) || 1);
  const left = 12 + 6.6 * Math.max(...marks.map((m) => short(m).length));
  const y = linear([0, marks.at(-1)], [HEIGHT - EDGE.bottom, EDGE.top]);
  const step = (width - left - EDGE.right) / days.length;
  const x = (i) => left + step * (i + 0.5);
  const every = Math.ceil(days.length / Math.max(2, Math.floor((width - left) / 74)));
  const band = s("rect", {
    class: "band",
    y: EDGE.top,
    width: step,
    height: HEIGHT - EDGE.top - EDGE.bottom,
  });
  const dots = s("g");
  const svg = s(
    "svg",
    { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" },
    marks.map((mark) => [
      s("path", {
        class: mark ? "grid" : "grid base",
        d: `M${left} ${Math.round(y(mark)) + 0.5}H${width}`,
      }),
      s("text", {
        class: "tick",
        x: left - 8,
        y: y(mark) + 4,
        "text-anchor": "end",
        text: short(mark),
      }),
    ]),
    days.map((d, i) =>
      (days.length - 1 - i) % every
        ? null
        : s("text", {
            class: "tick",
            x: Math.min(x(i), width - 22),
            y: HEIGHT - 6,
            "text-anchor": "middle",
            text: day(d),
          }),
    ),
    band,
    kind === "bars" ? bars(series, days, x, y, step) : series.map((one) => line(one, x, y)),
    dots,
  );
  return {
    svg,
    width,
    nearest: (place) => Math.round((place - left) / step - 0.5),
    mark(at) {
      band.setAttribute("x", left + step * at);
      if (kind === "bars") return;
      const known = series.filter((one) => one.values[at] != null);
      dots.replaceChildren(
        ...known.map((one) =>
          s("circle", { class: `${one.colour} dot`, cx: x(at), cy: y(one.values[at]), r: 4 }),
        ),
      );
    },
  };
}

function bars(series, days, x, y, step) {
  const wide = Math.max(1, Math.min(step * 0.66, 26));
  return days.map((_, i) => {
    let low = 0;
    return series.map((one) => {
      const value = one.values[i] ?? 0;
      if (value <= 0) return null;
      const [bottom, top] = [y(low), y(low + value)];
      low += value;
      const tall = Math.max(1, bottom - top - (low > value ? 1 : 0));
      return s("rect", {
        class: `${one.colour} bar`,
        x: x(i) - wide / 2,
        y: top,
        width: wide,
        height: tall,
        rx: Math.min(2, wide / 4, tall / 2),
      });
    });
  });
}

/** A line with gaps where nothing is known, and a point where a day stands alone. */
function line({ values, colour, area }, x, y) {
  const runs = [];
  values.forEach((value, i) => {
    if (value == null) return;
    if (values[i - 1] == null) runs.push([]);
    runs.at(-1).push([x(i), y(value)]);
  });
  return runs.map((run) => {
    const d = "M" + run.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L");
    if (run.length === 1)
      return s("circle", { class: `${colour} dot`, cx: run[0][0], cy: run[0][1], r: 3 });
    const floor = `V${y(0)}H${run[0][0].toFixed(1)}Z`;
    return [
      area ? s("path", { class: `${colour} area`, d: d + floor }) : null,
      s("path", { class: `${colour} line`, d }),
    ];
  });
}
