// <ailydian-ask>: ask a question, watch the answer come, see who gave it and what it cost.

import { define, h, icon, Part, Problem } from "./base.js";
import { eventsOf } from "./events.js";

const RATINGS = { good: 5, bad: 1 };

export class AilydianAsk extends Part {
  static twins = {
    ...Part.twins,
    domain: ["domain", "text"],
    backend: ["backend", "text"],
    placeholder: ["placeholder", "text"],
  };

  constructor() {
    super();
    this._turns = [];
    this._draft = "";
  }

  /** The last answer, or null. */
  get answer() {
    return this._turns.at(-1)?.answer ?? null;
  }

  /** Whether an answer is on its way. */
  get busy() {
    return Boolean(this._running);
  }

  disconnectedCallback() {
    this.cancel();
  }

  changed(name) {
    if (name === "placeholder") this._rebuild();
  }

  build() {
    const words = this.words;
    this._list = h("ol", { class: "turns", part: "turns" });
    this._area = h("textarea", {
      id: "question",
      part: "text",
      rows: 3,
      maxlength: 4000,
      placeholder: this.placeholder,
      "aria-describedby": "hint",
      ".value": this._draft,
    });
    this._area.addEventListener("input", () => {
      this._draft = this._area.value;
    });
    this._area.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    this._sendButton = h(
      "button",
      { type: "button", class: "main", part: "button send", onclick: () => this.send() },
      words.send,
    );
    this._stopButton = h(
      "button",
      { type: "button", part: "button stop", hidden: true, onclick: () => this.cancel() },
      words.stop,
    );
    const compose = h(
      "div",
      { class: "compose", part: "input" },
      h("div", { class: "field" }, h("label", { for: "question" }, words.question), this._area),
      h(
        "div",
        { class: "actions" },
        h("p", { class: "small muted", id: "hint" }, words.askHint),
        h("div", { class: "actions" }, this._sendButton, this._stopButton),
      ),
    );
    for (const turn of this._turns) this._show(turn);
    this._drawActions();
    return [
      h(
        "div",
        { class: "card ask", part: "card", role: "group", "aria-label": words.askTitle },
        this._list,
        compose,
      ),
    ];
  }

  _drawActions() {
    this._sendButton.hidden = this.busy;
    this._stopButton.hidden = !this.busy;
  }

  /** Sends a question, by default the one that is written in the field. */
  async send(text) {
    const query = (text ?? this._draft).trim();
    if (this.busy) return;
    if (!query) {
      this._area.focus();
      return;
    }
    this._draft = this._area.value = "";
    const turn = { query, text: "", key: newKey() };
    this._turns.push(turn);
    this._show(turn);
    await this._answer(turn);
  }

  /** Gives up the answer that is on its way; what has come of it stays. */
  cancel() {
    this._running?.abort();
  }

  /** Back to the beginning. */
  reset() {
    this.cancel();
    this._turns = [];
    this._list.replaceChildren();
  }

  async _answer(turn) {
    const running = (this._running = new AbortController());
    Object.assign(turn, { text: "", problem: undefined, stopped: false, flowing: true });
    this._drawActions();
    this._draw(turn);
    this.announce(this.words.thinking);
    try {
      await this._stream(turn, running.signal);
      this.announce(`${turn.answer.answer} ${this.words.answered}`);
      this.tell("answer", { answer: turn.answer, query: turn.query });
    } catch (error) {
      if (running.signal.aborted) {
        turn.stopped = true;
        this.announce(this.words.stopped);
      } else {
        turn.problem = error instanceof Problem ? error : new Problem({ error: "unreadable" });
        this.tell("error", { ...turn.problem, query: turn.query });
      }
      // The same question gets the same answer when only its way back was lost.
      if (!["offline", "conflict"].includes(turn.problem?.error)) turn.key = newKey();
    }
    turn.flowing = false;
    this._running = undefined;
    this._drawActions();
    this._draw(turn);
  }

  async _stream(turn, signal) {
    const asked = { query: turn.query, stream: true };
    if (this.domain) asked.domain = this.domain;
    if (this.backend) asked.backend = this.backend;
    if (this.userId) asked.user_id = this.userId;
    const response = await this.ask("/query", {
      json: asked,
      signal,
      accept: "text/event-stream, application/problem+json",
      key: turn.key,
    });
    try {
      for await (const [name, data] of eventsOf(response.body)) {
        if (name === "route") {
          turn.route = data;
          this._draw(turn);
        } else if (name === "delta") {
          turn.text += data.text;
          turn.said.textContent = turn.text;
        } else if (name === "done") {
          turn.answer = data;
        } else if (name === "error") {
          throw new Problem(data);
        }
      }
    } catch (error) {
      if (error instanceof Problem || signal.aborted) throw error;
      throw new Problem({ error: error instanceof SyntaxError ? "unreadable" : "offline" });
    }
    if (!turn.answer) throw new Problem({ error: "offline" });
    turn.text = turn.answer.answer;
  }

  // The look of one question and its answer.

  _show(turn) {
    turn.said = h("p", { class: "said", part: "answer" });
    turn.node = h("li", { class: "turn", part: "turn" });
    this._list.append(turn.node);
    this._draw(turn);
  }

  _draw(turn) {
    const words = this.words;
    turn.said.textContent = turn.text;
    turn.said.classList.toggle("flowing", turn.flowing === true);
    const parts = [
      h(
        "p",
        { class: "question", part: "question" },
        h("span", { class: "unseen" }, `${words.you}: `),
        turn.query,
      ),
    ];
    const told = turn.answer ?? turn.route;
    if (told) parts.push(this._who(told));
    else if (turn.flowing) parts.push(h("p", { class: "muted" }, words.thinking));
    if (told || turn.text) parts.push(turn.said);
    if (turn.stopped) parts.push(h("p", { class: "muted" }, words.stopped));
    if (turn.problem) parts.push(this.problemBox(turn.problem, () => this._again(turn)));
    if (turn.answer) parts.push(this._foot(turn), this._why(turn.answer));
    turn.node.replaceChildren(...parts);
  }

  _again(turn) {
    if (this.busy) return;
    turn.route = turn.answer = undefined;
    this._area.focus();
    this._answer(turn);
  }

  _who({ backend, reason }) {
    const words = this.words;
    const paid = backend.startsWith("3rdparty");
    const standsIn = backend.endsWith("-fallback");
    const look = standsIn ? "warn" : paid ? "accent" : "ok";
    return h(
      "p",
      { class: "who small", part: "backend" },
      h(
        "span",
        { class: `badge ${look}`, "data-backend": backend },
        words.backends[backend] ?? backend,
      ),
      h("span", { class: "muted" }, words.reasons[reason] ?? reason),
    );
  }

  _foot(turn) {
    const words = this.words;
    const { cost, performance, cached } = turn.answer;
    const fact = (name, value) =>
      h("div", {}, h("dt", {}, name), h("dd", { class: "figures" }, value));
    const facts = h(
      "dl",
      { class: "facts", part: "facts" },
      fact(words.cost, this.money(cost.actual, cost.currency)),
      fact(words.saved, this.money(cost.saved, cost.currency)),
      fact(
        words.time,
        words.took(this.number(performance.total_ms, 1)) + (cached ? `, ${words.cached}` : ""),
      ),
    );
    return h("div", { class: "foot" }, facts, this._thumbs(turn));
  }

  _thumbs(turn) {
    const words = this.words;
    const note = h("p", { class: "small", part: "rated" }, turn.rated ? words.thanks : "");
    const button = (name, label, drawn) => {
      const made = h(
        "button",
        {
          type: "button",
          part: `button ${name}`,
          "aria-label": label,
          title: label,
          "aria-pressed": String(turn.rated === RATINGS[name]),
        },
        icon(drawn),
      );
      made.addEventListener("click", () => this._rate(turn, RATINGS[name], made));
      return made;
    };
    return h(
      "div",
      { class: "rating", role: "group", "aria-label": words.rate },
      h(
        "div",
        { class: "thumbs" },
        button("good", words.good, "up"),
        button("bad", words.bad, "down"),
      ),
      note,
    );
  }

  async _rate(turn, rating, pressed) {
    const group = pressed.closest(".rating");
    const note = group.querySelector('[part="rated"]');
    try {
      await this.ask("/feedback", { json: { id: turn.answer.id, rating } });
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem({ error: "unreadable" });
      note.replaceChildren(this.problemBox(problem));
      this.tell("error", { ...problem, query: turn.query });
      return;
    }
    turn.rated = rating;
    for (const other of group.querySelectorAll("button")) {
      other.setAttribute("aria-pressed", String(other === pressed));
    }
    note.textContent = this.words.thanks;
    this.announce(this.words.thanks);
    this.tell("rating", { id: turn.answer.id, rating });
  }

  _why(answer) {
    const words = this.words;
    const { score, complexity, parts, thresholds } = answer.classification;
    const rows = parts.map((part) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, words.parts[part.feature] ?? part.feature),
        h("td", {}, this._because(part.because)),
        h("td", { class: "figures" }, this.number(part.points, 1)),
      ),
    );
    const tried = Object.entries(answer.tried ?? {}).map(([backend, why]) => {
      // Of several paid services each has a name.
      const [kind, name] = backend.split(":");
      return `${[words.backends[kind] ?? kind, name].filter(Boolean).join(" ")} (${why})`;
    });
    return h(
      "details",
      { part: "why" },
      h("summary", {}, words.why),
      h(
        "div",
        { class: "why" },
        h("p", {}, words.scored(this.number(score, 1), words.complexity[complexity])),
        this._scale(score, thresholds),
        h("p", { class: "small muted" }, words.thresholds(thresholds.simple, thresholds.medium)),
        h(
          "div",
          { class: "scroll" },
          h(
            "table",
            {},
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                h("th", { scope: "col", colspan: 2 }, words.part),
                h("th", { scope: "col" }, words.points),
              ),
            ),
            h("tbody", {}, ...rows),
          ),
        ),
        tried.length ? h("p", { class: "small" }, words.triedFirst(tried.join(", "))) : null,
        answer.model ? h("p", { class: "small muted" }, answer.model) : null,
        h("p", { class: "small muted" }, words.record(answer.id)),
      ),
    );
  }

  _because(text) {
    const count = /^(\d+) words$/.exec(text);
    return count ? this.words.words(Number(count[1])) : text;
  }

  _scale(score, { simple, medium }) {
    const end = Math.max(medium + (medium - simple), score * 1.05);
    const band = (name, width) => {
      const node = h("i", { class: name });
      node.style.inlineSize = `${(100 * width) / end}%`;
      return node;
    };
    const mark = h("b");
    mark.style.insetInlineStart = `${(100 * score) / end}%`;
    return h(
      "div",
      { class: "scale", "aria-hidden": "true" },
      band("simple", simple),
      band("medium", medium - simple),
      band("complex", end - medium),
      mark,
    );
  }
}

/** A key under which a repeat gets the first answer; it also works without a secure context. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

define("ailydian-ask", AilydianAsk);
