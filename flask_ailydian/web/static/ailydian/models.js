// Which models a panel may offer, and what there is to say about one.

const IMAGES = "image-classification";
const TEXTS = "text-classification";

/** Returns the version of each name that would answer, of those that take a picture or a text. */
export function answering(models) {
  const found = new Map();
  for (const model of models) {
    if (model.status === "inactive") continue;
    if (![undefined, IMAGES, TEXTS].includes(model.task)) continue;
    const known = found.get(model.name);
    // Newest first: the active version, or else the newest of those on trial.
    if (!known || (model.status === "active" && known.status !== "active")) {
      found.set(model.name, model);
    }
  }
  return [...found.values()];
}

/** Whether a model takes a text instead of a picture. */
export function takesText(model) {
  return model?.task === TEXTS;
}

const ENTITIES = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&" };

/** The text of the server's harmless HTML; it is shown as text alone. */
export function plain(html) {
  return html
    .replace(/<[^>]*>/g, " ")
    .replace(/&(lt|gt|quot|#39|amp);/g, (entity) => ENTITIES[entity])
    .replace(/\s+/g, " ")
    .trim();
}

/** What everybody must know who reads this model's answers. */
export function limits(model, words) {
  const said = [];
  if (model.description) said.push(plain(model.description));
  if (model.status === "testing") said.push(words.testingMeans);
  if (model.domain === "medical") said.push(words.medicalMeans);
  const labels = model.labels ?? [];
  if (labels.length > 1 && labels.length <= 12) said.push(words.oneOf(labels.join(", ")));
  return said;
}
