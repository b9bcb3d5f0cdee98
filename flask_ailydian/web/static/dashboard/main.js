// Starts the dashboard: the frame around the sections, and the clock that keeps them fresh.

import { ask, withQuery } from "./api.js";
import * as costs from "./costs.js";
import { h, s } from "./dom.js";
import * as drift from "./drift.js";
import * as health from "./health.js";
import * as models from "./models.js";
import * as overview from "./overview.js";
import { Section } from "./section.js";
import { pill } from "./small.js";
import * as tests from "./tests.js";
import * as traffic from "./traffic.js";
import { trail } from "./trail.js";
import { clock, language, LANGUAGES, say } from "./words.js";

const PERIODS = [7, 30, 90];
const THEMES = ["auto", "light", "dark"];
const TICK_MS = 5_000;

const address = new URL(location.href);
let period = PERIODS.includes(Number(address.searchParams.get("days")))
  ? Number(address.searchParams.get("days"))
  : 30;
let paused = false;

/** One pass over the sections: what two of them ask for is fetched once. */
class Round {
  constructor() {
    const to = new Date();
    const from = new Date(to - (period - 1) * 86_400_000);
    const span = { from: from.toISOString().slice(0, 10), to: to.toISOString().slice(0, 10) };
    this.daily = withQuery("/metrics/daily", span);
    this.costs = withQuery("/costs", span);
    this.forget();
  }

  forget() {
    this.asked = new Map();
  }

  ask(path, options) {
    if (!this.asked.has(path)) this.asked.set(path, ask(path, options));
    return this.asked.get(path);
  }
}

const sections = [
  new Section({ key: "overview", ...overview, every: 15_000 }),
  new Section({ key: "models", ...models, every: 60_000 }),
  new Section({ key: "traffic", ...traffic, tools: traffic.tools(() => sections[2].redraw()) }),
  new Section({ key: "money", ...costs }),
  new Section({ key: "tests", ...tests, every: 60_000 }),
  new Section({ key: "drift", ...drift, note: say("drift.note"), every: 60_000 }),
  new Section({ key: "health", ...health, every: 15_000 }),
];
const order = ["overview", "models", "traffic", "money", "tests", "drift", "trail", "health"];

const updated = h("p", { role: "status", class: "updated" }, say("updating"));
const standing = h(
  "a",
  { href: "#health", class: "standing" },
  pill("inactive", say("state.unknown")),
);

async function refresh(due) {
  const round = new Round();
  await Promise.all(due.map((section) => section.refresh(round)));
  const text = say("updated", { time: clock(Date.now()) });
  if (due.every((section) => !section.failure) && updated.textContent !== text)
    updated.textContent = text;
  const { seen, failure } = sections.at(-1);
  const ready = failure || !seen ? "unknown" : JSON.parse(seen).status;
  const kind = { ready: "active", not_ready: "bad", unknown: "inactive" }[ready];
  standing.replaceChildren(pill(kind, say(`state.${ready}`)));
}

function tick() {
  if (paused || document.hidden) return;
  const due = sections.filter((section) => Date.now() - section.last >= section.every);
  if (due.length) refresh(due);
}

function pausing() {
  const button = h(
    "button",
    { type: "button", class: "button ghost", "aria-pressed": "false" },
    say("pause"),
  );
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = say(paused ? "resume" : "pause");
    tick();
  });
  return button;
}

function periods() {
  const select = h(
    "select",
    { "aria-label": say("period") },
    PERIODS.map((days) =>
      h("option", { value: days, selected: days === period }, say(`period.${days}`)),
    ),
  );
  select.addEventListener("change", () => {
    period = Number(select.value);
    address.searchParams.set("days", String(period));
    history.replaceState(null, "", address);
    for (const link of document.querySelectorAll("a[hreflang]"))
      link.href = inLanguage(link.hreflang);
    refresh(sections);
  });
  return select;
}

function inLanguage(code) {
  const url = new URL(address);
  url.searchParams.set("lang", code);
  return url.href;
}

const languages = () =>
  h(
    "nav",
    { class: "languages", "aria-label": say("language") },
    Object.entries(LANGUAGES).map(([code, title]) =>
      h(
        "a",
        {
          href: inLanguage(code),
          hreflang: code,
          lang: code,
          "aria-label": title,
          "aria-current": code === language ? "true" : null,
        },
        code.toUpperCase(),
      ),
    ),
  );

function themes() {
  const kept = remembered();
  const select = h(
    "select",
    { "aria-label": say("theme") },
    THEMES.map((theme) =>
      h("option", { value: theme, selected: theme === kept }, say(`theme.${theme}`)),
    ),
  );
  const dress = (theme) => {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  };
  select.addEventListener("change", () => {
    dress(select.value);
    remember(select.value);
  });
  dress(kept);
  return select;
}

// A browser that keeps nothing for this site throws: then the choice holds for this visit.
function remember(theme) {
  try {
    localStorage.setItem("ailydian-theme", theme);
  } catch {
    return;
  }
}

function remembered() {
  try {
    const kept = localStorage.getItem("ailydian-theme");
    return THEMES.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}

const mark = () =>
  s(
    "svg",
    { class: "mark", viewBox: "0 0 24 24", width: 26, height: 26, "aria-hidden": "true" },
    s("rect", { width: 24, height: 24, rx: 6 }),
    s("path", { d: "M4.5 13h3.2l2-6.5 3.9 11 2.2-6.5h3.7" }),
  );

function frame() {
  const { home, api } = document.body.dataset;
  const elements = Object.fromEntries(sections.map((section) => [section.key, section.element]));
  elements.trail = trail();
  document.body.append(
    h("a", { class: "skip", href: "#content" }, say("skip")),
    h(
      "header",
      { class: "top" },
      h(
        "div",
        { class: "brand" },
        mark(),
        h("h1", null, h("span", null, "flask-ailydian"), say("title")),
      ),
      h("div", { class: "status" }, standing, updated, pausing()),
      h("div", { class: "choices" }, periods(), themes(), languages()),
    ),
    h(
      "div",
      { class: "columns" },
      h(
        "nav",
        { class: "side", "aria-label": say("sections") },
        h(
          "ul",
          null,
          order.map((key) => h("li", null, h("a", { href: `#${key}` }, say(key)))),
        ),
        h(
          "ul",
          { class: "away" },
          h("li", null, h("a", { href: home }, say("back"))),
          h("li", null, h("a", { href: `${api}/docs` }, say("reference"))),
        ),
      ),
      h(
        "main",
        { id: "content", tabindex: "-1" },
        order.map((key) => elements[key]),
      ),
    ),
  );
  follow(Object.values(elements));
}

/** Mark in the list of sections the one that is being read. */
function follow(elements) {
  const links = new Map(
    [...document.querySelectorAll(".side a[href^='#']")].map((a) => [a.hash.slice(1), a]),
  );
  const met = new Set();
  const watch = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries)
        met[isIntersecting ? "add" : "delete"](target.id);
      const current = order.find((key) => met.has(key));
      for (const [key, link] of links) {
        if (key === current) link.setAttribute("aria-current", "location");
        else link.removeAttribute("aria-current");
      }
    },
    { rootMargin: "-10% 0px -60% 0px" },
  );
  for (const element of elements) watch.observe(element);
}

frame();
refresh(sections);
setInterval(tick, TICK_MS);
document.addEventListener("visibilitychange", tick);
