/**
 * Tries wrong passwords with addresses that have an account and with addresses that have none, one call after the
 * other in an order that is drawn, and compares how long they took. Who has an account must not show.
 *
 * Compared as by dudect (Reparaz, Balasch and Verbauwhede, 2017): Welch's t on all times, and on those below
 * percentiles of all, since other programs make a few calls of both kinds slow. From 4.5 on a difference is one.
 */
import { Agent, request } from "node:http";
import { OrganizationService, Role } from "../gen/latchkey/v1/organization_pb.ts";
import { Deployment, Finding, mustAnswer } from "../test/helpers/deployment.ts";
import { count, type Trial } from "./trial.ts";

const ACCOUNTS = 20;
const LIMIT = 4.5;
const CUTS = [1, 0.9, 0.5];

/** Calls of each kind that aren't counted: the service's code is compiled meanwhile. */
const WARM_UP = 10;

interface Timed {
  readonly isKnown: boolean;
  readonly ms: number;
}

export const signInTiming: Trial = {
  name: "sign-in-timing",
  does: "sign-ins with a wrong password, to addresses with and without an account",
  trials: { full: 2_000, short: 60 },
  isTimed: true,
  mustCatch: ["hashes-for-known-addresses-only"],

  async run({ trials, random, folder }) {
    const deployment = await Deployment.create(folder);
    await using service = await deployment.start();
    const organizations = service.connect(OrganizationService);
    const { organizationId } = deployment.credentials;
    const known: string[] = [];
    for (let account = 0; account < ACCOUNTS; account++) {
      const email = `person-${100_000 + random.below(900_000)}@example.com`;
      await mustAnswer(organizations.addMember({ organizationId, email, role: Role.MEMBER }));
      known.push(email);
    }
    const order = Array.from({ length: 2 * (WARM_UP + trials) }, (_, place) => place % 2 === 0);
    for (let left = order.length - 1; left > 0; left--) {
      const other = random.below(left + 1);
      [order[left], order[other]] = [order[other] === true, order[left] === true];
    }
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const times: Timed[] = [];
    for (const isKnown of order) {
      // As long as those of the others, and nobody's.
      const stranger = `people-${100_000 + random.below(900_000)}@example.com`;
      const email = isKnown ? (random.pick(known) ?? "") : stranger;
      times.push({ isKnown, ms: await timeSignIn(agent, service.process.ready.http, email) });
    }
    agent.destroy();
    await service.stop();

    const counted = times.slice(2 * WARM_UP);
    const sorted = counted.map(({ ms }) => ms).toSorted((one, two) => one - two);
    const found = CUTS.map((cut) => {
      const most = sorted[Math.ceil(sorted.length * cut) - 1] ?? Number.POSITIVE_INFINITY;
      return { cut, t: welchsT(counted.filter(({ ms }) => ms <= most)) };
    });
    const figures = found.map(({ cut, t }) => `${t.toFixed(2)} on the fastest ${cut * 100} %`).join(", ");
    // Something that isn't a number is no small one.
    if (!found.every(({ t }) => Math.abs(t) < LIMIT)) {
      throw new Finding(`who has an account can be told by time: Welch's t is ${figures}`);
    }
    return `${count(counted.length, "sign-in")}, median ${(sorted[sorted.length >> 1] ?? 0).toFixed(1)} ms; Welch's t is ${figures}`;
  },
};

async function timeSignIn(agent: Agent, address: string, email: string): Promise<number> {
  const body = JSON.stringify({ email, password: "a wrong password" });
  const startedAt = performance.now();
  const status = await new Promise<number>((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    request(`http://${address}/api/v1/auth/login`, { agent, method: "POST", headers }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    })
      .once("error", reject)
      .end(body);
  });
  const ms = performance.now() - startedAt;
  if (status !== 401) throw new Finding(`a wrong password was answered with status ${status}`);
  return ms;
}

/** The difference of two means in terms of what chance makes of them, whatever their variances. */
function welchsT(times: readonly Timed[]): number {
  const [known, unknown] = [true, false].map((kind) => {
    const all = times.filter(({ isKnown }) => isKnown === kind).map(({ ms }) => ms);
    const mean = all.reduce((sum, ms) => sum + ms, 0) / all.length;
    const variance = all.reduce((sum, ms) => sum + (ms - mean) ** 2, 0) / (all.length - 1);
    return { mean, variance, size: all.length };
  });
  if (known === undefined || unknown === undefined) return Number.NaN;
  return (known.mean - unknown.mean) / Math.sqrt(known.variance / known.size + unknown.variance / unknown.size);
}
