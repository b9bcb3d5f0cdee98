// The registry: which version answers, what it is, and what has been shown about it.

import { h, number, table } from "./dom.js";
import { empty } from "./section.js";
import { digest, facts, pill } from "./small.js";
import { decimal, integer, megabytes, moment, ms, name, percent, say } from "./words.js";

export async function load(round) {
  const [{ models }, { summary }] = await Promise.all([
    round.ask("/models"),
    round.ask(round.daily),
  ]);
  return { models, summary };
}

export function draw({ models, summary }) {
  if (!models.length) {
    return empty(say("models.empty"), say("models.empty.hint"), "flask ailydian models demo");
  }
  const names = [...new Set(models.map((model) => model.name))];
  return names.map((each) =>
    card(
      each,
      models.filter((model) => model.name === each),
      summary,
    ),
  );
}

function card(each, versions, summary) {
  const teaching = document.body.dataset.teaching.split(" ").includes(each);
  const { domain, task } = versions[0];
  const caution =
    domain === "medical" ? say("models.medical") : teaching ? say("models.teaching.text") : null;
  return h(
    "article",
    { class: "card" },
    h(
      "header",
      null,
      h("h3", null, each),
      h("p", { class: "quiet" }, `${name("domain", domain)} · ${name("task", task)}`),
      teaching
        ? h(
            "p",
            { class: "teaching" },
            say(domain === "medical" ? "models.teaching.medical" : "models.teaching"),
          )
        : null,
    ),
    caution ? h("p", { class: "caution" }, caution) : null,
    table(
      each,
      ["version", "status", "requests", "p95", "accuracy", "digest"].map((key) =>
        say(`models.${key}`),
      ),
      versions.map((model) => row(model, summary)),
    ),
    versions.map(details),
  );
}

function row(model, summary) {
  const counted = summary.find((one) => one.model === model.name && one.version === model.version);
  const right = counted?.labelled_requests
    ? [
        percent(counted.accuracy),
        h("small", null, say("models.accuracy.of", { count: integer(counted.labelled_requests) })),
      ]
    : model.accuracy == null
      ? percent(null)
      : [percent(model.accuracy), h("small", null, say("models.declared"))];
  return [
    model.version,
    pill(model.status, name("status", model.status)),
    number(integer(counted?.total_requests ?? 0)),
    number(ms(counted?.p95_inference_time_ms)),
    number(right),
    digest(model.sha256),
  ];
}

function details(model) {
  return h(
    "details",
    { "data-key": `model-${model.name}-${model.version}` },
    h("summary", null, say("models.card", { version: model.version })),
    facts([
      [say("models.description"), plain(model.description)],
      [say("models.created"), moment(model.created_at)],
      [say("models.size"), megabytes(model.bytes)],
      [say("models.labels"), model.labels.join(", ") || null],
      [say("models.input"), model.inputs.map(tensor).join(", ")],
      [say("models.preprocessing"), recipe(model.preprocessing)],
      [say("models.opset"), model.opset ? String(model.opset) : null],
      [say("models.serving"), serving(model.serving)],
      [say("models.digest"), h("code", { class: "whole" }, model.sha256)],
    ]),
    model.proof ? proof(model.proof) : null,
  );
}

/** The text of harmless HTML; a parsed document that is never shown runs nothing. */
const plain = (html) =>
  html && new DOMParser().parseFromString(html, "text/html").body.textContent.trim();

const tensor = ({ name: called, dtype, shape }) =>
  `${called}: ${dtype} [${shape.map((side) => side ?? "?").join(", ")}]`;

function recipe(given) {
  if (given?.kind !== "image") return null;
  return `${given.size.join(" × ")}, ${given.colour}, ${given.fit}, ${given.resample}`;
}

function serving(given) {
  const kept = given.cache_entries
    ? say("models.serving.cache", {
        count: integer(given.cache_entries),
        seconds: integer(given.cache_seconds),
      })
    : say("models.serving.nocache");
  const together =
    given.max_batch > 1
      ? say("models.serving.batch", { count: integer(given.max_batch) })
      : say("models.serving.single");
  return `${kept}; ${together}`;
}

function proof(given) {
  const { accuracy: right, bytes, ms: time, peak_bytes: peak } = given;
  const rows = [
    right && [say("models.proof.accuracy", { count: integer(right.samples) }), right, percent],
    [say("models.proof.bytes"), bytes, megabytes],
    [say("models.proof.ms"), time, (value) => `${decimal(value)} ms`],
    [say("models.proof.memory"), peak, megabytes],
  ].filter(Boolean);
  return h(
    "div",
    { class: "proof" },
    h("h4", null, say("models.proof")),
    h(
      "p",
      null,
      say("models.proof.text", {
        version: given.of.version,
        method: given.method,
        samples: integer(given.proof_samples),
      }),
    ),
    facts([
      [
        say("models.proof.agreement"),
        say("models.proof.least", {
          share: percent(given.agreement),
          least: percent(given.agreement_at_least),
        }),
      ],
      [say("models.proof.change"), decimal(given.change.largest)],
    ]),
    table(
      say("models.proof"),
      ["measure", "before", "after"].map((key) => say(`models.proof.${key}`)),
      rows.map(([label, pair, write]) => [
        label,
        number(write(pair.before)),
        number(write(pair.after)),
      ]),
    ),
  );
}
