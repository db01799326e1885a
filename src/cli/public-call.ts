/** Calls that need no credential, which the service takes on its public port: the JSON form of Connect. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromJson,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { CLIENT_SETTINGS } from "../settings.ts";
import { UsageError } from "./command.ts";
import { CommandError } from "./command-error.ts";
import { EXIT, exitCodeOf } from "./exit-codes.ts";

const TIMEOUT_MS = 15_000;

/**
 * @param url where the service's public port is
 * @throws UsageError for a URL that a password can't be sent to; CommandError that a person can read
 */
export async function callPublic<I extends DescMessage, O extends DescMessage>(
  url: string,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  requireSafe(url);
  const target = `${url.replace(/\/+$/, "")}/${method.parent.typeName}/${method.name}`;
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(target, {
      method: "POST",
      headers: { "content-type": "application/json", "connect-protocol-version": "1" },
      body: JSON.stringify(toJson(method.input, create(method.input, request))),
      // It would take the password somewhere else.
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    answer = await response.json();
  } catch {
    throw new CommandError(
      `${url} doesn't answer as the service does: start it, or set ${CLIENT_SETTINGS.url.env} or --url`,
      EXIT.unavailable,
    );
  }
  if (response.ok) return fromJson(method.output, answer as JsonValue, { ignoreUnknownFields: true });
  const { code = "", message = "" } = (answer ?? {}) as { readonly code?: string; readonly message?: string };
  const number = status[code.toUpperCase() as keyof typeof status];
  throw new CommandError(message || `${url} answered with status ${response.status}`, exitCodeOf(number));
}

/** A password in plain text is for this machine only. */
function requireSafe(url: string): void {
  const { protocol, hostname } = URL.parse(url) ?? {};
  if (protocol === "https:") return;
  if (protocol === "http:" && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname ?? "")) return;
  throw new UsageError(`the service's URL must be https, or http on this machine, not ${url}`);
}
