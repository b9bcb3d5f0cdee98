// Asks the extension's own routes; every failure becomes one kind of error.

const PATIENCE_MS = 30_000;

export class Failure extends Error {
  /** `status` 0: no answer came at all. */
  constructor(status, word, detail) {
    super(detail || word);
    this.status = status;
    this.word = word;
    this.detail = detail;
  }
}

/** Return the JSON that a route answers; of `also`, statuses that are answers too. */
export async function ask(path, { also = [], patience = PATIENCE_MS } = {}) {
  let response;
  try {
    response = await fetch(document.body.dataset.api + path, {
      headers: { Accept: "application/json" },
      signal: AbortSignal.timeout(patience),
    });
  } catch (error) {
    throw new Failure(0, error.name === "TimeoutError" ? "timeout" : "unreachable");
  }
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Failure(response.status, "unreadable");
  }
  if (!response.ok && !also.includes(response.status)) {
    throw new Failure(response.status, body.error, body.detail || body.title);
  }
  return body;
}

/** A path with the members of `query` that say something. */
export function withQuery(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
