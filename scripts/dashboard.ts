/** Bundles the dashboard in web/ into gen/web, from which the service serves it. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { rolldown } from "rolldown";

const LICENSE = "/* Contains Preact, MIT License, Copyright (c) 2015-present Jason Miller */";

mkdirSync("gen/web", { recursive: true });
await using bundle = await rolldown({
  input: "web/src/main.tsx",
  platform: "browser",
  tsconfig: "web/tsconfig.json",
  transform: { target: "es2022" },
});
const { output } = await bundle.generate({ format: "es", minify: true, comments: false, postBanner: LICENSE });
const [script, ...others] = output;
if (script?.type !== "chunk" || others.length > 0) throw new Error("the bundle is more than one file");
writeFileSync("gen/web/app.js", `${script.code.trimEnd()}\n`);
copyFileSync("web/styles.css", "gen/web/app.css");
for (const name of ["index.html", "icon.svg"]) copyFileSync(`web/${name}`, `gen/web/${name}`);
