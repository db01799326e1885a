/**
 * A process that writes without end, and says on standard output what was acknowledged, a line of JSON
 * each. It is there to be killed. With a fault named after the location, it runs on a broken storage.
 */
import { faults, type StorageFault } from "./broken-storages.ts";
import { openStorage } from "./engines.ts";
import { after, someChange, someOrganization, someToken, someUse } from "./samples.ts";

/** One write that was acknowledged. */
export type Acknowledged =
  | { readonly kind: "organization" | "token" | "revoked"; readonly id: string }
  | { readonly kind: "used"; readonly id: string; readonly usedAt: number };

const WRITERS = 8;

const [location = "", fault] = process.argv.slice(2);

// Ends with the process that started it, however that one ended.
process.stdin.resume().on("end", () => process.exit());

try {
  const opened = await openStorage(location);
  const storage = fault === undefined ? opened : faults[fault as StorageFault](opened);
  await Promise.all(Array.from({ length: WRITERS }, () => writeWithoutEnd()));

  async function writeWithoutEnd(): Promise<never> {
    for (;;) {
      const organization = someOrganization();
      await storage.createOrganization(organization, someChange());
      acknowledge({ kind: "organization", id: organization.id });

      const created = someToken({ organizationId: organization.id });
      const { id } = created.token;
      await storage.createToken(created, someChange());
      acknowledge({ kind: "token", id });

      const usedAt = after(1);
      await storage.recordUses([someUse(id, usedAt)]);
      acknowledge({ kind: "used", id, usedAt: usedAt.getTime() });

      await storage.revokeToken(id, someChange({ at: after(2) }));
      acknowledge({ kind: "revoked", id });
    }
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

function acknowledge(write: Acknowledged): void {
  process.stdout.write(`${JSON.stringify(write)}\n`);
}
