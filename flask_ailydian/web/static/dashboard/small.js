// Small drawings: a line in a tile, a share of a limit, a pill, a copied digest.

import { h, s } from "./dom.js";
import { linear } from "./scale.js";
import { say } from "./words.js";

/** A line without axes; what it shows is said in words as well. */
export function spark(values, label, format) {
  const known = values.filter((value) => value != null);
  if (known.length < 2) return h("div", { class: "spark" });
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = linear([0, values.length - 1], [2, 198]);
  const y = linear([Math.min(0, low), high || 1], [38, 4]);
  const points = values.flatMap((v, i) => (v == null ? [] : [[x(i), y(v)]]));
  const d = "M" + points.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L");
  const said = say("spark", {
    label,
    days: values.length,
    low: format(low),
    high: format(high),
    last: format(known.at(-1)),
  });
  return s(
    "svg",
    {
      class: "spark",
      viewBox: "0 0 200 40",
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": said,
    },
    s("path", { class: "area", d: `${d}V40H${points[0][0].toFixed(1)}Z` }),
    s("path", { class: "line", d, "vector-effect": "non-scaling-stroke" }),
  );
}

/** How much of a whole: a bar, with a mark where the limit is. */
export function share(value, { limit = null, bad = false, colour = "" } = {}) {
  const wide = Math.min(Math.max(value, 0), 1) * 100;
  return s(
    "svg",
    {
      class: `share ${bad ? "bad" : colour}`,
      viewBox: "0 0 100 8",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
    },
    s("rect", { class: "track", width: 100, height: 8 }),
    s("rect", { class: "bar", width: wide, height: 8 }),
    limit === null
      ? null
      : s("path", {
          class: "limit",
          d: `M${limit * 100} -2V10`,
          "vector-effect": "non-scaling-stroke",
        }),
  );
}

export const pill = (kind, text) =>
  h("span", { class: `pill ${kind}` }, h("i", { "aria-hidden": "true" }), text);

/** A long digest, shortened for the eye and copied whole. */
export function digest(text) {
  const button = h(
    "button",
    { type: "button", class: "copy", "aria-label": `${say("copy")} ${text}` },
    say("copy"),
  );
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = say("copied");
    setTimeout(() => (button.textContent = say("copy")), 2000);
  });
  // Pages that come without TLS may not write to the clipboard; the card has the whole digest.
  return h(
    "span",
    { class: "digest" },
    h("code", null, text.slice(0, 12)),
    navigator.clipboard ? button : null,
  );
}

/** Names and what they stand for. */
export const facts = (pairs) =>
  h(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value != null)
      .map(([label, value]) => h("div", null, h("dt", null, label), h("dd", null, value))),
  );
