/** The file of services with client certificates: what it can say, and how each slip in it is named. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SYSTEM_ORGANIZATION_ID } from "../../src/domain/ids.ts";
import { readServiceIdentities } from "../../src/identity/service-identity-document.ts";

const folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
afterAll(() => rmSync(folder, { recursive: true }));

function read(text: string) {
  const path = join(folder, "services.yaml");
  writeFileSync(path, text);
  return readServiceIdentities(path);
}

const faultsOf = (text: string): readonly string[] => {
  const found = read(text);
  return "faults" in found ? found.faults : [];
};

const GOOD = "name: a, dns: a.internal, organization: all, scopes: [introspect]";

describe("the file of services", () => {
  it("has names, an organization or all, and scopes for each", () => {
    const found = read(`
services:
  - name: gateway
    uri: spiffe://example.org/gateway
    organization: all
    scopes: [introspect]
  - name: console
    dns: [Console.Internal, console-2.internal]
    uri: [spiffe://example.org/console, "urn:example:console"]
    organization: org_01m7zwtqvsf65aaqgh1cya2458
    scopes: [tokens:read, tokens:write]
`);
    expect(found).toEqual({
      value: [
        {
          name: "gateway",
          dnsNames: [],
          uris: ["spiffe://example.org/gateway"],
          organizationId: SYSTEM_ORGANIZATION_ID,
          scopes: ["introspect"],
        },
        {
          name: "console",
          dnsNames: ["console.internal", "console-2.internal"],
          uris: ["spiffe://example.org/console", "urn:example:console"],
          organizationId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
          scopes: ["tokens:read", "tokens:write"],
        },
      ],
    });
  });

  it.each([
    ["nothing", "", ["services: is required"]],
    ["another field", `services: [{ ${GOOD}, cn: a }]`, ["services[0].cn: is not a field here"]],
    ["no list", "services: a", ["services: must be a list"]],
    [
      "no organization",
      "services: [{ name: a, dns: a, scopes: [introspect] }]",
      ["services[0].organization: must be all, or an organization's id, org_…"],
    ],
    [
      "an organization that is none",
      `services: [{ ${GOOD.replace("all", "acme")} }]`,
      ["services[0].organization: must be all, or an organization's id, org_…"],
    ],
    // All of them has to be meant.
    [
      "the system's own organization",
      `services: [{ ${GOOD.replace("all", "org_00000000000000000000000000")} }]`,
      ["services[0].organization: must be all, or an organization's id, org_…"],
    ],
    [
      "no scopes",
      "services: [{ name: a, dns: a, organization: all, scopes: [] }]",
      ["services[0].scopes: must hold at least one"],
    ],
    [
      "an unknown scope",
      `services: [{ ${GOOD.replace("[introspect]", "[admin]")} }]`,
      [expect.stringMatching(/^services\[0\]\.scopes\[0\]: must be among introspect, /) as string],
    ],
    [
      "no certificate",
      "services: [{ name: a, organization: all, scopes: [introspect] }]",
      ["services[0]: needs dns or uri"],
    ],
    [
      "a wildcard",
      `services: [{ ${GOOD.replace("a.internal", "'*.internal'")} }]`,
      ["services[0].dns[0]: must be a whole host name, without a wildcard"],
    ],
    [
      "no URI",
      `services: [{ ${GOOD}, uri: [gateway] }]`,
      ["services[0].uri[0]: must be a URI, for example spiffe://example.org/gateway"],
    ],
    [
      "a name that can't be",
      `services: [{ ${GOOD.replace("name: a", "name: a/b")} }]`,
      ["services[0].name: must be up to 32 lower-case letters, digits and dashes, a letter first"],
    ],
    [
      "a name twice",
      `services: [{ ${GOOD} }, { ${GOOD.replace("a.internal", "b")} }]`,
      ["services[1].name: is another one's already"],
    ],
    [
      "a certificate of two",
      `services: [{ ${GOOD} }, { ${GOOD.replace("name: a", "name: b").replace("a.internal", "A.Internal")} }]`,
      ["services[1].dns: a.internal is services[0]'s already"],
    ],
  ])("names the fault in one with %s", (_, text, faults) => {
    expect(faultsOf(text)).toEqual(faults);
  });
});
