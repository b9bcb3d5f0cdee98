// What is said, in the page's language, and numbers and dates as that language writes them.

import en from "./en.js";
import tr from "./tr.js";

export const LANGUAGES = { en: "English", tr: "Türkçe" };
export const language =
  document.documentElement.lang in LANGUAGES ? document.documentElement.lang : "en";
const { words, sentences } = { en, tr }[language];

/** The words for `key`, with `{name}` replaced from `values`. */
export function say(key, values = {}) {
  if (!(key in words)) throw new Error(`no words for ${key}`);
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The words for one of a family of keys, or the bare value where none are known. */
export const name = (family, value) => words[`${family}.${value}`] ?? String(value ?? "–");

/** A sentence of the server in the page's language, and the language it ended up in. */
export function translated(text) {
  for (const [pattern, put] of sentences) {
    const found = text.match(pattern);
    if (found) return { text: put(found, name), lang: language };
  }
  return { text, lang: "en" };
}

const NONE = "–";
const known = (write) => (value) => (value === null || value === undefined ? NONE : write(value));
const numbers = (options) => {
  const format = new Intl.NumberFormat(language, options);
  // A minus, not a hyphen; and nothing is neither above nor below nothing.
  return (value) => format.format(value === 0 ? 0 : value).replace("-", "−");
};
const dates = (options) => {
  const format = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, options);
  return (value) => format.format(new Date(value));
};

export const integer = known(numbers({ maximumFractionDigits: 0 }));
export const decimal = known(numbers({ maximumSignificantDigits: 3 }));
export const compact = known(numbers({ notation: "compact", maximumFractionDigits: 1 }));
export const percent = known(numbers({ style: "percent", maximumFractionDigits: 1 }));
export const signedPercent = known(
  numbers({ style: "percent", maximumFractionDigits: 1, signDisplay: "exceptZero" }),
);
export const signedTenth = known(numbers({ maximumFractionDigits: 1, signDisplay: "exceptZero" }));
export const signed = known(numbers({ maximumSignificantDigits: 3, signDisplay: "exceptZero" }));
const cents = numbers({ style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" });
const fine = numbers({
  style: "currency",
  currency: "USD",
  currencyDisplay: "narrowSymbol",
  maximumSignificantDigits: 2,
});
/** Dollars: cents, and two digits of what is less than ten cents. */
export const money = known((value) =>
  value && Math.abs(value) < 0.095 ? fine(value) : cents(value),
);
const whole = numbers({ maximumFractionDigits: 0 });
const tenth = numbers({ maximumFractionDigits: 1, minimumFractionDigits: 1 });
/** Milliseconds, and seconds from a thousand of them. */
export const ms = known((value) => {
  if (value >= 1000) return `${tenth(value / 1000)} ${say("unit.s")}`;
  return `${value < 100 ? tenth(value) : whole(value)} ms`;
});
/** Bytes as megabytes. */
export const megabytes = known((value) => `${decimal(value / 1e6)} MB`);
/** A UTC day such as `2026-11-25`. */
export const day = known(dates({ day: "numeric", month: "short", timeZone: "UTC" }));
export const fullDay = known(
  dates({ weekday: "short", day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }),
);
/** A moment, where the reader is. */
export const moment = known(
  dates({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }),
);
export const exactMoment = known(
  dates({
    day: "2-digit",
    month: "2-digit",
    year: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  }),
);
export const clock = known(dates({ hour: "2-digit", minute: "2-digit" }));
