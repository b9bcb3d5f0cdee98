// Who answered the queries, what that cost and what it saved, and what may still be spent.

import { chart } from "./chart.js";
import { behind, h, number, table } from "./dom.js";
import { days } from "./scale.js";
import { empty } from "./section.js";
import { share } from "./small.js";
import { integer, money, name, percent, say } from "./words.js";

export const load = (round) => round.ask(round.costs);

export function draw(costs) {
  const left = budgets(costs.budgets);
  if (!costs.queries) {
    return [
      empty(say("money.empty"), say("money.empty.hint"), 'flask ailydian route "…"'),
      costs.budgets.length ? left : null,
    ];
  }
  const dates = days(costs.from, costs.to);
  const by = (member) => dates.map((date) => Math.max(costs.by_day[date]?.[member] ?? 0, 0));
  return [
    h(
      "div",
      { class: "sums" },
      sum(say("money.queries"), integer(costs.queries)),
      sum(say("money.spent"), money(costs.spent)),
      sum(
        say("money.saved"),
        money(costs.saved),
        say("money.share", { share: percent(costs.saved_percent / 100) }),
      ),
      sum(say("money.all_paid"), money(costs.all_paid)),
    ),
    h(
      "div",
      { class: "charts" },
      chart({
        key: "money-days",
        title: say("money.byday"),
        kind: "bars",
        days: dates,
        series: [
          { label: say("money.spent"), values: by("spent"), colour: "series-2" },
          { label: say("money.saved"), values: by("saved"), colour: "series-1" },
        ],
        format: money,
        wide: true,
      }),
    ),
    h(
      "div",
      { class: "charts thirds" },
      left,
      groups(say("money.bybackend"), costs.by_backend, "backend"),
      groups(say("money.bydomain"), costs.by_domain, "domain"),
    ),
  ];
}

const sum = (label, value, rest) =>
  h(
    "div",
    null,
    h("h3", null, label),
    h("p", { class: "figure" }, value),
    rest ? h("p", { class: "rest" }, rest) : null,
  );

function groups(title, found, family) {
  const rows = Object.entries(found).sort(([, a], [, b]) => b.queries - a.queries);
  const most = Math.max(...rows.map(([, one]) => one.queries), 1);
  const details = behind(
    say("table"),
    table(
      title,
      [title, say("money.queries"), say("money.spent"), say("money.saved")],
      rows.map(([key, one]) => [
        name(family, key),
        number(integer(one.queries)),
        number(money(one.spent)),
        number(money(one.saved)),
      ]),
    ),
  );
  details.dataset.key = `money-${family}`;
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", null, title),
    h(
      "ul",
      { class: "rows" },
      rows.map(([key, one]) =>
        h(
          "li",
          null,
          h("span", null, name(family, key)),
          h("span", { class: "number" }, `${integer(one.queries)} · ${money(one.spent)}`),
          share(one.queries / most),
        ),
      ),
    ),
    details,
  );
}

function budgets(found) {
  return h(
    "figure",
    { class: "chart" },
    h("figcaption", null, say("money.budgets")),
    found.length
      ? h(
          "ul",
          { class: "rows" },
          found.map((one) => {
            const used = one.used / one.limit;
            return h(
              "li",
              null,
              h(
                "span",
                null,
                one.scope === "day" ? say("money.budget.day") : name("domain", one.domain),
              ),
              h(
                "span",
                { class: "number" },
                say("money.left", { left: money(one.left), limit: money(one.limit) }),
              ),
              share(used, { bad: used > 0.9 }),
            );
          }),
        )
      : h("p", { class: "quiet" }, say("money.budgets.none")),
  );
}
