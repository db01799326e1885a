/** Given to Node by `--import`, with a build's name as its query: has Node load that build instead of the files as they are. */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { ALTERED_BUILDS, alter, type BuildName } from "./altered-builds.ts";

const name = new URL(import.meta.url).search.slice(1) as BuildName;
const root = new URL("../../", import.meta.url).href;
const files = new Set<string>(ALTERED_BUILDS[name].map(({ file }) => file));

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const file = url.startsWith(root) ? url.slice(root.length) : "";
    if (!files.has(file)) return loaded;
    return { ...loaded, source: alter(name, file, readFileSync(new URL(url), "utf8")) };
  },
});
