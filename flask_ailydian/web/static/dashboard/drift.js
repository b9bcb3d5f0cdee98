// Whether what comes in and goes out still looks as it did.

import { behind, h, number, table } from "./dom.js";
import { empty } from "./section.js";
import { pill, share } from "./small.js";
import { decimal, integer, name, percent, say } from "./words.js";

/** Signals that compare weekdays of several weeks, not the last days with the first. */
const WEEKLY = new Set(["volume", "latency_p95"]);

export const load = (round) => round.ask("/metrics/drift");

export function draw({ signals, capacity }) {
  const versions = [...new Set(signals.map((one) => `${one.model} ${one.version}`))];
  return [
    signals.length ? null : empty(say("drift.empty"), say("drift.empty.hint")),
    h(
      "div",
      { class: "cards" },
      versions.map((version) =>
        card(
          version,
          signals.filter((one) => `${one.model} ${one.version}` === version),
        ),
      ),
    ),
    room(capacity),
  ];
}

function card(version, signals) {
  const alarms = signals.filter((one) => one.alarm).length;
  const known = signals.some((one) => one.value !== null);
  const state = alarms
    ? ["bad", "drift.alarm"]
    : known
      ? ["active", "drift.calm"]
      : ["inactive", "drift.unknown"];
  const details = behind(
    say("table"),
    table(
      version,
      ["signal", "value", "limit"].map((key) => say(`drift.${key}`)),
      signals.map((one) => [
        name("signal", one.name),
        number(one.value === null ? say("drift.unknown") : decimal(one.value)),
        number(decimal(one.limit)),
      ]),
    ),
  );
  details.dataset.key = `drift-${version}`;
  return h(
    "article",
    { class: "card" },
    h("header", null, h("h3", null, version), pill(state[0], say(state[1]))),
    h("ul", { class: "rows" }, signals.map(signal)),
    details,
  );
}

/** A bar on which the limit is marked in the middle. */
function signal({ name: key, value, limit, alarm, rows }) {
  const few = WEEKLY.has(key) ? say("drift.weeks") : say("drift.few", { rows: integer(rows) });
  return h(
    "li",
    { class: value === null ? "unknown" : null },
    h("span", null, name("signal", key)),
    h("span", { class: alarm ? "number alarm" : "number" }, value === null ? few : decimal(value)),
    value === null ? null : share(value / (2 * limit), { limit: 0.5, bad: alarm }),
  );
}

function room({ requests_per_day: requests, capacity_per_day: most, used, alarm }) {
  const told = { requests: integer(requests), capacity: integer(most) };
  return h(
    "div",
    { class: "card" },
    h(
      "header",
      null,
      h("h3", null, say("drift.capacity")),
      most ? h("p", { class: "figure small" }, percent(used)) : null,
    ),
    most ? share(used, { limit: 0.8, bad: alarm }) : null,
    h("p", { class: "quiet" }, say(most ? "drift.capacity.text" : "drift.capacity.none", told)),
  );
}
