// Starts Swagger UI; a file of its own because the page allows no inline script.
const reference = document.getElementById("reference");
window.SwaggerUIBundle({
  domNode: reference,
  url: reference.dataset.openapi,
  deepLinking: false,
  validatorUrl: null,
  onComplete: name,
});

// What it leaves nameless or outside of every landmark, and headings that leave a level out.
function name() {
  document.getElementById("servers")?.setAttribute("aria-label", "Server");
  for (const [part, label] of [["information", "About"], ["scheme", "Server"]]) {
    const container = reference.querySelector(`.${part}-container`);
    container?.setAttribute("role", "region");
    container?.setAttribute("aria-label", label);
  }
  for (const heading of reference.querySelectorAll("h3.opblock-tag, section.models h4")) {
    heading.setAttribute("aria-level", "2");
  }
}
