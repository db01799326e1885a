/**
 * After an acknowledged revoke or switch-off, no introspection that starts later finds the token active; after the
 * acknowledged end of one of its secrets, none finds that secret active.
 */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import { createClient, type ServiceClient } from "../../src/client/index.ts";
import type { KnownRecord } from "../../src/domain/decision.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { startTestApp, type TestAppOptions } from "../helpers/test-app.ts";

const INTROSPECTIONS = 10_000;

/** What ends a secret. */
interface Ending {
  /** What comes before it; answers the secret that is to end. The default is the one that was issued. */
  readonly prepare?: (tokens: ServiceClient<typeof TokenService>, id: string) => Promise<string | undefined>;
  readonly end: (tokens: ServiceClient<typeof TokenService>, id: string) => Promise<unknown>;
}

const overlap = durationFromMs(3_600_000);

const REVOKE: Ending = { end: (tokens, id) => tokens.revoke({ id }) };

/** Ends a secret under load and counts the later introspections that still found it active. */
async function countStaleAnswers(
  options: TestAppOptions,
  { prepare, end }: Ending,
): Promise<{ active: number; asked: number }> {
  await using test = await startTestApp(options);
  const connection = { address: test.app.grpcAddress, token: test.credentials.serviceKey };
  const tokens = createClient(TokenService, connection);
  const backend = createClient(IntrospectionService, connection);
  const { organizationId } = test.credentials;
  const { token, secret: issued } = await tokens.issue({ organizationId, name: "to revoke" });
  const id = token?.id ?? "";
  const secret = (await prepare?.(tokens, id)) ?? issued;

  // Introspections are in flight before the call and during it, so that whatever might be cached is.
  await backend.introspect({ token: secret });
  let ended = false;
  const load = Array.from({ length: 16 }, async () => {
    while (!ended) await backend.introspect({ token: secret });
  });
  await end(tokens, id);
  ended = true;
  const later = Array.from({ length: INTROSPECTIONS }, () =>
    backend.introspect({ token: secret }, { timeoutMs: 60_000 }),
  );
  const answers = await Promise.all(later);
  await Promise.all(load);
  tokens.close();
  backend.close();
  return { active: answers.filter(({ active }) => active).length, asked: answers.length };
}

/** A cache that nobody tells of revokes. */
function staleCache(storage: Storage): Storage {
  const cache = new Map<string, KnownRecord>();
  return new Proxy(storage, {
    get(target, property, receiver) {
      if (property !== "findTokenByFingerprint") {
        return (Reflect.get(target, property, receiver) as () => unknown).bind(target);
      }
      return async (fingerprint: Uint8Array): Promise<KnownRecord | undefined> => {
        const key = Buffer.from(fingerprint).toString("hex");
        const found = cache.get(key) ?? (await target.findTokenByFingerprint(fingerprint));
        if (found !== undefined) cache.set(key, found);
        return found;
      };
    },
  });
}

/** A store that tells the service's own cache of no change. */
function silentStore(storage: Storage): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      if (property !== "changeCount") return (Reflect.get(target, property, receiver) as () => unknown).bind(target);
      return () => 0;
    },
  });
}

const ENDS: readonly [string, Ending][] = [
  ["revoke", REVOKE],
  ["switch-off", { end: (tokens, id) => tokens.update({ id, enabled: false }) }],
];

describe.each(ENDS)("an acknowledged %s", (_, ending) => {
  it("would be seen to be stale by this test if the cache heard of no change", async () => {
    const { active, asked } = await countStaleAnswers({ surroundings: { aroundStorage: silentStore } }, ending);
    expect(asked).toBe(INTROSPECTIONS);
    expect(active).toBeGreaterThan(0);
  });

  it("would be seen to be stale by this test if a cache kept the token", async () => {
    const { active, asked } = await countStaleAnswers({ surroundings: { aroundStorage: staleCache } }, ending);
    expect(asked).toBe(INTROSPECTIONS);
    expect(active).toBeGreaterThan(0);
  });

  it("is never followed by an active answer", async () => {
    expect(await countStaleAnswers({}, ending)).toEqual({ active: 0, asked: INTROSPECTIONS });
  });
});

describe("the acknowledged end of a secret", () => {
  it.each<[string, Ending]>([
    ["by a rotation without an overlap", { end: (tokens, id) => tokens.rotate({ id }) }],
    [
      "by the finish of an overlap",
      {
        prepare: async (tokens, id) => {
          await tokens.rotate({ id, overlap });
          return undefined;
        },
        end: (tokens, id) => tokens.finishRotation({ id }),
      },
    ],
    [
      "by the cancel of its rotation",
      {
        prepare: async (tokens, id) => (await tokens.rotate({ id, overlap })).secret,
        end: (tokens, id) => tokens.cancelRotation({ id }),
      },
    ],
  ])("%s is never followed by an active answer", async (_, ending) => {
    expect(await countStaleAnswers({}, ending)).toEqual({ active: 0, asked: INTROSPECTIONS });
  });
});
