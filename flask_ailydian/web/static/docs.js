// Starts Swagger UI; a file of its own because the page allows no inline script.
const reference = document.getElementById("reference");
window.SwaggerUIBundle({
  domNode: reference,
  url: reference.dataset.openapi,
  deepLinking: false,
  validatorUrl: null,
});
// Operations are drawn when they are opened, tried or answered.
new MutationObserver(name).observe(reference, { childList: true, subtree: true });

// What it leaves nameless or outside of every landmark, headings that leave a level out, and
// examples that the keyboard cannot scroll.
function name() {
  set("#servers", "aria-label", () => "Server");
  for (const [part, label] of [["information", "About"], ["scheme", "Server"]]) {
    set(`.${part}-container`, "role", () => "region");
    set(`.${part}-container`, "aria-label", () => label);
  }
  set("h3.opblock-tag, section.models h4", "aria-level", () => "2");
  set(".opblock-body h4", "aria-level", () => "3");
  set(".opblock-body h5", "aria-level", () => "4");
  set(".opblock-body pre", "tabindex", () => "0");
  set(".opblock-body table[role=region]", "aria-label", (table) => `Responses of ${of(table)}`);
  set(".opblock-body textarea", "aria-label", (text) => `Body of ${of(text)}`);
  const fields = ":is(input:not([type=checkbox]), select)";
  for (const kind of ["param", "property"]) {
    const named = (field) => field.closest("tr").dataset[`${kind}Name`];
    set(`tr[data-${kind}-name] ${fields}`, "aria-label", named);
  }
}

function set(selector, attribute, value) {
  for (const node of reference.querySelectorAll(selector)) {
    node.setAttribute(attribute, value(node));
  }
}

// The method and path of the operation that a node is part of.
function of(node) {
  const summary = node.closest(".opblock").querySelector(".opblock-summary");
  const [method, path] = [".opblock-summary-method", ".opblock-summary-path"].map((part) =>
    summary.querySelector(part).textContent.replaceAll("\u200b", ""),
  );
  return `${method} ${path}`;
}
