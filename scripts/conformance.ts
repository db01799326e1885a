/** Writes docs/conformance.md: every sentence of the source documents, and the test that shows it. */
import { writeFileSync } from "node:fs";
import { conformanceDocument, profileTests } from "../test/profiles/conformance.ts";

writeFileSync("docs/conformance.md", conformanceDocument(profileTests()));
