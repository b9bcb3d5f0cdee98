// The arithmetic of a chart: which days, how far up, and where the lines go.

/** Returns every day from one ISO date to another, both included. */
export function daysBetween(from, to) {
  const dates = [];
  const end = Date.parse(`${to}T00:00:00Z`);
  for (let at = Date.parse(`${from}T00:00:00Z`); at <= end; at += 86_400_000) {
    dates.push(new Date(at).toISOString().slice(0, 10));
  }
  return dates;
}

/** Returns the largest number of several series, or of their sums where bars are stacked. */
export function extent(values, stacked) {
  const tops = values[0].map((_, i) => {
    const here = values.map((series) => series[i] ?? 0);
    return stacked ? here.reduce((sum, value) => sum + value, 0) : Math.max(...here);
  });
  return Math.max(...tops) || 1;
}

/** Returns round numbers from zero to at least *top*. */
export function steps(top, about = 4) {
  const rough = top / about;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= rough * 0.999);
  const count = Math.ceil((top / step) * 0.999);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(12)));
}
