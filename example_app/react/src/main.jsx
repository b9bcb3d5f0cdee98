import { createRoot } from "react-dom/client";
import { App } from "./App.jsx";

// React sets properties on elements that are defined already, and attributes on all others.
await customElements.whenDefined("ailydian-trend");
createRoot(/** @type {HTMLElement} */ (document.getElementById("root"))).render(<App />);
