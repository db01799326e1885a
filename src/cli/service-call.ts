/** Calls a running service for the client commands. */
import type { DescService } from "@bufbuild/protobuf";
import { type ServiceError, status } from "@grpc/grpc-js";
import { createClient, type ServiceClient } from "../client/index.ts";
import { CLIENT_SETTINGS } from "../config.ts";
import { CallError } from "./call-error.ts";

export const CLIENT_OPTIONS = { addr: { type: "string" }, token: { type: "string" } } as const;

/** Of commands that change something: the same request with the same key is made once in 24 h. */
export const KEY_OPTION = { "idempotency-key": { type: "string", default: "" } } as const;

export const clientHelp =
  `--addr (${CLIENT_SETTINGS.address.env}, ${CLIENT_SETTINGS.address.default}) is the service's gRPC address,\n` +
  `--token (${CLIENT_SETTINGS.token.env}) the credential: a service key.`;

/**
 * Runs one call against the service.
 *
 * @throws CallError that a person can read
 */
export async function callService<S extends DescService, T>(
  service: S,
  flags: { readonly addr?: string | undefined; readonly token?: string | undefined },
  use: (client: ServiceClient<S>) => Promise<T>,
): Promise<T> {
  const address = flags.addr ?? process.env[CLIENT_SETTINGS.address.env] ?? CLIENT_SETTINGS.address.default;
  const token = flags.token ?? process.env[CLIENT_SETTINGS.token.env];
  const client = createClient(service, token === undefined ? { address } : { address, token });
  try {
    return await use(client);
  } catch (error) {
    const { code, details } = error as ServiceError;
    if (code === undefined) throw error;
    if (details.startsWith("No connection established")) {
      throw new CallError(
        `nothing answers at ${address}: start the service, or set ${CLIENT_SETTINGS.address.env} or --addr`,
      );
    }
    const hint = code === status.UNAUTHENTICATED ? ` Set ${CLIENT_SETTINGS.token.env} or --token.` : "";
    throw new CallError(`${details}${hint}`);
  } finally {
    client.close();
  }
}
