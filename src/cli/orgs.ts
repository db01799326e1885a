/** `latchkey orgs`: makes organizations, shows them, and sets their plan and profile. */
import { toJson } from "@bufbuild/protobuf";
import { type Organization, OrganizationSchema, OrganizationService } from "../../gen/latchkey/v1/organization_pb.ts";
import { type CommandGroup, subcommand } from "./command.ts";
import { CLIENT_OPTIONS, JSON_OPTION, KEY_OPTION } from "./service-call.ts";
import { formatTime, printTable } from "./table.ts";

const PAGE_SIZE = 500;

const OPTIONS = { ...CLIENT_OPTIONS, ...JSON_OPTION };
const CHANGE_OPTIONS = { ...OPTIONS, ...KEY_OPTION };

export const orgs: CommandGroup = {
  members: {
    create: subcommand("make an organization", {
      options: {
        ...CHANGE_OPTIONS,
        name: { type: "string", value: "NAME", required: true, help: "its name" },
        profile: {
          type: "string",
          value: "PROFILE",
          default: "",
          help: "its product's conventions; the service's default when left out",
        },
        plan: { type: "string", value: "PLAN", default: "", help: "its plan; the profile's first when left out" },
      },
      async run(values, _, { call }) {
        const { name, profile, plan, json, "idempotency-key": idempotencyKey } = values;
        const { organization } = await call(OrganizationService, (client) =>
          client.create({ name, profile, plan, idempotencyKey }),
        );
        report(organization, json, "made");
        if (organization !== undefined && !json) console.log(organization.id);
        return 0;
      },
    }),
    get: subcommand("show one organization", {
      args: ["ORG"],
      options: OPTIONS,
      async run(values, positionals, { call }) {
        const [id = ""] = positionals;
        const { organization } = await call(OrganizationService, (client) => client.get({ id }));
        show(organization === undefined ? [] : [organization], values.json);
        return 0;
      },
    }),
    list: subcommand("show all, the newest first", {
      options: OPTIONS,
      async run(values, _, { call }) {
        const found: Organization[] = [];
        await call(OrganizationService, async (client) => {
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
    }),
    "set-plan": subcommand("move it to another plan of its profile, at once", {
      args: ["ORG", "PLAN"],
      options: CHANGE_OPTIONS,
      async run(values, positionals, { call }) {
        const [organizationId = "", plan = ""] = positionals;
        const { organization } = await call(OrganizationService, (client) =>
          client.setPlan({ organizationId, plan, idempotencyKey: values["idempotency-key"] }),
        );
        report(organization, values.json, "changed");
        return 0;
      },
    }),
    "set-profile": subcommand("change the conventions of one that has never issued a token", {
      args: ["ORG", "PROFILE"],
      options: {
        ...CHANGE_OPTIONS,
        plan: { type: "string", value: "PLAN", default: "", help: "its plan; the profile's first when left out" },
      },
      async run(values, positionals, { call }) {
        const [organizationId = "", profile = ""] = positionals;
        const { organization } = await call(OrganizationService, (client) =>
          client.setProfile({ organizationId, profile, plan: values.plan, idempotencyKey: values["idempotency-key"] }),
        );
        report(organization, values.json, "changed");
        return 0;
      },
    }),
  },
  notes:
    "ORG is a public id (org_…) or a UUID. create prints the id alone on the standard output, the rest on the\n" +
    "standard error; --json prints one JSON object a line.",
};

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
