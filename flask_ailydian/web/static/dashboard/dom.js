// Elements made through the DOM: no markup is ever parsed, so no text can become markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element: attributes by name, `on…` for listeners, `text` for its text. */
export const h = (tag, attributes, ...children) =>
  build(document.createElement(tag), attributes, children);

/** An SVG element. */
export const s = (tag, attributes, ...children) =>
  build(document.createElementNS(SVG, tag), attributes, children);

let count = 0;

/** An id that no other element has. */
export const id = (stem) => `${stem}-${++count}`;

/** A table with a caption for those who do not see where it stands; numbers go to the right. */
export function table(caption, head, rows, { visible = false } = {}) {
  const numeric = head.map((_, i) => rows.length > 0 && rows.every((row) => row[i]?.numeric));
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    h(
      "table",
      null,
      h("caption", { class: visible ? null : "hidden" }, caption),
      h(
        "thead",
        null,
        h(
          "tr",
          null,
          head.map((text, i) =>
            h("th", { scope: "col", class: numeric[i] ? "number" : null }, text),
          ),
        ),
      ),
      h(
        "tbody",
        null,
        rows.map((row) =>
          h(
            "tr",
            null,
            row.map((cell, i) => {
              const content = cell?.numeric ?? cell;
              if (i === 0) return h("th", { scope: "row" }, content);
              return h("td", { class: cell?.numeric ? "number" : null }, content);
            }),
          ),
        ),
      ),
    ),
  );
}

/** A cell that holds a number, as text. */
export const number = (text) => ({ numeric: text });

/** What is behind a chart, for those who would rather read it. */
export const behind = (label, content) =>
  h("details", { class: "behind" }, h("summary", null, label), content);
