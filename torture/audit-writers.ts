/**
 * Eight clients issue and revoke tokens at once in the same few organizations. Every change must be one event
 * of its organization's chain: none missing, none twice, no number skipped, and no two events after the same one.
 */
import { OrganizationService } from "../gen/latchkey/v1/organization_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Deployment, Finding, mustAnswer, type Service } from "../test/helpers/deployment.ts";
import { inspect } from "./inspection.ts";
import { count, type Trial } from "./trial.ts";

const WRITERS = 8;
const ORGANIZATIONS = 3;

export const auditWriters: Trial = {
  name: "audit-writers",
  does: `${WRITERS} writers at once on ${ORGANIZATIONS} chains, so many events each`,
  trials: { full: 10_000, short: 200, selftest: 60 },
  isTimed: false,
  mustCatch: ["skips-a-number-of-a-chain", "forks-chains", "loses-some-events"],

  async run({ trials, folder }) {
    const deployment = await Deployment.create(folder);
    await using service = await deployment.start();
    const before = await inspect(deployment.databasePath);
    const organizations = await addOrganizations(service);
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(service, organizations, writer, trials)));
    const after = await inspect(deployment.databasePath);
    await service.stop();

    const written = after.events - before.events - organizations.length;
    if (written !== WRITERS * trials) throw new Finding(`${WRITERS * trials} changes have ${written} events`);
    return `${count(WRITERS, "writer")} × ${count(trials, "event")}: all there, no gap, no fork`;
  },
};

async function addOrganizations(service: Service): Promise<readonly string[]> {
  const client = service.connect(OrganizationService);
  const created = Array.from({ length: ORGANIZATIONS }, (_, index) => client.create({ name: `organization ${index}` }));
  return (await mustAnswer(Promise.all(created))).map(({ organization }) => organization?.id ?? "");
}

/** Makes so many changes, one after the other: an issue, its revoke, an issue … */
async function write(
  service: Service,
  organizations: readonly string[],
  writer: number,
  changes: number,
): Promise<void> {
  const tokens = service.connect(TokenService);
  let last = "";
  for (let change = 0; change < changes; change++) {
    if (last !== "") {
      await mustAnswer(tokens.revoke({ id: last }));
      last = "";
    } else {
      const organizationId = organizations[(writer + change) % organizations.length] ?? "";
      const { token } = await mustAnswer(tokens.issue({ organizationId, name: `${writer}-${change}` }));
      last = token?.id ?? "";
    }
  }
}
