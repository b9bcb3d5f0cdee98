// From values to places, and the round numbers on an axis. Pure.

/** A function from `from` to `to`, linear; a span of nothing lands in the middle. */
export function linear([low, high], [start, end]) {
  const span = high - low;
  return (value) => (span ? start + ((value - low) / span) * (end - start) : (start + end) / 2);
}

/** About `count` round numbers that cover low to high. */
export function ticks(low, high, count = 4) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= rough * 0.999);
  const found = [];
  for (let i = Math.floor(low / step); i <= Math.ceil(high / step - 1e-9); i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

/** Every UTC day from the first to the last, as `2026-11-25`. */
export { daysBetween as days } from "../ailydian/scale.js";
