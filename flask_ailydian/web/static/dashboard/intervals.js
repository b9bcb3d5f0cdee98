// What is known of a difference: a dot for the estimate, a whisker for the interval, a line at
// nothing. An end without a bound is an arrow.

import { h, s } from "./dom.js";
import { linear } from "./scale.js";

const HEIGHT = 48;
const MIDDLE = 16;

/**
 * `low` and `high` may be null (no bound). `zero`: where nothing is; `better`: -1 when less is
 * better, 1 when more is, 0 for neither. `span` fixes the axis, else it is even around zero.
 */
export function interval({
  value,
  low,
  high,
  zero = 0,
  better = 0,
  span = null,
  said,
  format,
  known = false,
}) {
  const ends = [low, high, value].filter((x) => x !== null).map((x) => Math.abs(x - zero));
  const reach = (Math.max(...ends, 1e-9) || 1) * 1.15;
  const [first, last] = span ?? [zero - reach, zero + reach];
  const box = h("div", {
    class: `interval ${known ? "known" : ""}`,
    role: "img",
    "aria-label": said,
  });
  let drawn = 0;
  new ResizeObserver(() => {
    const width = Math.floor(box.clientWidth);
    if (!width || width === drawn) return;
    drawn = width;
    const x = linear([first, last], [10, width - 10]);
    const from = low === null ? 4 : x(low);
    const to = high === null ? width - 4 : x(high);
    const good = { "-1": [0, x(zero)], 1: [x(zero), width - x(zero)] }[better];
    box.replaceChildren(
      s(
        "svg",
        { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" },
        good
          ? s("rect", { class: "good", x: good[0], width: good[1], height: MIDDLE * 2, rx: 4 })
          : null,
        s("path", { class: "zero", d: `M${x(zero)} 0V${MIDDLE * 2}` }),
        s("path", { class: "whisker", d: `M${from} ${MIDDLE}H${to}` }),
        end(from, low === null, -1),
        end(to, high === null, 1),
        value === null ? null : s("circle", { class: "estimate", cx: x(value), cy: MIDDLE, r: 5 }),
        label(10, "start", format(first)),
        label(x(zero), "middle", format(zero)),
        label(width - 10, "end", format(last)),
      ),
    );
  }).observe(box);
  return box;
}

const end = (x, open, way) =>
  s("path", {
    class: "whisker",
    d: open
      ? `M${x - way * 7} ${MIDDLE - 5}L${x} ${MIDDLE}L${x - way * 7} ${MIDDLE + 5}`
      : `M${x} ${MIDDLE - 6}V${MIDDLE + 6}`,
  });

const label = (x, anchor, text) =>
  s("text", { class: "tick", x, y: HEIGHT - 4, "text-anchor": anchor, text });
