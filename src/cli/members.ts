/** `latchkey members`: says who belongs to an organization, and changes it. */
import { toJson } from "@bufbuild/protobuf";
import {
  AddMemberResponseSchema,
  InvitationSchema,
  InviteMemberResponseSchema,
  type Member,
  MemberSchema,
  OrganizationService,
  Role,
} from "../../gen/latchkey/v1/organization_pb.ts";
import { type CommandGroup, type Options, subcommand, UsageError } from "./command.ts";
import { CLIENT_OPTIONS, JSON_OPTION, KEY_OPTION } from "./service-call.ts";
import { formatTime, printTable, tokenCount } from "./table.ts";

const PAGE_SIZE = 500;

const OPTIONS = { ...CLIENT_OPTIONS, ...JSON_OPTION };
const CHANGE_OPTIONS = { ...OPTIONS, ...KEY_OPTION };

const EMAIL_OPTION = {
  email: { type: "string", value: "EMAIL", required: true, help: "the address that they sign in with" },
} as const satisfies Options;

const ROLE_BY_NAME: ReadonlyMap<string, Role> = new Map([
  ["owner", Role.OWNER],
  ["admin", Role.ADMIN],
  ["member", Role.MEMBER],
]);

const ROLE_OPTION = {
  role: {
    type: "string",
    value: "ROLE",
    choices: [...ROLE_BY_NAME.keys()],
    required: true,
    help: "what they may do: owner, admin or member",
  },
} as const satisfies Options;

export const members: CommandGroup = {
  members: {
    list: subcommand("show them, the oldest membership first", {
      args: ["ORG"],
      options: OPTIONS,
      async run(values, positionals, { call }) {
        const [organizationId = ""] = positionals;
        const found: Member[] = [];
        await call(OrganizationService, async (client) => {
          let pageToken = "";
          do {
            const page = await client.listMembers({ organizationId, pageSize: PAGE_SIZE, pageToken });
            found.push(...page.members);
            pageToken = page.nextPageToken;
          } while (pageToken !== "");
        });
        if (values.json) {
          for (const member of found) console.log(JSON.stringify(toJson(MemberSchema, member)));
        } else {
          printTable(
            ["ID", "EMAIL", "NAME", "ROLE", "JOINED"],
            found.map(({ user, role, joinedAt }) => [
              user?.id ?? "",
              user?.email ?? "",
              user?.displayName ?? "",
              nameOf(role),
              formatTime(joinedAt),
            ]),
          );
        }
        return 0;
      },
    }),
    add: subcommand("make a person a member; somebody without an account gets one", {
      args: ["ORG"],
      options: {
        ...CHANGE_OPTIONS,
        ...EMAIL_OPTION,
        ...ROLE_OPTION,
        "first-name": { type: "string", value: "NAME", default: "", help: "given name" },
        "last-name": { type: "string", value: "NAME", default: "", help: "family name" },
        "display-name": { type: "string", value: "NAME", default: "", help: "name to show" },
        "avatar-url": { type: "string", value: "URL", default: "", help: "picture" },
      },
      async run(values, positionals, { call }) {
        const [organizationId = ""] = positionals;
        const { email } = values;
        const request = {
          organizationId,
          email,
          role: parseRole(values.role),
          firstName: values["first-name"],
          lastName: values["last-name"],
          displayName: values["display-name"],
          avatarUrl: values["avatar-url"],
          idempotencyKey: values["idempotency-key"],
        };
        const response = await call(OrganizationService, (client) => client.addMember(request));
        if (values.json) {
          console.log(JSON.stringify(toJson(AddMemberResponseSchema, response)));
          return 0;
        }
        const { member, initialPassword } = response;
        const added = `added ${member?.user?.id} (${member?.user?.email}) as ${nameOf(member?.role)}`;
        if (initialPassword === "") {
          console.error(`${added}; they have an account, and sign in as before`);
        } else {
          console.error(`${added}; the password of their new account can't be shown again:`);
          console.log(initialPassword);
        }
        return 0;
      },
    }),
    invite: subcommand("invite a person, by mail or with a link to hand over", {
      args: ["ORG"],
      options: { ...CHANGE_OPTIONS, ...EMAIL_OPTION, ...ROLE_OPTION },
      async run(values, positionals, { call }) {
        const [organizationId = ""] = positionals;
        const { email, role, "idempotency-key": idempotencyKey } = values;
        const request = { organizationId, email, role: parseRole(role), idempotencyKey };
        const response = await call(OrganizationService, (client) => client.inviteMember(request));
        if (values.json) {
          console.log(JSON.stringify(toJson(InviteMemberResponseSchema, response)));
          return 0;
        }
        const { invitation, token, link } = response;
        const invited = `invited ${invitation?.email} as ${nameOf(invitation?.role)}, until ${formatTime(invitation?.expiresAt)}`;
        if (token === "") {
          console.error(`${invited}; the link is on its way by mail`);
        } else {
          const what = link === "" ? "token of the link" : "link";
          console.error(`${invited}; hand over this ${what}, which can't be shown again:`);
          console.log(link || token);
        }
        return 0;
      },
    }),
    invitations: subcommand("show the invitations that work, the oldest first", {
      args: ["ORG"],
      options: OPTIONS,
      async run(values, positionals, { call }) {
        const [organizationId = ""] = positionals;
        const { invitations } = await call(OrganizationService, (client) => client.listInvitations({ organizationId }));
        if (values.json) {
          for (const invitation of invitations) console.log(JSON.stringify(toJson(InvitationSchema, invitation)));
        } else {
          printTable(
            ["ID", "EMAIL", "ROLE", "BY", "EXPIRES"],
            invitations.map(({ id, email, role, createdBy, expiresAt }) => [
              id,
              email,
              nameOf(role),
              createdBy,
              formatTime(expiresAt),
            ]),
          );
        }
        return 0;
      },
    }),
    uninvite: subcommand("end an invitation, at once", {
      args: ["ORG", "INVITATION"],
      options: CHANGE_OPTIONS,
      async run(values, positionals, { call }) {
        const [organizationId = "", id = ""] = positionals;
        const request = { organizationId, id, idempotencyKey: values["idempotency-key"] };
        const { invitation } = await call(OrganizationService, (client) => client.revokeInvitation(request));
        if (invitation !== undefined && values.json) {
          console.log(JSON.stringify(toJson(InvitationSchema, invitation)));
        } else {
          console.error(`the invitation of ${invitation?.email} doesn't work any more`);
        }
        return 0;
      },
    }),
    "set-role": subcommand("change what a member may do, at once", {
      args: ["ORG", "USER", "ROLE"],
      options: CHANGE_OPTIONS,
      async run(values, positionals, { call }) {
        const [organizationId = "", userId = "", role = ""] = positionals;
        const idempotencyKey = values["idempotency-key"];
        const request = { organizationId, userId, role: parseRole(role), idempotencyKey };
        const { member } = await call(OrganizationService, (client) => client.setMemberRole(request));
        if (member !== undefined && values.json) console.log(JSON.stringify(toJson(MemberSchema, member)));
        else console.error(`changed ${member?.user?.id} (${member?.user?.email}) to ${nameOf(member?.role)}`);
        return 0;
      },
    }),
    remove: subcommand("end a membership, at once, with the person's own tokens, or all of them", {
      args: ["ORG", "USER"],
      options: {
        ...CLIENT_OPTIONS,
        ...KEY_OPTION,
        "revoke-tokens": {
          type: "boolean",
          default: false,
          help: "revoke all of the person's tokens, not only personal ones",
        },
      },
      async run(values, positionals, { call }) {
        const [organizationId = "", userId = ""] = positionals;
        const { "revoke-tokens": revokeTokens, "idempotency-key": idempotencyKey } = values;
        const request = { organizationId, userId, revokeTokens, idempotencyKey };
        const { revokedTokens } = await call(OrganizationService, (client) => client.removeMember(request));
        console.error(`removed ${userId}${revokedTokens === 0 ? "" : `, and revoked ${tokenCount(revokedTokens)}`}`);
        return 0;
      },
    }),
  },
  notes:
    "ORG and USER are public ids (org_…, usr_…) or UUIDs, INVITATION is an id that invitations shows; ROLE is\n" +
    "owner, admin or member. add prints the password of a new account alone on the standard output, and invite\n" +
    "the link where none is mailed, the rest on the standard error; --json prints one JSON object a line.",
};

function parseRole(name: string): Role {
  const role = ROLE_BY_NAME.get(name);
  if (role === undefined)
    throw new UsageError(`the role must be one of ${[...ROLE_BY_NAME.keys()].join(", ")}, not ${name}`);
  return role;
}

function nameOf(role: Role | undefined): string {
  return ROLE_BY_NAME.entries().find(([, candidate]) => candidate === role)?.[0] ?? "";
}
