// The audit trail for those who may manage: read when asked for, as reading is on record too.

import { ask, withQuery } from "./api.js";
import { h, id, table } from "./dom.js";
import { empty, excuse } from "./section.js";
import { exactMoment, integer, name, percent, say } from "./words.js";

const PAGE = 50;
/** Walking a long trail takes its time. */
const PATIENCE_MS = 15 * 60_000;
const KINDS = [
  ...["inference", "query", "egress_intent", "egress_result", "access_refused", "request_refused"],
  ...["model_registered", "model_activated", "ab_test_created", "ab_test_split", "ab_test_decided"],
  ...["ab_test_promoted", "ab_test_stopped", "export", "erasure", "correction", "retention"],
  ...["job_submitted", "job_finished", "job_cancelled", "job_expired", "answer_replayed"],
  ...["key_created", "key_revoked", "keys_rotated", "trail_read", "trail_verified"],
  "writer_started",
];

/** The section; it does not refresh by itself. */
export function trail() {
  const manages = "manages" in document.body.dataset;
  return h(
    "section",
    { id: "trail", "aria-labelledby": "trail-title", "data-state": "ready" },
    h("div", { class: "section-head" }, h("h2", { id: "trail-title" }, say("trail"))),
    manages
      ? [h("p", { class: "note" }, say("trail.note")), verifying(), reading()]
      : h("p", { class: "lead" }, say("trail.may_not")),
  );
}

function verifying() {
  const outcome = h("div", { role: "status", class: "outcome" });
  const box = id("incremental");
  const incremental = h("input", { type: "checkbox", id: box });
  const button = h("button", { type: "button", class: "button primary" }, say("trail.verify"));
  button.addEventListener("click", async () => {
    button.disabled = true;
    const started = Date.now();
    const told = h("span", null, say("trail.verifying", { seconds: 0 }));
    outcome.replaceChildren(h("progress", { "aria-label": say("trail.verify") }), told);
    const tick = setInterval(() => {
      told.textContent = say("trail.verifying", {
        seconds: integer((Date.now() - started) / 1000),
      });
    }, 1000);
    try {
      const query = { incremental: incremental.checked ? "true" : "" };
      outcome.replaceChildren(
        verdict(await ask(withQuery("/audit/verify", query), { patience: PATIENCE_MS })),
      );
    } catch (failure) {
      outcome.replaceChildren(h("p", { class: "caution" }, excuse(failure)));
    } finally {
      clearInterval(tick);
      button.disabled = false;
    }
  });
  return h(
    "div",
    { class: "verify" },
    button,
    h("label", { for: box }, incremental, say("trail.incremental")),
    outcome,
  );
}

function verdict(report) {
  if (report.ok) {
    const counts = ["events", "records", "chains", "checkpoints"].map((key) => [
      key,
      integer(report[key]),
    ]);
    return h(
      "div",
      { class: "whole-trail" },
      h("p", { class: "outcome-title" }, say("trail.whole")),
      h("p", null, say("trail.whole.text", Object.fromEntries(counts))),
    );
  }
  const { chain_id: chain, seq, why } = report.first_bad ?? {};
  return h(
    "div",
    { class: "broken-trail" },
    h("p", { class: "outcome-title" }, say("trail.broken")),
    h(
      "p",
      null,
      say("trail.broken.text", {
        count: integer(report.bad.length),
        chain: chain ?? "–",
        seq: seq ?? "–",
        why,
      }),
    ),
  );
}

function reading() {
  const result = h("div", { class: "events" });
  const kind = h(
    "select",
    { name: "kind" },
    h("option", { value: "" }, say("trail.kind.all")),
    KINDS.map((key) => h("option", { value: key }, name("kind", key))),
  );
  const person = h("input", {
    name: "user_id",
    type: "text",
    autocomplete: "off",
    maxlength: 255,
    placeholder: say("trail.user.hint"),
  });
  const from = h("input", { name: "from", type: "datetime-local" });
  const to = h("input", { name: "to", type: "datetime-local" });
  const form = h(
    "form",
    { class: "filter" },
    field(say("trail.kind"), kind),
    field(say("trail.user"), person),
    field(say("trail.from"), from),
    field(say("trail.to"), to),
    h("button", { class: "button" }, say("trail.show")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = {
      kind: kind.value,
      user_id: person.value,
      from: from.value && new Date(from.value).toISOString(),
      to: to.value && new Date(to.value).toISOString(),
      limit: PAGE,
    };
    result.replaceChildren();
    page(result, query, []);
  });
  return [form, result];
}

function field(label, control) {
  control.id = id("filter");
  return h("div", null, h("label", { for: control.id }, label), control);
}

/** Read one page more, and show all that were read. */
async function page(result, query, before, after) {
  result.setAttribute("aria-busy", "true");
  try {
    const { events, next } = await ask(withQuery("/audit/logs", { ...query, after }));
    const shown = [...before, ...events];
    const more = h("button", { type: "button", class: "button" }, say("trail.more"));
    more.addEventListener("click", () => {
      more.disabled = true;
      page(result, query, shown, next);
    });
    result.replaceChildren(
      shown.length ? list(shown) : empty(say("trail.empty"), say("trail.empty.hint")),
      h(
        "p",
        { class: "paging", role: "status" },
        shown.length ? say("trail.count", { count: integer(shown.length) }) : null,
        " ",
        next ? null : shown.length ? say("trail.end") : null,
      ),
      next ? more : "",
    );
    if (before.length && next) more.focus();
  } catch (failure) {
    const again = h("button", { type: "button", class: "button" }, say("retry"));
    again.addEventListener("click", () => page(result, query, before, after));
    const told = h(
      "div",
      { class: "failure", role: "alert" },
      h("p", null, excuse(failure)),
      again,
    );
    result.replaceChildren(...(before.length ? [list(before), told] : [told]));
  } finally {
    result.removeAttribute("aria-busy");
  }
}

const list = (events) =>
  table(
    say("trail"),
    ["at", "kind", "actor", "about", "detail", "place"].map((key) => say(`trail.${key}`)),
    events.map((event) => [
      h("time", { datetime: event.at }, exactMoment(event.at)),
      name("kind", event.kind),
      event.actor ?? "–",
      event.user_id ?? "–",
      detail(event),
      h("span", { class: "place" }, `${event.chain_id.slice(0, 8)} · ${event.seq}`),
    ]),
  );

function detail({ record, detail: more, domain }) {
  const told = [];
  if (record) {
    told.push(record.error ?? name("result", record.status));
    if (record.backend) told.push(name("backend", record.backend));
    if (record.confidence != null) told.push(percent(record.confidence));
  }
  if (domain) told.push(name("domain", domain));
  const members = Object.entries(more ?? {});
  if (!members.length) return told.join(" · ") || "–";
  return [
    told.length ? told.join(" · ") : null,
    h(
      "details",
      null,
      h("summary", null, say("trail.detail")),
      h(
        "dl",
        { class: "facts" },
        members.map(([key, value]) =>
          h("div", null, h("dt", null, key), h("dd", null, String(value))),
        ),
      ),
    ),
  ];
}
