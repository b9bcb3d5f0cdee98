// One section of the page: a heading, a skeleton while it loads, its content, or what went wrong.

import { h } from "./dom.js";
import { clock, say } from "./words.js";

/** What to tell people about a failure. */
export function excuse(failure) {
  if (failure.word in { unreachable: 1, timeout: 1 }) return say(`failed.${failure.word}`);
  if (failure.word === "unreadable") return say("failed.unreadable", { status: failure.status });
  if (failure.status === 401 || failure.status === 403) return say(`failed.${failure.status}`);
  return say("failed.other", { status: failure.status });
}

/** What is shown where there is nothing yet, with the command that changes it. */
export const empty = (title, text, command) =>
  h(
    "div",
    { class: "empty" },
    h("p", { class: "empty-title" }, title),
    h("p", null, text),
    command ? h("pre", { tabindex: "0" }, h("code", null, command)) : null,
  );

export class Section {
  /**
   * `load(round)` returns a promise of data, `draw(data)` returns nodes.
   * Data that is as it was is not drawn again, so that nobody loses their place.
   */
  constructor({ key, load, draw, every = 30_000, note = null, tools = null }) {
    Object.assign(this, { key, load, draw, every, last: 0, seen: null, at: null });
    this.body = h("div", { class: "section-body" });
    this.element = h(
      "section",
      { id: key, "aria-labelledby": `${key}-title`, "data-state": "loading" },
      h(
        "div",
        { class: "section-head" },
        h("h2", { id: `${key}-title` }, say(key)),
        tools ? h("div", { class: "tools" }, tools) : null,
      ),
      note ? h("p", { class: "note" }, note) : null,
      this.body,
    );
    this.skeleton();
  }

  skeleton() {
    this.body.replaceChildren(
      h("p", { class: "hidden" }, say("loading", { section: say(this.key) })),
      h("div", { class: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i")),
    );
  }

  /** Load and show; a failure never escapes. */
  async refresh(round) {
    this.last = Date.now();
    this.round = round;
    try {
      const data = await this.load(round);
      // Another period was chosen meanwhile.
      if (this.round !== round) return;
      this.at = Date.now();
      this.failure?.remove();
      this.failure = null;
      this.show(data);
    } catch (failure) {
      if (this.round !== round) return;
      if (!("word" in failure)) console.error(failure);
      this.fail(failure, round);
    }
  }

  show(data) {
    const text = JSON.stringify(data);
    if (text !== this.seen) {
      this.seen = text;
      this.redraw(data);
    }
    this.element.dataset.state = "ready";
  }

  redraw(data = JSON.parse(this.seen)) {
    const open = [...this.body.querySelectorAll("details[open][data-key]")].map(
      (d) => d.dataset.key,
    );
    const focused =
      this.body.contains(document.activeElement) && document.activeElement.dataset.key;
    this.body.replaceChildren(...[this.draw(data)].flat(Infinity).filter(Boolean));
    for (const part of this.body.querySelectorAll("[data-key]")) {
      if (open.includes(part.dataset.key)) part.open = true;
      if (focused && part.dataset.key === focused) part.focus();
    }
  }

  fail(failure, round) {
    this.failure?.remove();
    const retry = h("button", { type: "button", class: "button" }, say("retry"));
    retry.addEventListener("click", () => {
      round.forget();
      this.refresh(round);
    });
    const stale = this.seen !== null;
    this.failure = h(
      "div",
      { class: stale ? "failure stale" : "failure", role: "alert" },
      h(
        "p",
        { class: "failure-title" },
        stale ? say("failed.stale", { time: clock(this.at) }) : say("failed.title"),
      ),
      h("p", null, excuse(failure)),
      retry,
    );
    if (stale) this.body.before(this.failure);
    else this.body.replaceChildren(this.failure);
    this.element.dataset.state = stale ? "stale" : "failed";
  }
}
