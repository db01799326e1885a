/** Starts the dashboard in the page that the service serves. */
import { render } from "preact";
import { App } from "./app.tsx";
import { followLinks } from "./router.ts";

const root = document.getElementById("app");
if (root === null) throw new Error("the page has no place for the dashboard");
followLinks();
render(<App />, root);
