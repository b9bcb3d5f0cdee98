// How much was asked, how fast it was answered and how often it failed, by day.

import { chart } from "./chart.js";
import { h } from "./dom.js";
import { days } from "./scale.js";
import { empty } from "./section.js";
import { compact, integer, moment, ms, percent, say } from "./words.js";

const MOST_LINES = 5;
const title = (one) => `${one.model} ${one.version}`;

let version = "";
const select = h("select", { "aria-label": say("traffic.version") });

/** The choice of a version; `again` draws the section anew. */
export function tools(again) {
  select.addEventListener("change", () => {
    version = select.value;
    again();
  });
  return select;
}

export async function load(round) {
  const [daily, { rolled_up_at }] = await Promise.all([
    round.ask(round.daily),
    round.ask("/metrics/today"),
  ]);
  return { ...daily, rolled_up_at };
}

export function draw({ from, to, days: rows, summary, rolled_up_at }) {
  const known = [...summary].sort((a, b) => b.total_requests - a.total_requests);
  if (!known.some((one) => title(one) === version)) version = "";
  select.replaceChildren(
    h("option", { value: "" }, say("traffic.all")),
    ...known.map((one) => h("option", { value: title(one) }, title(one))),
  );
  select.value = version;
  select.disabled = !rows.length;
  if (!rows.length) {
    return empty(say("traffic.empty"), say("traffic.empty.hint"), "flask ailydian metrics rollup");
  }
  const dates = days(from, to);
  const mine = rows.filter((row) => !version || title(row) === version);
  const sum = (member) =>
    dates.map((date) => mine.reduce((all, row) => all + (row.date === date ? row[member] : 0), 0));
  const total = sum("total_requests");
  const failed = sum("failed_requests");
  return [
    h(
      "div",
      { class: "charts" },
      chart({
        key: "traffic-requests",
        title: say("traffic.requests"),
        kind: "bars",
        days: dates,
        series: [
          { label: say("traffic.good"), values: sum("successful_requests"), colour: "series-1" },
          { label: say("traffic.bad"), values: failed, colour: "series-bad" },
        ],
        format: integer,
        short: compact,
        least: 4,
        wide: true,
      }),
      latency(dates, rows, known),
      chart({
        key: "traffic-errors",
        title: say("traffic.errors"),
        kind: "lines",
        days: dates,
        series: [
          {
            label: say("traffic.rate"),
            values: total.map((count, i) => (count ? failed[i] / count : null)),
            colour: "series-bad",
            area: true,
          },
        ],
        format: percent,
        least: 0.02,
      }),
    ),
    h(
      "p",
      { class: "quiet" },
      [rolled_up_at && say("traffic.asof", { time: moment(rolled_up_at) }), say("utc")]
        .filter(Boolean)
        .join(" "),
    ),
  ];
}

/** One version: its three percentiles. Several: the p95 of each, as percentiles do not add up. */
function latency(dates, rows, known) {
  const of = (each, member) => {
    const found = new Map(
      rows.filter((row) => title(row) === each).map((row) => [row.date, row[member]]),
    );
    return dates.map((date) => found.get(date) ?? null);
  };
  const series = version
    ? ["p50", "p95", "p99"].map((percentile, i) => ({
        label: percentile,
        values: of(version, `${percentile}_inference_time_ms`),
        colour: `series-${i + 1}`,
      }))
    : known.slice(0, MOST_LINES).map((one, i) => ({
        label: title(one),
        values: of(title(one), "p95_inference_time_ms"),
        colour: `series-${i + 1}`,
      }));
  const drawn = chart({
    key: "traffic-latency",
    title: say(version ? "traffic.latency" : "traffic.latency.all"),
    kind: "lines",
    days: dates,
    series,
    format: ms,
    short: (value) => `${compact(value)}`,
  });
  if (!version && known.length > 1) drawn.append(h("p", { class: "note" }, say("traffic.note")));
  return drawn;
}
