/** Calls a running service for the client commands. */
import type { DescService } from "@bufbuild/protobuf";
import { type ServiceError, status } from "@grpc/grpc-js";
import { createClient, type ServiceClient } from "../client/index.ts";
import { CLIENT_SETTINGS } from "../settings.ts";
import { type ClientFlags, clientSettings } from "./client-settings.ts";
import { type Connection, connectionOf, trustAuthority } from "./client-tls.ts";
import type { Options } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { loadedProfiles, type Program } from "./program.ts";
import { accessTokenOf } from "./session.ts";

export const CACERT_OPTION = {
  cacert: {
    type: "string",
    value: "FILE",
    help: `speak TLS, and trust the authorities in this file (${CLIENT_SETTINGS.cacert.env})`,
  },
} as const satisfies Options;

export const CLIENT_OPTIONS = {
  addr: {
    type: "string",
    value: "HOST:PORT",
    help: `the service's gRPC address (${CLIENT_SETTINGS.address.env}, ${CLIENT_SETTINGS.address.default})`,
  },
  token: { type: "string", value: "TOKEN", help: `the credential (better in ${CLIENT_SETTINGS.token.env})` },
  ...CACERT_OPTION,
  cert: { type: "string", value: "FILE", help: `a client certificate (${CLIENT_SETTINGS.cert.env})` },
  key: { type: "string", value: "FILE", help: `its private key (${CLIENT_SETTINGS.key.env})` },
} as const satisfies Options;

/** Of commands that sign in. */
export const URL_OPTION = {
  url: {
    type: "string",
    value: "URL",
    help: `the service's public URL (${CLIENT_SETTINGS.url.env}, ${CLIENT_SETTINGS.url.default})`,
  },
} as const satisfies Options;

/** Of commands that print something for scripts. */
export const JSON_OPTION = { json: { type: "boolean", default: false, help: "print JSON" } } as const satisfies Options;

/** Of commands that change something: the same request with the same key is made once in 24 h. */
export const KEY_OPTION = {
  "idempotency-key": {
    type: "string",
    value: "KEY",
    default: "",
    help: "make this change once: a retry with the same key within 24 h gets the same answer",
  },
} as const satisfies Options;

/**
 * Runs one call against the service.
 *
 * @throws CommandError that a person can read
 */
export async function callService<S extends DescService, T>(
  service: S,
  flags: ClientFlags,
  program: Program,
  use: (client: ServiceClient<S>) => Promise<T>,
): Promise<T> {
  const settings = await clientSettings(flags, program);
  const { token, session } = settings;
  const connection = await connectionOf(settings);
  const isSession = token.value === undefined && session !== undefined;
  if (isSession) await trustAuthority(settings);
  const credential = isSession ? await accessTokenOf(session, program) : token.value;
  const client = openClient(service, connection, await credentialOf(credential));
  try {
    return await use(client);
  } catch (error) {
    const { code, details } = error as ServiceError;
    if (code === undefined) throw error;
    if (details.startsWith("No connection established")) {
      const { address, tls } = connection;
      const [, reason = "no reason told"] = /Last error: (.*?)\.?(?: Resolution note.*)?$/.exec(details) ?? [];
      throw new CommandError(
        tls === undefined
          ? `nothing answers at ${address}: start the service, or set ${CLIENT_SETTINGS.address.env} or --addr`
          : `nothing answers at ${address} over TLS (${reason}): look at --addr, --cacert, --cert and --key, or their variables`,
        exitCodeOf(status.UNAVAILABLE),
      );
    }
    const login = `\`${program.name} login\``;
    const hint = isSession
      ? ` Sign in again with ${login}.`
      : ` Set ${program.tokenVariable} or --token, or sign in with ${login}.`;
    throw new CommandError(`${details}${code === status.UNAUTHENTICATED ? hint : ""}`, exitCodeOf(code));
  } finally {
    client.close();
  }
}

/** @throws CommandError for files that hold something else */
function openClient<S extends DescService>(
  service: S,
  connection: Connection,
  credential: { readonly token?: string; readonly apiKey?: string },
): ServiceClient<S> {
  try {
    return createClient(service, { ...connection, ...credential });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`the files of --cacert, --cert and --key can't be used: ${reason}`);
  }
}

/** How a credential is sent: an API token in the header that its product takes, and all others as a bearer token. */
async function credentialOf(token: string | undefined): Promise<{ readonly token?: string; readonly apiKey?: string }> {
  if (token === undefined) return {};
  // Service keys and access tokens are the usual ones, and need no profiles to be read.
  if (token.startsWith("lk_") || token.split(".").length === 3) return { token };
  const [header] = (await loadedProfiles()).ofSecret(token)?.credentialHeaders ?? [];
  return header === "x-api-key" ? { apiKey: token } : { token };
}
