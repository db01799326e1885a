/** The development start: first credentials, and commands to paste. */
import { readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { App, Deployment, FirstCredentials } from "../app.ts";
import type { Config } from "../config.ts";
import type { Template } from "../domain/profile.ts";

const credentialsFile = (config: Config): string => join(config.dataDir, "dev-credentials.json");

/** Sets up organization `demo` and leaves its credentials in the data directory. */
export async function makeDevelopmentCredentials(deployment: Deployment): Promise<FirstCredentials> {
  const { config } = deployment;
  const credentials = await deployment.setUp({
    organizationName: "demo",
    profileId: config.defaultProfile,
    adminEmail: "admin@demo.localhost",
    adminPassword: undefined,
  });
  await writeFile(credentialsFile(config), `${JSON.stringify(credentials, null, 2)}\n`, { mode: 0o600 });
  return credentials;
}

/**
 * Prints commands that work when pasted as they are. They go to the standard error, which leaves the
 * standard output to the log. The secrets are shown at the first start only.
 */
export async function greetDeveloper(config: Config, app: App, first: FirstCredentials | undefined): Promise<void> {
  const file = relative(process.cwd(), credentialsFile(config)) || credentialsFile(config);
  const credentials = first ?? (await readCredentials(config));
  if (credentials === undefined) return;
  const get = (name: keyof FirstCredentials): string => `$(node -p 'JSON.parse(fs.readFileSync("${file}")).${name}')`;
  const { basePaths, presentation } = app.deployment.products.fallback;
  const [basePath = ""] = basePaths;
  const accessTokenPath = pathTo(presentation.responses.login.body, "{access_token}") ?? "";
  const url = `${config.httpTls === undefined ? "http" : "https"}://${app.httpAddress}`;
  const show = (name: keyof FirstCredentials): string => (first === undefined ? get(name) : first[name]);
  const lines = [
    "",
    `Latchkey runs in development mode. Its credentials are in ${file}.`,
    "",
    "Issue a token, ask whether it is good, and list it (in another terminal):",
    "",
    `  export LATCHKEY_ADDR=${app.grpcAddress}${caOf(config)} LATCHKEY_TOKEN=${show("serviceKey")}`,
    `  TOKEN=$(npx latchkey issue --org ${credentials.organizationId} --name "CI pipeline"${issueOptions(app)})`,
    `  echo "$TOKEN" | npx latchkey introspect -`,
    `  npx latchkey list --org ${credentials.organizationId}`,
    "",
    "Sign in over HTTP as the organization's admin, and list its tokens:",
    "",
    `  ACCESS_TOKEN=$(curl -s ${url}${basePath}/auth/login -H 'Content-Type: application/json' \\`,
    `    -d "{\\"email\\":\\"${credentials.adminEmail}\\",\\"password\\":\\"${show("adminPassword")}\\"}" \\`,
    `    | node -p 'JSON.parse(fs.readFileSync(0))${accessTokenPath}')`,
    `  curl -s ${url}${basePath}/api-tokens -H "Authorization: Bearer $ACCESS_TOKEN"`,
    "",
    `The dashboard, with the same email and password: ${url}/`,
    `The API as a document: ${url}/openapi.json`,
    "",
  ];
  console.error(lines.join("\n"));
}

/** What a client needs to know a certificate by that it signed itself, as one to try things out with does. */
function caOf({ grpcTls }: Config): string {
  return grpcTls === undefined ? "" : ` LATCHKEY_CACERT=${grpcTls.cert.path}`;
}

async function readCredentials(config: Config): Promise<FirstCredentials | undefined> {
  try {
    return JSON.parse(await readFile(credentialsFile(config), "utf8")) as FirstCredentials;
  } catch {
    // The developer took the file away; the service works without it.
    return undefined;
  }
}

/** What the default profile asks for besides a name. */
function issueOptions({ deployment }: App): string {
  const { access, requiresIdempotencyKey } = deployment.products.fallback;
  const [permission] = access.kind === "permissions" ? access.permissions : [];
  const key = requiresIdempotencyKey ? " --idempotency-key first" : "";
  return `${permission === undefined ? "" : ` --permission ${permission.name}`}${key}`;
}

/** Where a value stands in what a template makes, as JavaScript writes it: `.data.accessToken`. */
function pathTo(template: Template, placeholder: string): string | undefined {
  if (template === placeholder) return "";
  if (template === null || typeof template !== "object") return undefined;
  for (const [key, value] of Object.entries(template)) {
    const rest = pathTo(value, placeholder);
    if (rest !== undefined) return `.${key}${rest}`;
  }
  return undefined;
}
