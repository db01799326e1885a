/**
 * Turns one bit of one event in a copy of a database that the service wrote, and verifies the copy as
 * `latchkey audit verify` does: it must find every one.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { AuthService } from "../gen/latchkey/v1/auth_pb.ts";
import { OrganizationService, Role } from "../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { verifyAuditLog } from "../src/cli/audit-verify.ts";
import type { EventRow } from "../src/storage/rows.ts";
import { Deployment, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { flipSomeBit } from "../test/helpers/event-flips.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const TOKENS = 15;

export const auditFlips: Trial = {
  name: "audit-flips",
  does: "one bit turned in any column of any event of a database",
  trials: { full: 10_000, short: 1_000, selftest: 250 },
  isTimed: false,
  mustCatch: ["hashes-events-without-the-address"],

  async run({ trials, random, folder }) {
    const deployment = await Deployment.create(join(folder, "data"));
    await using service = await deployment.start();
    await makeEvents(service, deployment);
    // A proper stop leaves all of it in one file.
    await service.stop();
    const { fault, count: events } = await verifyAuditLog(deployment.databasePath);
    if (fault !== undefined) throw new Finding(`the log is broken before anybody edits it: ${fault}`);

    using database = openToEdit(deployment.databasePath);
    const { connection } = database;
    const rows = connection.prepare<[], EventRow>("SELECT * FROM events").all();
    const copy = join(folder, "edited.db");
    const missed: string[] = [];
    let refused = 0;
    const below = (limit: number): number => random.below(limit);
    for (let flipped = 0; flipped < trials; flipped++) {
      connection.exec("BEGIN");
      const { what, wasRefused } = flipSomeBit(connection, rows, below);
      if (!wasRefused) writeFileSync(copy, connection.serialize());
      connection.exec("ROLLBACK");
      if (wasRefused) refused++;
      else if ((await verifyAuditLog(copy)).fault === undefined) missed.push(what);
    }
    expectNone("edits were not found", missed);
    return `${count(trials, "bit")} of ${count(events, "event")}: ${trials - refused} found, ${refused} refused by the schema, 0 missed`;
  },
};

/** Past the trigger that keeps events from being changed. */
function openToEdit(path: string) {
  const connection = new Database(path);
  connection.pragma("journal_mode = DELETE");
  connection.exec("DROP TRIGGER events_are_not_changed");
  return { connection, [Symbol.dispose]: () => void connection.close() };
}

/** Events of every kind that calls make, in several chains. */
async function makeEvents(service: Service, { credentials }: Deployment): Promise<void> {
  const tokens = service.connect(TokenService);
  const organizations = service.connect(OrganizationService);
  const auth = service.connect(AuthService);
  const { organization } = await mustAnswer(organizations.create({ name: "Ácme \u{1f511}", profile: "walwarden" }));
  const organizationId = organization?.id ?? "";
  await mustAnswer(organizations.setPlan({ organizationId, plan: "enterprise" }));
  for (let index = 0; index < TOKENS; index++) {
    const wishes = index % 3 === 0 ? { scopes: ["databases:read", "backups:trigger"] } : {};
    const idempotencyKey = `key-${index}`;
    const { token } = await mustAnswer(
      tokens.issue({ organizationId, name: `deploy "${index}"`, idempotencyKey, ...wishes }),
    );
    if (index % 2 === 0) await mustAnswer(tokens.revoke({ id: token?.id ?? "", idempotencyKey }));
    await mustAnswer(tokens.issue({ organizationId: credentials.organizationId, name: `ci-${index}` }));
  }
  const { member } = await mustAnswer(
    organizations.addMember({ organizationId, email: "ada@example.com", role: Role.OWNER }),
  );
  const { member: other } = await mustAnswer(
    organizations.addMember({ organizationId, email: "bob@example.com", role: Role.MEMBER }),
  );
  await mustAnswer(organizations.setMemberRole({ organizationId, userId: member?.user?.id ?? "", role: Role.OWNER }));
  await mustAnswer(organizations.setMemberRole({ organizationId, userId: other?.user?.id ?? "", role: Role.ADMIN }));
  await mustAnswer(organizations.removeMember({ organizationId, userId: other?.user?.id ?? "" }));
  await mustAnswer(auth.login({ email: credentials.adminEmail, password: credentials.adminPassword }));
  // Refused, which is an event too.
  await auth.login({ email: credentials.adminEmail, password: "wrong" }).catch(() => {});
}
