// What the three components share: properties with attribute twins, requests, errors, DOM.

import { sheet } from "./looks.js";
import { sentence, wordsFor } from "./words.js";

/** Where the routes are, as this file's own address says: PREFIX/static/ailydian/base.js. */
const OWN_ENDPOINT = new URL("../..", import.meta.url).href;

/** Makes an element. `on…` listens, `.name` sets a property, anything else is an attribute. */
export function h(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith(".")) node[key.slice(1)] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(
    ...children.filter((child) => child !== undefined && child !== null && child !== false),
  );
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Makes an element of a drawing. */
export function svg(tag, given = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(given)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

const PATHS = {
  upload: "M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3",
  file: "M14 3H7a1 1 0 0 0-1 1v16a1 1 0 0 0 1 1h10a1 1 0 0 0 1-1V7zm0 0v4h4",
  alert:
    "M12 8v5m0 3.5v.01M10.3 4.3 2.9 17a2 2 0 0 0 1.7 3h14.8a2 2 0 0 0 1.7-3L13.7 4.3a2 2 0 0 0-3.4 0z",
  info: "M12 11v5m0-8.5v.01M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z",
  up: "M7 11v9H4v-9zm0 0 4-8a2.5 2.5 0 0 1 2.5 2.5V9h5a2 2 0 0 1 2 2.3l-1.2 7a2 2 0 0 1-2 1.7H7",
  down: "M17 13V4h3v9zm0 0-4 8a2.5 2.5 0 0 1-2.5-2.5V15h-5a2 2 0 0 1-2-2.3l1.2-7A2 2 0 0 1 6.7 4H17",
  check: "m5 12.5 4.5 4.5L19 7.5",
};

/** A small picture that says nothing by itself. */
export function icon(name) {
  return svg(
    "svg",
    { viewBox: "0 0 24 24", "aria-hidden": "true", class: "icon", part: "icon" },
    svg("path", { d: PATHS[name] }),
  );
}

const BUSY = new Set([409, 429, 503, 504]);

/** An error with the members of the server's body; `offline` when there was no answer at all. */
export class Problem extends Error {
  constructor(body) {
    super(body.title || body.error);
    Object.assign(this, { status: 0, title: "", ...body });
  }

  /** Reads what the server said; *retry* is its header Retry-After. */
  static of(status, text, retry) {
    let body;
    try {
      body = JSON.parse(text);
    } catch {
      body = null;
    }
    // Some hosts put the header on every answer; it means something on these.
    const wait = BUSY.has(status) ? Number.parseInt(retry ?? "", 10) : Number.NaN;
    const known = body && typeof body.error === "string" ? body : { error: "unreadable" };
    return new Problem({ ...known, status, retryAfter: Number.isNaN(wait) ? undefined : wait });
  }
}

const KINDS = {
  text: { read: (value) => value, plain: true },
  number: { read: (value) => (value === null ? null : Number(value)), plain: true },
  flag: { read: (value) => value !== null, plain: true },
  json: { read: parsed, plain: false },
};

function parsed(text) {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Gives a class a property for each attribute of its `twins`: {attribute: [property, kind]}. */
export function define(tag, cls) {
  for (const [attribute, [name, kind]] of Object.entries(cls.twins)) {
    const { read, plain } = KINDS[kind];
    Object.defineProperty(cls.prototype, name, {
      configurable: true,
      enumerable: true,
      get() {
        if (this._set.has(name)) return this._set.get(name);
        return read(this.getAttribute(attribute));
      },
      set(value) {
        if (!plain && typeof value !== "string") {
          this._set.set(name, value);
          this._changed(name);
          return;
        }
        // A plain value lives in the attribute alone, so that the two never differ.
        this._set.delete(name);
        if (value === null || value === undefined || value === false)
          this.removeAttribute(attribute);
        else this.setAttribute(attribute, value === true ? "" : value);
      },
    });
  }
  if (!customElements.get(tag)) customElements.define(tag, cls);
}

const SHARED = {
  endpoint: ["endpoint", "text"],
  "csrf-header": ["csrfHeader", "text"],
  "csrf-token": ["csrfToken", "text"],
  "user-id": ["userId", "text"],
};

/** The base of the three elements. A subclass has `build()` and may have `changed(name)`. */
export class Part extends HTMLElement {
  static twins = SHARED;

  static get observedAttributes() {
    return [...Object.keys(this.twins), "lang"];
  }

  constructor() {
    super();
    this._set = new Map();
    /** Further headers of every request, such as `Authorization`. */
    this.headers = null;
    this.attachShadow({ mode: "open" });
    this.shadowRoot.adoptedStyleSheets = [sheet()];
  }

  connectedCallback() {
    for (const [name] of Object.values(this.constructor.twins)) {
      // Set before this file was loaded: move it through the accessor.
      if (Object.hasOwn(this, name)) {
        const value = this[name];
        delete this[name];
        this[name] = value;
      }
    }
    this._rebuild();
  }

  attributeChangedCallback(attribute, before, after) {
    if (before === after || !this.isConnected) return;
    if (attribute === "lang") {
      this._rebuild();
      return;
    }
    const [name] = this.constructor.twins[attribute];
    this._set.delete(name);
    this._changed(name);
  }

  _changed(name) {
    if (this.isConnected && this.words) this.changed?.(name);
  }

  _rebuild() {
    const asked = this.closest("[lang]")?.getAttribute("lang") || document.documentElement.lang;
    this.words = wordsFor(asked);
    this.status = h("p", { role: "status", class: "unseen" });
    this.shadowRoot.replaceChildren(this.status, ...this.build());
  }

  /** Says something to those who do not see the screen. */
  announce(text) {
    this.status.textContent = text;
  }

  /** Lets the host know. */
  tell(name, detail) {
    this.dispatchEvent(
      new CustomEvent(`ailydian-${name}`, { detail, bubbles: true, composed: true }),
    );
  }

  /** The address of one of our routes. */
  url(path) {
    const base = new URL(this.endpoint || OWN_ENDPOINT, document.baseURI).href;
    return new URL(base.replace(/\/+$/, "") + path);
  }

  /** The headers for an address; the host's token goes to the host alone. */
  headersFor(url) {
    const found = { Accept: "application/json, application/problem+json", ...this.headers };
    const token =
      this.csrfToken || document.querySelector('meta[name="csrf-token"]')?.getAttribute("content");
    if (token && url.origin === location.origin) found[this.csrfHeader || "X-CSRFToken"] = token;
    return found;
  }

  /** Sends a request and returns its response; raises a Problem for everything but success. */
  async ask(path, { json, signal, accept, key } = {}) {
    const url = this.url(path);
    const headers = this.headersFor(url);
    if (accept) headers.Accept = accept;
    if (key) headers["Idempotency-Key"] = key;
    if (json !== undefined) headers["Content-Type"] = "application/json";
    let response;
    let text;
    try {
      response = await fetch(url, {
        method: json === undefined ? "GET" : "POST",
        headers,
        body: json === undefined ? undefined : JSON.stringify(json),
        credentials: url.origin === location.origin ? "same-origin" : "include",
        signal,
      });
      if (response.ok) return response;
      text = await response.text();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ error: "offline" });
    }
    throw Problem.of(response.status, text, response.headers.get("Retry-After"));
  }

  /** A box that says what went wrong and offers to try again. */
  problemBox(problem, retry) {
    const words = this.words;
    const lines = [];
    if (problem.error === "offline") lines.push(words.offlineDetail);
    if (problem.retryAfter) lines.push(words.waitSeconds(this.number(problem.retryAfter)));
    const detail = [problem.detail, ...fieldMessages(problem.fields)].filter(
      (text, i, all) => text && all.indexOf(text) === i,
    );
    return h(
      "div",
      { class: "problem", part: "problem", role: "alert", "data-error": problem.error },
      icon("alert"),
      h(
        "div",
        {},
        h("p", { class: "strong" }, sentence(words, problem)),
        ...lines.map((line) => h("p", {}, line)),
        // The server writes its details in English.
        ...detail.map((line) => h("p", { lang: "en" }, line)),
        problem.id ? h("p", { class: "small" }, words.record(problem.id)) : null,
        retry
          ? h(
              "button",
              { type: "button", class: "quiet", part: "button", onclick: retry },
              words.retry,
            )
          : null,
      ),
    );
  }

  /** A number as this language writes it. */
  number(value, digits = 0) {
    return new Intl.NumberFormat(this.words.code, { maximumFractionDigits: digits }).format(value);
  }

  /** A share of one as per cent, with two decimals. */
  percent(share, digits = 2) {
    return new Intl.NumberFormat(this.words.code, {
      style: "percent",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }).format(share);
  }

  /** Dollars, exact enough for a fraction of a cent. */
  money(value, currency = "USD") {
    return new Intl.NumberFormat(this.words.code, {
      style: "currency",
      currency,
      minimumFractionDigits: 2,
      maximumFractionDigits: value !== 0 && Math.abs(value) < 0.01 ? 6 : 4,
    }).format(value);
  }
}

function fieldMessages(fields) {
  if (!fields || typeof fields !== "object") return [];
  return Object.entries(fields).map(([name, said]) => `${name}: ${[said].flat().join(" ")}`);
}
