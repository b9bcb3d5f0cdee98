// A/B tests and shadow tests, with what may be concluded at this moment.

import { behind, h, number, table } from "./dom.js";
import { interval } from "./intervals.js";
import { empty } from "./section.js";
import { pill } from "./small.js";
import {
  decimal,
  integer,
  moment,
  ms,
  name,
  percent,
  say,
  signed,
  signedPercent,
  signedTenth,
  translated,
} from "./words.js";

/** So many tests are shown whole: those that run, then the newest that have stopped. */
const MOST = 6;
const RELATIVE = new Set(["latency", "cost"]);

export async function load(round) {
  const { ab_tests: found } = await round.ask("/ab-tests");
  const newest = [...found].reverse();
  const order = [
    ...newest.filter((x) => x.status === "running"),
    ...newest.filter((x) => x.status !== "running"),
  ];
  const whole = await Promise.all(
    order.slice(0, MOST).map((one) => round.ask(`/ab-tests/${encodeURIComponent(one.test_name)}`)),
  );
  return { tests: whole.map((one) => one.ab_test), older: order.slice(MOST) };
}

export function draw({ tests, older }) {
  if (!tests.length) {
    return empty(
      say("tests.empty"),
      say("tests.empty.hint"),
      "flask ailydian ab create NAME MODEL:V1 MODEL:V2 --mode shadow",
    );
  }
  return [
    h("p", { class: "note" }, say("tests.note")),
    tests.map(card),
    older.length ? rest(older) : null,
  ];
}

function card(test) {
  const { analysis, arms } = test;
  const shadow = test.mode === "shadow";
  const split = shadow
    ? say("tests.shadow")
    : say("tests.split", { share: percent(test.traffic_split_percent / 100) });
  const counts = shadow
    ? say("tests.counts.shadow", { count: integer(analysis.units.b) })
    : say("tests.counts", { a: integer(analysis.requests.a), b: integer(analysis.requests.b) });
  const fits = analysis.sample_ratio_p > 0.01;
  return h(
    "article",
    { class: "card test" },
    h(
      "header",
      null,
      h("h3", null, test.test_name),
      pill(test.status === "running" ? "active" : "inactive", say(`tests.${test.status}`)),
      h(
        "p",
        { class: "quiet" },
        [
          split,
          say("tests.days", { days: decimal(analysis.days) }),
          counts,
          fits && !shadow ? say("tests.ratio.good") : null,
        ]
          .filter(Boolean)
          .join(" · "),
      ),
    ),
    h(
      "dl",
      { class: "arms" },
      ["a", "b"].map((arm) =>
        h("div", null, h("dt", null, arm.toUpperCase()), h("dd", null, arms[arm])),
      ),
    ),
    fits || shadow ? null : h("p", { class: "caution" }, say("tests.ratio.bad")),
    analysis.agreement?.compared ? agreement(analysis.agreement) : null,
    Object.entries(analysis.metrics)
      .filter(([, metric]) => metric.a.n || metric.b.n)
      .map(([key, metric]) => row(key, metric, test.plan.alpha)),
    verdict(test),
    numbers(test),
  );
}

/** Value, bounds and format of a difference: relative where that makes sense. */
function gap(key, metric) {
  if (RELATIVE.has(key) && metric.relative !== null) {
    return { value: metric.relative, bounds: metric.relative_bounds, format: signedPercent };
  }
  const formats = {
    latency: (value) => `${signed(value)} ms`,
    cost: (value) => `${signed(value)} USD`,
    satisfaction: (value) => say("metric.stars", { value: signed(value) }),
  };
  const points = (value) => say("metric.points", { value: signedTenth(value * 100) });
  return {
    value: metric.difference,
    bounds: metric.difference_bounds,
    format: formats[key] ?? points,
  };
}

function row(key, metric, alpha) {
  const { value, bounds, format } = gap(key, metric);
  const title = name("metric", key);
  if (value === null) {
    return h(
      "div",
      { class: "gap" },
      h("h4", null, title),
      h("p", { class: "quiet" }, say("tests.unmeasured")),
    );
  }
  const bound = (x) => (x === null ? say("tests.unbounded") : format(x));
  const [low, high] = bounds.map(bound);
  const said = say("tests.row", {
    metric: title,
    difference: format(value),
    low,
    high,
    direction: say(`metric.${metric.better}`),
  });
  const better = metric.better === "lower" ? -1 : 1;
  return h(
    "div",
    { class: "gap" },
    h("h4", null, title, h("small", null, say(`metric.${metric.better}`))),
    interval({
      value,
      low: bounds[0],
      high: bounds[1],
      better,
      said,
      format,
      known: metric.p <= alpha,
    }),
    h(
      "p",
      { class: "gap-value" },
      h("b", null, format(value)),
      h("small", null, `${low} … ${high}`),
    ),
  );
}

function agreement({ same, compared, bounds }) {
  const said = say("tests.agreement.row", {
    same: integer(same),
    compared: integer(compared),
    share: percent(same / compared),
    low: percent(bounds[0]),
    high: percent(bounds[1]),
  });
  return h(
    "div",
    { class: "gap" },
    h(
      "h4",
      null,
      say("tests.agreement"),
      h("small", null, say("of", { part: integer(same), whole: integer(compared) })),
    ),
    interval({
      value: same / compared,
      low: bounds[0],
      high: bounds[1],
      zero: 0.5,
      span: [0, 1],
      said,
      format: percent,
    }),
    h(
      "p",
      { class: "gap-value" },
      h("b", null, percent(same / compared)),
      h("small", null, bounds.map(percent).join(" … ")),
    ),
  );
}

function verdict({ decision }) {
  return h(
    "div",
    { class: `verdict ${decision.verdict}` },
    h("h4", null, say("tests.verdict")),
    h("p", null, say(`verdict.${decision.verdict}`, { name: decision.winner?.name })),
    h(
      "ul",
      null,
      decision.reasons.map((reason) => {
        const { text, lang } = translated(reason);
        return h("li", { lang }, text);
      }),
    ),
  );
}

function numbers(test) {
  const head = [say("tests.metric"), "A", "B", say("tests.difference"), say("tests.interval")];
  const write = { latency: ms, cost: (x) => `${decimal(x)} USD`, satisfaction: decimal };
  const rows = Object.entries(test.analysis.metrics).map(([key, metric]) => {
    const { value, bounds, format } = gap(key, metric);
    const shown = (x) => number(x === null ? "–" : (write[key] ?? percent)(x));
    return [
      name("metric", key),
      shown(metric.a.value),
      shown(metric.b.value),
      number(value === null ? "–" : format(value)),
      number(
        value === null
          ? "–"
          : bounds.map((x) => (x === null ? say("tests.unbounded") : format(x))).join(" … "),
      ),
    ];
  });
  const tails = ["p50", "p95", "p99"].map((key) => [
    `${say("tests.percentiles")}, ${key}`,
    ...["a", "b"].map((arm) => number(ms(test.analysis.latency_percentiles[arm][key].value))),
    number(""),
    number(""),
  ]);
  const details = behind(say("table"), table(test.test_name, head, [...rows, ...tails]));
  details.dataset.key = `test-${test.test_name}`;
  return details;
}

const rest = (older) =>
  behind(
    say("tests.older"),
    table(
      say("tests.older"),
      [
        say("tests.name"),
        say("models.status"),
        say("tests.verdict"),
        say("trail.from"),
        say("trail.to"),
      ],
      older.map((one) => [
        one.test_name,
        say(`tests.${one.status}`),
        name("outcome", one.verdict),
        moment(one.started_at),
        moment(one.stopped_at),
      ]),
    ),
  );
