// Starts Swagger UI; a file of its own because the page allows no inline script.
const reference = document.getElementById("reference");
window.SwaggerUIBundle({
  domNode: reference,
  url: reference.dataset.openapi,
  deepLinking: false,
  validatorUrl: null,
});
