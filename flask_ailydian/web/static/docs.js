// Starts Swagger UI; a file of its own because the page allows no inline script.
const reference = document.getElementById("reference");
window.SwaggerUIBundle({
  domNode: reference,
  url: reference.dataset.openapi,
  deepLinking: false,
  validatorUrl: null,
  onComplete: name,
});

// What it leaves nameless, and headings that leave a level out.
function name() {
  document.getElementById("servers")?.setAttribute("aria-label", "Server");
  for (const heading of reference.querySelectorAll("h3.opblock-tag")) {
    heading.setAttribute("aria-level", "2");
  }
}
