// Today at a glance.

import { h } from "./dom.js";
import { days } from "./scale.js";
import { share, spark } from "./small.js";
import { integer, money, ms, percent, say } from "./words.js";

export async function load(round) {
  const [today, daily, costs] = await Promise.all([
    round.ask("/metrics/today"),
    round.ask(round.daily),
    round.ask(round.costs),
  ]);
  return { today, daily, costs };
}

export function draw({ today, daily, costs }) {
  const dates = days(daily.from, daily.to);
  const past = dates.filter((date) => date !== today.date);
  const total = sums(daily.days, "total_requests");
  const failed = sums(daily.days, "failed_requests");
  const perDay = (pick, last) => [...past.map(pick), last];
  const paid = costs.by_day[today.date] ?? { queries: 0, spent: 0, saved: 0, all_paid: 0 };
  const cost = (member) => perDay((date) => costs.by_day[date]?.[member] ?? 0, paid[member]);
  const rate = today.requests ? today.failed / today.requests : null;
  return h(
    "div",
    { class: "tiles" },
    tile(
      say("overview.requests"),
      integer(today.requests),
      say("overview.yesterday", { count: integer(total[past.at(-1)] ?? 0) }),
      spark(
        perDay((date) => total[date] ?? 0, today.requests),
        say("overview.requests"),
        integer,
      ),
    ),
    tile(
      say("overview.errors"),
      percent(rate),
      today.requests
        ? say("of", { part: integer(today.failed), whole: integer(today.requests) })
        : say("overview.errors.none"),
      spark(
        perDay((date) => (total[date] ? failed[date] / total[date] : null), rate),
        say("overview.errors"),
        percent,
      ),
    ),
    tile(
      say("overview.latency"),
      ms(today.p95_ms),
      say("overview.latency.rest", { p50: ms(today.p50_ms), p99: ms(today.p99_ms) }),
      slowest(daily, dates),
    ),
    tile(
      say("overview.spent"),
      money(paid.spent),
      say("overview.spent.rest", { count: integer(paid.queries) }),
      spark(cost("spent"), say("overview.spent"), money),
    ),
    tile(
      say("overview.saved"),
      money(paid.saved),
      say("overview.saved.rest", { spent: money(paid.spent), paid: money(paid.all_paid) }),
      spark(cost("saved"), say("overview.saved"), money),
    ),
    budget(costs.budgets.find((one) => one.scope === "day")),
  );
}

/** The p95 of the version that is asked most: percentiles of several do not add up. */
function slowest({ days: rows, summary }, dates) {
  const [busiest] = [...summary].sort((a, b) => b.total_requests - a.total_requests);
  if (!busiest) return null;
  const found = new Map(
    rows
      .filter((row) => row.model === busiest.model && row.version === busiest.version)
      .map((row) => [row.date, row.p95_inference_time_ms]),
  );
  const label = `${say("overview.latency")}, ${busiest.model} ${busiest.version}`;
  return spark(
    dates.map((date) => found.get(date) ?? null),
    label,
    ms,
  );
}

function budget(one) {
  if (!one) {
    return tile(
      say("overview.budget"),
      say("overview.budget.none"),
      say("overview.budget.hint"),
      null,
      "words",
    );
  }
  return tile(
    say("overview.budget"),
    money(one.left),
    say("overview.budget.rest", { used: money(one.used), limit: money(one.limit) }),
    share(one.used / one.limit, { bad: one.used / one.limit > 0.9 }),
  );
}

const tile = (label, value, rest, picture, kind = "") =>
  h(
    "div",
    { class: `tile ${kind}` },
    h("h3", null, label),
    h("p", { class: "figure" }, value),
    h("p", { class: "rest" }, rest),
    picture,
  );

function sums(rows, member) {
  const found = {};
  for (const row of rows) found[row.date] = (found[row.date] ?? 0) + row[member];
  return found;
}
