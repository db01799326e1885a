/**
 * Lets the store fail at the events of some calls, of every kind that changes something. Such a call must be
 * refused, and must leave nothing: neither its change, nor a record of its key, nor a number of the chain.
 *
 * Every other wave has calls between them that must succeed, for they share transactions with those that fail.
 */
import { hash } from "node:crypto";
import Database from "better-sqlite3";
import { AuthService } from "../gen/latchkey/v1/auth_pb.ts";
import { OrganizationService, Role } from "../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { codeOf, Deployment, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { failEvents } from "../test/helpers/sqlite.ts";
import { inspect } from "./inspection.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const WAVE = 20;
/** The store fails at events with this request id. */
const DOOMED = { headers: { "x-request-id": "doomed" } };

export const auditFail: Trial = {
  name: "audit-fail",
  does: "audit events that can't be stored, of calls of every kind",
  trials: { full: 1_000, short: 100, selftest: 20 },
  isTimed: false,
  mustCatch: ["changes-without-an-event"],

  async run({ trials, folder }) {
    const deployment = await Deployment.create(folder);
    const { databasePath } = deployment;
    failEvents(databasePath, DOOMED.headers["x-request-id"]);
    await using service = await deployment.start();
    const calls = await doomedCalls(service, deployment);
    const tokens = service.connect(TokenService);
    const { organizationId } = deployment.credentials;
    let good = 0;
    for (let start = 0; start < trials; start += WAVE) {
      const size = Math.min(WAVE, trials - start);
      const hasGoodOnes = (start / WAVE) % 2 === 1;
      const { tokens: tokensBefore } = await inspect(databasePath);
      const before = digest(databasePath);
      const outcomes = await Promise.all(
        Array.from({ length: size }, async (_, index) => {
          const call = calls[(start + index) % calls.length];
          if (hasGoodOnes) await mustAnswer(tokens.issue({ organizationId, name: `good ${start + index}` }));
          return call === undefined ? "no call" : outcomeOf(call(start + index));
        }),
      );
      expectNone(
        "calls were not refused as UNAVAILABLE, but",
        outcomes.filter((outcome) => outcome !== "UNAVAILABLE"),
      );
      const { tokens: tokensAfter } = await inspect(databasePath);
      good += tokensAfter - tokensBefore;
      if (tokensAfter - tokensBefore !== (hasGoodOnes ? size : 0)) throw new Finding("a refused call made a token");
      const changed = hasGoodOnes ? [] : Array.from(digest(databasePath).symmetricDifference(before));
      expectNone("tables were changed by refused calls", changed);
    }
    await service.stop();
    return `${count(trials, "failed write")} of ${calls.length} kinds: 0 changes; ${count(good, "change")} between them with their events`;
  },
};

type DoomedCall = (number: number) => Promise<unknown>;

/** One for each kind of change, made of what is there and stays there. */
async function doomedCalls(service: Service, { credentials }: Deployment): Promise<readonly DoomedCall[]> {
  const tokens = service.connect(TokenService);
  const organizations = service.connect(OrganizationService);
  const auth = service.connect(AuthService);
  const { organizationId, adminEmail: email, adminPassword: password } = credentials;
  const { organization } = await mustAnswer(organizations.create({ name: "other", profile: "walwarden" }));
  const other = { organizationId: organization?.id ?? "" };
  const { token } = await mustAnswer(tokens.issue({ organizationId, name: "stays" }));
  const id = token?.id ?? "";
  const joined = await mustAnswer(
    organizations.addMember({ organizationId, email: "m@example.com", role: Role.MEMBER }),
  );
  const member = { organizationId, userId: joined.member?.user?.id ?? "" };
  const keyed = (number: number) => ({ idempotencyKey: `doomed-${number}` });
  return [
    (number) => tokens.issue({ organizationId, name: `doomed ${number}` }, DOOMED),
    (number) => tokens.issue({ organizationId, name: `doomed ${number}`, ...keyed(number) }, DOOMED),
    () => tokens.revoke({ id }, DOOMED),
    (number) => tokens.revoke({ id, ...keyed(number) }, DOOMED),
    (number) => organizations.create({ name: `doomed ${number}`, ...keyed(number) }, DOOMED),
    (number) => organizations.setPlan({ ...other, plan: "enterprise", ...keyed(number) }, DOOMED),
    (number) => organizations.setProfile({ ...other, profile: "plane", ...keyed(number) }, DOOMED),
    (number) =>
      organizations.addMember(
        { organizationId, email: `doomed-${number}@example.com`, role: Role.ADMIN, ...keyed(number) },
        DOOMED,
      ),
    (number) => organizations.setMemberRole({ ...member, role: Role.ADMIN, ...keyed(number) }, DOOMED),
    (number) => organizations.removeMember({ ...member, ...keyed(number) }, DOOMED),
    () => auth.login({ email, password }, DOOMED),
    () => auth.login({ email, password: "wrong" }, DOOMED),
  ];
}

async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    return codeOf(error);
  }
}

/** No changes: uses of tokens are counted, and so are attempts to sign in, whatever becomes of the call. */
const COUNTERS = ["last_uses", "token_uses", "rate_windows"];

/** Every table's name with a hash of its rows. */
function digest(path: string): Set<string> {
  const connection = new Database(path, { readonly: true });
  try {
    const all = connection.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
    const tables = all.filter((name) => !COUNTERS.includes(name));
    const hashes = tables.map((table) => {
      const rows = connection.prepare<[], Record<string, unknown>>(`SELECT * FROM ${table}`).all();
      return `${table} ${hash("sha256", JSON.stringify(rows))}`;
    });
    return new Set(hashes);
  } finally {
    connection.close();
  }
}
