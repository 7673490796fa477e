// Shows /api/v1/openapi.json. Credentials stay in this page's memory; nothing is asked of other servers.
SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
