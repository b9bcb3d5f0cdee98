import { defineConfig } from "vite";

export default defineConfig({
  base: "/react/",
  esbuild: { jsx: "automatic" },
  build: { target: "es2022", modulePreload: false },
});
