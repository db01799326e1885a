/** `latchkey orgs`: makes organizations, shows them, and sets their plan and profile. */
import { toJson } from "@bufbuild/protobuf";
import { type Organization, OrganizationSchema, OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { parseOptions, UsageError } from "./command.ts";
import { commandGroup } from "./command-group.ts";
import { CLIENT_OPTIONS, callService, KEY_OPTION } from "./service-call.ts";
import { formatTime, printTable } from "./table.ts";

const PAGE_SIZE = 500;

const OPTIONS = { ...CLIENT_OPTIONS, json: { type: "boolean", default: false } } as const;
const CHANGE_OPTIONS = { ...OPTIONS, ...KEY_OPTION } as const;

export const orgs = commandGroup(
  "orgs",
  {
    create: {
      usage: "--name NAME [--profile PROFILE] [--plan PLAN] [--idempotency-key KEY] [--json]",
      summary: "make an organization",
      async run(args) {
        const { values } = parseOptions(args, {
          ...CHANGE_OPTIONS,
          name: { type: "string" },
          profile: { type: "string", default: "" },
          plan: { type: "string", default: "" },
        });
        const { name, profile, plan, json, "idempotency-key": idempotencyKey } = values;
        if (name === undefined) throw new UsageError("--name is required");
        const { organization } = await callService(OrganizationService, values, (client) =>
          client.create({ name, profile, plan, idempotencyKey }),
        );
        report(organization, json, "made");
        if (organization !== undefined && !json) console.log(organization.id);
        return 0;
      },
    },
    get: {
      usage: "ORG [--json]",
      summary: "show one",
      async run(args) {
        const { values, positionals } = parseOptions(args, OPTIONS, 1);
        const [id = ""] = positionals;
        const { organization } = await callService(OrganizationService, values, (client) => client.get({ id }));
        show(organization === undefined ? [] : [organization], values.json);
        return 0;
      },
    },
    list: {
      usage: "[--json]",
      summary: "show all, the newest first",
      async run(args) {
        const { values } = parseOptions(args, OPTIONS);
        const found: Organization[] = [];
        await callService(OrganizationService, values, async (client) => {
          let pageToken = "";
          do {
            const page = await client.list({ pageSize: PAGE_SIZE, pageToken });
            found.push(...page.organizations);
            pageToken = page.nextPageToken;
          } while (pageToken !== "");
        });
        show(found, values.json);
        return 0;
      },
    },
    "set-plan": {
      usage: "ORG PLAN [--idempotency-key KEY] [--json]",
      summary: "move it to another plan of its profile, at once",
      async run(args) {
        const { values, positionals } = parseOptions(args, CHANGE_OPTIONS, 2);
        const [organizationId = "", plan = ""] = positionals;
        const { organization } = await callService(OrganizationService, values, (client) =>
          client.setPlan({ organizationId, plan, idempotencyKey: values["idempotency-key"] }),
        );
        report(organization, values.json, "changed");
        return 0;
      },
    },
    "set-profile": {
      usage: "ORG PROFILE [--plan PLAN] [--idempotency-key KEY] [--json]",
      summary: "change the conventions of one that has never issued a token",
      async run(args) {
        const { values, positionals } = parseOptions(
          args,
          { ...CHANGE_OPTIONS, plan: { type: "string", default: "" } },
          2,
        );
        const [organizationId = "", profile = ""] = positionals;
        const { organization } = await callService(OrganizationService, values, (client) =>
          client.setProfile({ organizationId, profile, plan: values.plan, idempotencyKey: values["idempotency-key"] }),
        );
        report(organization, values.json, "changed");
        return 0;
      },
    },
  },
  "ORG is a public id (org_…) or a UUID. create prints the id alone on the standard output, the rest on the\n" +
    "standard error; --json prints one JSON object a line.",
);

function show(organizations: readonly Organization[], json: boolean): void {
  if (json) {
    for (const organization of organizations) console.log(JSON.stringify(toJson(OrganizationSchema, organization)));
    return;
  }
  printTable(
    ["ID", "NAME", "PROFILE", "PLAN", "CREATED"],
    organizations.map(({ id, name, profile, plan, createdAt }) => [id, name, profile, plan, formatTime(createdAt)]),
  );
}

function report(organization: Organization | undefined, json: boolean, done: string): void {
  if (organization === undefined) return;
  if (json) return show([organization], json);
  const { id, name, profile, plan } = organization;
  console.error(`${done} ${id} (${name}): profile ${profile}, plan ${plan}`);
}
