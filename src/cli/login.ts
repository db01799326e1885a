/** `latchkey login`: signs a person in, for the commands that follow. */
import { toJson } from "@bufbuild/protobuf";
import { AuthService, UserSchema } from "../../gen/latchkey/v1/auth_pb.ts";
import { CLIENT_SETTINGS } from "../settings.ts";
import { clientSettings } from "./client-settings.ts";
import { trustAuthority } from "./client-tls.ts";
import { command, UsageError } from "./command.ts";
import { changeConfigFile, configFileOf, type Session } from "./config-file.ts";
import { isInteractive, readLine } from "./confirm.ts";
import { EXIT } from "./exit-codes.ts";
import { callPublic } from "./public-call.ts";
import { readPassword } from "./secret-input.ts";
import { CACERT_OPTION, JSON_OPTION, URL_OPTION } from "./service-call.ts";
import { sessionOf } from "./session.ts";

export const login = command({
  options: {
    ...URL_OPTION,
    ...CACERT_OPTION,
    ...JSON_OPTION,
    email: { type: "string", value: "EMAIL", help: "the address to sign in with; without it you are asked" },
    org: { type: "string", value: "ORG", default: "", help: "the organization to act in; else the one joined first" },
  },
  notes:
    "The password is asked for, or read from the standard input. What it was traded for is kept in the\n" +
    `configuration file and renewed by itself, until \`logout\`. A token from --token, ${CLIENT_SETTINGS.token.env}\n` +
    "or `config set --token` goes before it.",
  async run(values, _, { program }) {
    const settings = await clientSettings(values, program);
    const { url, token } = settings;
    await trustAuthority(settings);
    const place = url.value ?? "";
    const email = values.email ?? (isInteractive() ? await readLine("Email: ") : "");
    if (email === "") throw new UsageError("needs --email");
    const password = await readPassword();
    const request = { email, password, organizationId: values.org };
    const answer = await callPublic(place, AuthService.method.login, request);
    const { user } = answer;
    const session = sessionOf(answer, { url: place, email: user?.email ?? email });
    const path = configFileOf(program);
    let before: Session | undefined;
    await changeConfigFile(path, (kept) => {
      before = kept.session;
      return { ...kept, session };
    });
    // Nobody needs it any more, and it would work for a month.
    if (before !== undefined) await endSession(before).catch(() => {});
    if (values.json && user !== undefined) console.log(JSON.stringify(toJson(UserSchema, user)));
    console.error(`signed in as ${session.email}, and wrote ${path}`);
    if (token.value !== undefined) console.error(`the token from ${token.from} goes before it, as long as it is set`);
    return EXIT.done;
  },
});

/** @throws CommandError when the service doesn't answer. A session that is over already is as good. */
export async function endSession({ url, refreshToken }: Session): Promise<void> {
  await callPublic(url, AuthService.method.logout, { refreshToken });
}
