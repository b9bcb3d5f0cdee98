// What readiness says, part by part.

import { h } from "./dom.js";
import { pill } from "./small.js";
import { name, say, translated } from "./words.js";

/** Not being ready is an answer too, with the same parts. */
export const load = (round) => round.ask("/health/ready", { also: [503] });

export const draw = ({ status, checks }) => [
  h(
    "p",
    { class: status === "ready" ? "lead" : "lead caution" },
    say(status === "ready" ? "health.good" : "health.bad"),
  ),
  h(
    "ul",
    { class: "checks" },
    Object.entries(checks).map(([key, check]) => row(key, check)),
  ),
];

function row(key, { ok, detail }) {
  const { text, lang } = translated(detail);
  return h(
    "li",
    null,
    h("h3", null, name("check", key)),
    pill(ok ? "active" : "bad", say(ok ? "check.good" : "check.bad")),
    h("p", { class: "quiet", lang }, text),
  );
}
