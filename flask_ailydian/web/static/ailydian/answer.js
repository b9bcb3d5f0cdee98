// What a panel shows of an answer: progress, classes, the heat map, and the row of many pictures.

import { h, icon } from "./base.js";
import { paint, seen, strongest } from "./picture.js";

const SHOWN_CLASSES = 10;

export function layHeat(panel, stage, item) {
  const found = item.answer?.explanation;
  if (!found) return;
  const canvas = h("canvas", { class: "map", part: "heat", "aria-hidden": "true" });
  paint(canvas, found.grid);
  canvas.style.opacity = panel._opacity;
  if (item.view && found.frame) {
    stage.classList.toggle("asis", found.frame.upright === false);
    const place = seen(item.view, found.frame);
    for (const [side, share] of Object.entries(place)) canvas.style[side] = `${100 * share}%`;
  } else {
    Object.assign(canvas.style, { left: "0", top: "0", width: "100%", height: "100%" });
  }
  panel._map = canvas;
  stage.append(canvas);
}

export function progress(panel, item) {
  const words = panel.words;
  const sent = item.state === "sending";
  const share = sent ? (item.sent ?? 0) : 1;
  const text = sent ? words.sending(panel.percent(share, 0)) : words.working;
  const fill = h("div", { class: "fill", part: "bar" });
  fill.style.inlineSize = `${100 * share}%`;
  return h(
    "div",
    { class: "field" },
    h("p", { class: "label figures" }, text),
    h(
      "div",
      {
        class: `track${sent ? "" : " busy"}`,
        role: "progressbar",
        "aria-label": text,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": sent ? Math.round(100 * share) : null,
      },
      fill,
    ),
  );
}

export function queue(panel) {
  const words = panel.words;
  const ended = panel._items.filter((i) =>
    ["done", "failed", "cancelled"].includes(i.state),
  ).length;
  const all = panel._items.length;
  const partly = panel._items.reduce(
    (sum, i) => sum + (i.state === "sending" ? (i.sent ?? 0) / 2 : i.state === "working" ? 0.5 : 0),
    ended,
  );
  const text = words.overall(panel.number(ended), panel.number(all));
  const fill = h("div", { class: "fill" });
  fill.style.inlineSize = `${(100 * partly) / all}%`;
  const overall = h(
    "div",
    { class: "field" },
    h("p", { class: "label figures" }, text),
    h(
      "div",
      {
        class: "track",
        role: "progressbar",
        "aria-label": text,
        "aria-valuemin": 0,
        "aria-valuemax": all,
        "aria-valuenow": ended,
      },
      fill,
    ),
  );
  const rows = panel._items.map((item, i) => queueRow(panel, item, i));
  return [overall, h("ul", { class: "queue", "aria-label": words.pictures }, ...rows)];
}

function queueRow(panel, item, i) {
  const words = panel.words;
  const states = {
    ready: () => h("span", { class: "badge" }, words.waiting),
    sending: () => h("span", { class: "badge accent" }, panel.percent(item.sent ?? 0, 0)),
    working: () => h("span", { class: "badge accent" }, words.working),
    cancelled: () => h("span", { class: "badge" }, words.cancelled),
    failed: () => h("span", { class: "badge bad" }, words.failed),
    done: () => h("span", { class: "figures strong" }, shareOf(panel, item.answer) ?? ""),
  };
  const thumb = item.view
    ? h("img", { class: "thumb", src: item.view.address, alt: "" })
    : h("span", { class: "thumb" }, icon("file"));
  const button = h(
    "button",
    { type: "button", "data-at": i, "aria-current": i === panel._current ? "true" : null },
    thumb,
    h(
      "span",
      { class: "what" },
      words.pictureNumber(i + 1),
      item.answer?.prediction ? ` · ${item.answer.prediction}` : null,
    ),
    states[item.state](),
  );
  button.addEventListener("click", () => {
    panel._look(i);
  });
  return h("li", {}, button);
}

export function shareOf(panel, answer) {
  const found = answer.probabilities?.[answer.prediction];
  return found ? panel.percent(found.probability) : null;
}

export function result(panel, item) {
  const words = panel.words;
  const answer = item.answer;
  const parts = [];
  if (answer.probabilities) {
    parts.push(
      h(
        "div",
        { class: "verdict" },
        h(
          "div",
          {},
          h("p", { class: "label muted" }, words.result),
          h("p", { class: "named", part: "prediction" }, answer.prediction),
        ),
        h(
          "div",
          {},
          h("p", { class: "label muted" }, words.confidence),
          h("p", { class: "value figures", part: "confidence" }, shareOf(panel, answer)),
        ),
      ),
      chances(panel, answer),
    );
  } else {
    const text = JSON.stringify(answer.outputs, null, 1).slice(0, 4000);
    parts.push(h("p", { class: "label muted" }, words.outputs));
    parts.push(h("pre", { class: "scroll small", tabindex: "0" }, text));
  }
  if (answer.explanation) parts.push(heatControls(panel, item));
  const { name, version, status } = answer.model;
  parts.push(
    h(
      "p",
      { class: "meta small muted figures", part: "meta" },
      h("span", {}, `${name} ${version}`),
      status === "testing" ? h("span", {}, words.testing) : null,
      h("span", {}, words.took(panel.number(answer.performance.total_ms, 1))),
      answer.cached ? h("span", {}, words.cached) : null,
      h("span", {}, words.record(answer.id)),
    ),
  );
  return parts;
}

function chances(panel, answer) {
  const words = panel.words;
  const sorted = Object.entries(answer.probabilities).sort(
    ([, a], [, b]) => b.probability - a.probability,
  );
  const rows = sorted.slice(0, SHOWN_CLASSES).map(([label, { probability }]) => {
    const fill = h("div", { class: "fill", part: "bar" });
    fill.style.inlineSize = `${100 * probability}%`;
    return h(
      "li",
      { class: label === answer.prediction ? "first" : null },
      h("span", { class: "name" }, label),
      h("span", { class: "figures" }, panel.percent(probability)),
      h("div", { class: "track", "aria-hidden": "true" }, fill),
    );
  });
  const more = sorted.length - rows.length;
  return h(
    "ol",
    { class: "chances", part: "probabilities", "aria-label": words.classes },
    ...rows,
    more > 0 ? h("li", { class: "small muted" }, words.moreClasses(panel.number(more))) : null,
  );
}

function heatControls(panel, item) {
  const words = panel.words;
  const { class: label, grid } = item.answer.explanation;
  const [row, column] = strongest(grid);
  const slider = h("input", { type: "range", min: 0, max: 100, ".value": 100 * panel._opacity });
  slider.addEventListener("input", () => {
    panel._opacity = slider.value / 100;
    if (panel._map) panel._map.style.opacity = panel._opacity;
  });
  const alone = item.view ? null : h("div", { class: "stage alone" });
  if (alone) layHeat(panel, alone, item);
  return h(
    "div",
    { class: "heat", part: "explanation" },
    h("p", { class: "label" }, words.heat),
    alone,
    alone ? h("p", { class: "small muted" }, words.noPictureBehind) : null,
    h("label", {}, words.opacity, slider),
    h(
      "p",
      { class: "key small" },
      h("span", {}, h("i", { class: "for" }), words.heatFor(label)),
      h("span", {}, h("i", { class: "against" }), words.heatAgainst),
    ),
    h("p", { class: "small" }, words.heatWhere(label, words.places[row][column])),
    h("p", { class: "small muted" }, words.heatMeans),
  );
}
