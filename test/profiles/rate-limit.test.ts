/** A limit is a limit: under 10,000 calls at once, and when the process is killed in the middle of a window. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { IntrospectionService, type IntrospectResponse, Reason } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { FirstCredentials } from "../../src/app.ts";
import { createClient } from "../../src/client/index.ts";
import type { Storage } from "../../src/domain/storage.ts";
import { MINUTE, type ProductServiceOptions, startProducts } from "../helpers/products.ts";
import { type ServiceProcess, startServiceProcess, temporaryFolder } from "../helpers/service-process.ts";

const LIMIT = 60;
const ATTEMPTS = 10_000;

const countAdmitted = (answers: readonly IntrospectResponse[]): number =>
  answers.filter(({ allowed }) => allowed).length;

/** Asks about one token of 60 a minute so often at once, all within one window. */
async function countAtOnce(options: ProductServiceOptions): Promise<{ admitted: number; limited: number }> {
  await using service = await startProducts(options);
  const tenant = await service.addTenant("plane");
  const { secret } = await tenant.issue();
  service.clock.startWindow(MINUTE, 1);
  const asked = Array.from({ length: ATTEMPTS }, () =>
    service.introspection.introspect({ token: secret }, { timeoutMs: 60_000 }),
  );
  const answers = await Promise.all(asked);
  const limited = answers.filter(({ active, reason }) => active && reason === Reason.RATE_LIMITED).length;
  return { admitted: countAdmitted(answers), limited };
}

/** A store that gives units away and counts none of them. */
function forgetful(storage: Storage): Storage {
  const answers: Partial<Storage> = {
    takeLease: ({ units }) => Promise.resolve({ granted: units, taken: 0 }),
    readWindow: () => Promise.resolve(0),
  };
  return new Proxy(storage, {
    get(target, property, receiver) {
      const own = answers[property as keyof Storage];
      return own ?? (Reflect.get(target, property, receiver) as () => unknown).bind(target);
    },
  });
}

describe("60 a minute, and 10,000 introspections at once", { timeout: 120_000 }, () => {
  it("would be seen to be exceeded if nobody counted what was given away", async () => {
    const { admitted } = await countAtOnce({ surroundings: { aroundStorage: forgetful } });
    expect(admitted).toBeGreaterThan(LIMIT);
  });

  it("admits exactly 60", async () => {
    expect(await countAtOnce({})).toEqual({ admitted: LIMIT, limited: ATTEMPTS - LIMIT });
  });

  it("admits exactly 60 in each of several windows, however the calls come in", async () => {
    await using service = await startProducts();
    const tenant = await service.addTenant("plane");
    const { secret, headers } = await tenant.issue();
    const backend = service.introspection;
    for (let window = 0; window < 3; window++) {
      service.clock.startWindow(MINUTE, window * 1000);
      const single = Array.from({ length: 200 }, () => backend.introspect({ token: secret }));
      const batch = backend.batchIntrospect({ requests: Array.from({ length: 200 }, () => ({ token: secret })) });
      const rest = Array.from({ length: 200 }, () => tenant.self(headers));
      const [answers, { responses }, pages] = await Promise.all([Promise.all(single), batch, Promise.all(rest)]);
      const pagesServed = pages.filter(({ status }) => status === 200).length;
      expect(countAdmitted(answers) + countAdmitted(responses) + pagesServed).toBe(LIMIT);
      expect(pages.filter(({ status }) => status === 429)).toHaveLength(200 - pagesServed);
    }
  });
});

interface Round {
  /** Calls that were admitted, by the end of their window. */
  readonly admitted: Map<bigint, number>;
  /** Ends of all windows that were seen. */
  readonly windows: Set<bigint>;
}

/** Asks so often at once, notes in which window what was admitted, and passes over what got no answer. */
async function ask(
  { ready }: ServiceProcess,
  serviceKey: string,
  secret: string,
  times: number,
  round: Round,
  onAnswer: () => void = () => {},
): Promise<void> {
  const backend = createClient(IntrospectionService, { address: ready.grpc, token: serviceKey });
  const asked = Array.from({ length: times }, async () => {
    const { allowed, rateLimit } = await backend.introspect({ token: secret }, { timeoutMs: 60_000 });
    const end = rateLimit?.reset ?? 0n;
    round.windows.add(end);
    if (allowed) round.admitted.set(end, (round.admitted.get(end) ?? 0) + 1);
    onAnswer();
  });
  await Promise.allSettled(asked);
  backend.close();
}

/**
 * Uses a fresh token in one process, ends that, and goes on in another on the same data.
 *
 * @param isBusy whether the process is ended while calls wait for their answers
 */
async function acrossRestart(signal: NodeJS.Signals, isBusy: boolean): Promise<{ before: number; total: number }> {
  await using folder = await temporaryFolder();
  const env = { LATCHKEY_DATA_DIR: folder.path, LATCHKEY_PROFILE: "plane" };
  // The clock of a process can't be held. The minute may end during a try, but not during every one.
  for (let attempt = 0; attempt < 5; attempt++) {
    const round: Round = { admitted: new Map(), windows: new Set() };
    const sum = (): number => Array.from(round.admitted.values()).reduce((total, count) => total + count, 0);
    await using first = await startServiceProcess(["--dev"], env);
    const credentials = await readFile(join(folder.path, "dev-credentials.json"), "utf8");
    const { serviceKey, organizationId } = JSON.parse(credentials) as FirstCredentials;
    const tokens = createClient(TokenService, { address: first.ready.grpc, token: serviceKey });
    const { secret } = await tokens.issue({ organizationId, name: `attempt ${attempt}` });
    tokens.close();
    await ask(first, serviceKey, secret, 25, round, isBusy ? () => void first.child.kill(signal) : undefined);
    const before = sum();
    if (!isBusy) expect(before).toBe(25);
    expect(await first.stop(signal)).toBe(signal === "SIGKILL" ? "SIGKILL" : 0);

    await using second = await startServiceProcess(["--dev"], env);
    await ask(second, serviceKey, secret, 500, round);
    for (const count of round.admitted.values()) expect(count).toBeLessThanOrEqual(LIMIT);
    if (round.windows.size === 1) return { before, total: sum() };
  }
  throw new Error("the minute ended in each of five tries");
}

describe("a service that is ended in the middle of a window", { timeout: 120_000 }, () => {
  it("by SIGKILL admits never more than 60 in all, and loses no more than what it had set apart", async () => {
    const { before, total } = await acrossRestart("SIGKILL", false);
    expect(total).toBeGreaterThan(before);
    expect(total).toBeLessThanOrEqual(LIMIT);
    // That is a twentieth of the window at most.
    expect(total).toBeGreaterThanOrEqual(LIMIT - LIMIT / 20);
  });

  it("by SIGKILL among calls in flight admits never more than 60 in all", async () => {
    const { before, total } = await acrossRestart("SIGKILL", true);
    expect(before).toBeGreaterThan(0);
    expect(total).toBeGreaterThan(before);
    expect(total).toBeLessThanOrEqual(LIMIT);
  });

  it("by SIGTERM gives back what it had set apart, so that it is exactly 60", async () => {
    expect((await acrossRestart("SIGTERM", false)).total).toBe(LIMIT);
  });
});
