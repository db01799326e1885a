/** A process that serves while a newer version brings the schema further under it, as in every rolling upgrade. */
import { expect, inject, it } from "vitest";
import { execute, openPostgresSubject } from "../helpers/postgres.ts";
import { someChange, someOrganization, someToken, someUser } from "./samples.ts";

const server = inject("postgresUrl");

it("goes on when tables get columns, on every connection that it has", async () => {
  await using subject = await openPostgresSubject(server);
  const { storage, location } = subject;
  const [organization, user] = [someOrganization(), someUser()];
  await storage.createOrganization(organization, someChange());
  await storage.createUser(user);
  const issue = (): Promise<unknown> =>
    storage.createToken(someToken({ organizationId: organization.id }), someChange());
  // At once, so that all connections of the pool have prepared the statements that name every column of a table.
  const read = (): Promise<readonly unknown[]> =>
    Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        index % 2 === 0 ? storage.getOrganization(organization.id) : storage.getUser(user.id),
      ),
    );
  await issue();
  expect(await read()).toContainEqual(organization);

  for (const column of ["one", "two"]) {
    await execute(location, `ALTER TABLE organizations ADD COLUMN ${column} BIGINT NOT NULL DEFAULT 0`);
    await execute(location, `ALTER TABLE users ADD COLUMN ${column} BIGINT NOT NULL DEFAULT 0`);
    const found = await read();
    expect(found.filter((each) => each === undefined)).toEqual([]);
    expect(found).toHaveLength(40);
    await issue();
    await Promise.all([issue(), issue(), storage.setPlan(organization.id, "team", someChange())]);
  }
});
