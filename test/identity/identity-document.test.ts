/** The identity file: what it can say, and what is said about each fault in one. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { fromPublicId } from "../../src/domain/ids.ts";
import { readIdentityFile } from "../../src/identity/identity-document.ts";
import { temporaryFolder } from "../helpers/service-process.ts";

const ORGANIZATION = "org_01m7zwtqvsf65aaqgh1cya2458";

const GOOD = {
  name: "acme",
  issuer: "https://id.example.com",
  audience: "latchkey",
  organization: ORGANIZATION,
  role: "member",
};

async function read(document: unknown) {
  await using folder = await temporaryFolder();
  const file = join(folder.path, "identity.json");
  await writeFile(file, JSON.stringify(document));
  return readIdentityFile(file);
}

describe("the identity file", () => {
  it("has what is usual where it says nothing", async () => {
    expect(await read({ issuers: [GOOD] })).toEqual({
      settings: {
        issuers: [
          {
            name: "acme",
            issuer: "https://id.example.com",
            audiences: ["latchkey"],
            algorithms: ["RS256", "PS256", "ES256", "EdDSA"],
            tokenType: "at+jwt",
            jwksUri: undefined,
            maxAgeSeconds: 86_400,
            organization: { kind: "fixed", id: fromPublicId("org", ORGANIZATION) },
            role: { kind: "fixed", role: "member" },
          },
        ],
        providers: [],
      },
    });
    expect(await read({})).toEqual({ settings: { issuers: [], providers: [] } });
  });

  it.each<[string, object, string]>([
    ["no issuer", { issuer: undefined }, "issuers[0].issuer: is required"],
    ["an issuer without TLS", { issuer: "http://id.example.com" }, "issuers[0].issuer: must be an https URL"],
    ["an issuer with a query", { issuer: "https://id.example.com?x" }, "issuers[0].issuer: must have no query"],
    ["a key's place without TLS", { jwks_uri: "http://10.0.0.1/" }, "issuers[0].jwks_uri: must be an https URL"],
    ["a shared secret's algorithm", { algorithms: ["HS256"] }, "issuers[0].algorithms[0]: must be among EdDSA"],
    ["no signature", { algorithms: ["none"] }, "issuers[0].algorithms[0]: must be among EdDSA"],
    ["no algorithm", { algorithms: [] }, "issuers[0].algorithms: must hold at least one"],
    ["a role that isn't one", { role: "root" }, "issuers[0].role: must be one of owner, admin, member"],
    ["a role for a value", { role: { claim: "r", values: { x: "root" } } }, "issuers[0].role: must be one of owner"],
    ["no organization's id", { organization: "acme" }, "issuers[0].organization: must be an organization's id"],
    [
      "the organization of service keys",
      { organization: "org_00000000000000000000000000" },
      "issuers[0].organization: must be an organization's id",
    ],
    ["a name that isn't one", { name: "usr_1:x" }, "issuers[0].name: must be up to 32"],
    ["what isn't a setting", { roles: {} }, "issuers[0].roles: is not a field here"],
  ])("can't have %s", async (_, wrong, fault) => {
    const faults = await read({ issuers: [{ ...GOOD, ...wrong }] });
    expect(faults).toEqual({ faults: [expect.stringContaining(fault)] });
  });

  it("can't have two issuers by one name, or the same one twice", async () => {
    expect(await read({ issuers: [GOOD, GOOD] })).toEqual({
      faults: ["issuers[1].name: is another one's already", "issuers[1].issuer: is another one's already"],
    });
  });

  it("stops the start with all that is wrong", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "identity.json");
    const env = { LATCHKEY_IDENTITY_FILE: file, LATCHKEY_LOG_LEVEL: "loud" };
    expect(() => loadConfig(env, {})).toThrow(/LATCHKEY_IDENTITY_FILE: .*can't be read/);
    await writeFile(file, JSON.stringify({ issuers: [{ ...GOOD, role: "root" }] }));
    expect(() => loadConfig(env, {})).toThrow(
      /LATCHKEY_IDENTITY_FILE: .*issuers\[0\]\.role: must be(?:.|\n)*LATCHKEY_LOG_LEVEL must be one of/,
    );
    await writeFile(file, JSON.stringify({ issuers: [GOOD] }));
    const own = { LATCHKEY_IDENTITY_FILE: file, LATCHKEY_ACCESS_TOKEN_ISSUER: GOOD.issuer };
    expect(() => loadConfig(own, {})).toThrow(/https:\/\/id\.example\.com is LATCHKEY_ACCESS_TOKEN_ISSUER/);
  });
});
