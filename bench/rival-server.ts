/**
 * Others that check keys, each set up as kindly as its options allow. `node bench/rival-server.ts NAME COUNT FILE`
 * makes so many keys, in a database file or in memory, says where it listens and what they are, and checks one of
 * them in each request.
 *
 * better-auth's plugin is a library, which a backend asks in its own process or, for others, behind an endpoint of
 * its own. That is made here of what costs least, node:http. oidc-provider has the endpoint of RFC 7662.
 */
import { generateKeyPairSync } from "node:crypto";
import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { apiKey } from "@better-auth/api-key";
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import Database from "better-sqlite3";
import { type Adapter, Provider } from "oidc-provider";

export type Rival = keyof typeof RIVALS;

/** What a rival says once it listens. */
export interface RivalReady {
  readonly address: string;
  /** Bodies of requests, each with another key. */
  readonly bodies: readonly string[];
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Stands in the answer to a good key. */
  readonly expects: string;
}

interface Setting extends Omit<RivalReady, "address"> {
  readonly listener: RequestListener;
}

const RIVALS = {
  "better-auth-sqlite": (count: number) => {
    const database = new Database(process.argv[4] ?? "");
    // Faster than SQLite's own defaults, and as safe as most would have it.
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = NORMAL");
    return betterAuthOf({ database }, { storage: "database" }, count);
  },

  // A map in the process is the fastest that a secondary storage can be.
  "better-auth-memory": (count: number) => {
    const entries = new Map<string, string>();
    const secondaryStorage = {
      get: (key: string) => entries.get(key),
      set: (key: string, value: string) => void entries.set(key, value),
      delete: (key: string) => void entries.delete(key),
      getAndDelete: unused,
      increment: unused,
    };
    return betterAuthOf({ secondaryStorage }, { storage: "secondary-storage" }, count);
  },

  "oidc-provider": oidcProvider,
} as const satisfies Readonly<Record<string, (count: number) => Promise<Setting>>>;

function unused(): never {
  throw new Error("a check of a key needs none of this");
}

async function betterAuthOf(
  options: Pick<BetterAuthOptions, "database" | "secondaryStorage">,
  { storage }: { storage: "database" | "secondary-storage" },
  count: number,
): Promise<Setting> {
  // Counting uses against a limit costs more; writes that nobody waits for cost less.
  const plugin = apiKey({ storage, rateLimit: { enabled: false }, deferUpdates: true });
  const auth = betterAuth({
    ...options,
    secret: "0123456789abcdef0123456789abcdef",
    baseURL: "http://127.0.0.1",
    telemetry: { enabled: false },
    logger: { disabled: true },
    plugins: [plugin],
  });
  if (storage === "database") await (await getMigrations(auth.options)).runMigrations();
  const bodies: string[] = [];
  for (let index = 0; index < count; index++) {
    // A user has one key, for the list of a user's keys is read and written with each use of one.
    const { key } = await auth.api.createApiKey({ body: { userId: `user-${index}`, name: "benchmark" } });
    bodies.push(key);
  }
  const answer = async (key: string, response: ServerResponse): Promise<void> => {
    const result = await auth.api.verifyApiKey({ body: { key } });
    response.setHeader("content-type", "application/json").end(JSON.stringify(result));
  };
  const listener: RequestListener = (request, response) => void text(request).then((key) => answer(key, response));
  return { listener, bodies, path: "/verify", headers: { "content-type": "text/plain" }, expects: '"valid":true' };
}

async function oidcProvider(count: number): Promise<Setting> {
  const client = { client_id: "backend", client_secret: "a-secret-of-the-backend" };
  const provider = new Provider("http://127.0.0.1", {
    clients: [{ ...client, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }],
    features: {
      introspection: { enabled: true, allowedPolicy: () => true },
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
    },
    jwks: { keys: [generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" })] },
    ttl: { ClientCredentials: 86_400 },
    adapter: inMemory,
  });
  const { ClientCredentials } = provider;
  const owner = await provider.Client.find(client.client_id);
  const bodies: string[] = [];
  for (let index = 0; index < count; index++) {
    const token = await new ClientCredentials({ client: owner, scope: "" }).save();
    bodies.push(new URLSearchParams({ token, token_type_hint: "access_token" }).toString());
  }
  const basic = Buffer.from(`${client.client_id}:${client.client_secret}`).toString("base64");
  return {
    listener: provider.callback(),
    bodies,
    path: "/token/introspection",
    headers: { "content-type": "application/x-www-form-urlencoded", authorization: `Basic ${basic}` },
    expects: '"active":true',
  };
}

/** Its own adapter in memory keeps 1,000 tokens; this one keeps all, and looks them up as fast. */
function inMemory(): Adapter {
  const entries = new Map<string, unknown>();
  return {
    find: async (id) => entries.get(id),
    upsert: async (id, payload) => void entries.set(id, payload),
    destroy: unused,
    consume: unused,
    findByUid: unused,
    findByUserCode: unused,
    revokeByGrantId: unused,
  };
}

const [, , name = "", count = ""] = process.argv;
// Whoever measures is gone.
process.on("disconnect", () => process.exit());
if (!(name in RIVALS)) throw new Error(`nobody is called ${name}`);
const { listener, ...setting } = await RIVALS[name as Rival](Number(count));
const server = createServer(listener);
server.listen(0, "127.0.0.1", () => {
  const { address, port } = server.address() as AddressInfo;
  process.send?.({ ...setting, address: `${address}:${port}` } satisfies RivalReady);
});
