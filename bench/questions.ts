/** The tokens that benchmarks ask about, and the calls that ask. */
import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { IntrospectRequestSchema } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { createClient } from "../src/client/index.ts";
import { frame, type LoadJob } from "./load.ts";
import type { ServiceUnderTest } from "./server-process.ts";

export interface IssuedToken {
  readonly id: string;
  readonly secret: string;
}

const CONNECTIONS = 4;
const CONCURRENCY = 64;
const ISSUERS = 256;

export async function issueTokens({ address, credentials }: ServiceUnderTest, count: number): Promise<IssuedToken[]> {
  const client = createClient(TokenService, { address, token: credentials.serviceKey });
  const tokens: IssuedToken[] = [];
  while (tokens.length < count) {
    const batch = Array.from({ length: Math.min(ISSUERS, count - tokens.length) }, async (_, index) => {
      const { organizationId } = credentials;
      const { token, secret } = await client.issue({ organizationId, name: `benchmark ${tokens.length + index}` });
      return { id: token?.id ?? "", secret };
    });
    tokens.push(...(await Promise.all(batch)));
  }
  client.close();
  return tokens;
}

export function questionOf(secret: string): MessageInitShape<typeof IntrospectRequestSchema> {
  return { token: secret, clientIp: "192.0.2.7" };
}

export function introspects(secrets: readonly string[]): readonly Uint8Array[] {
  return secrets.map((secret) => frame(IntrospectRequestSchema, questionOf(secret)));
}

/** Calls of a method of the service, as many at a time as a busy backend has. */
export function callsOf(
  { address, credentials }: ServiceUnderTest,
  method: string,
  bodies: readonly Uint8Array[],
  requests: number,
): LoadJob {
  return {
    address,
    path: `/latchkey.v1.${method}`,
    headers: { "content-type": "application/grpc+proto", authorization: `Bearer ${credentials.serviceKey}` },
    bodies,
    requests,
    connections: CONNECTIONS,
    concurrency: CONCURRENCY,
  };
}

export function framed<S extends DescMessage>(schema: S, messages: readonly MessageInitShape<S>[]): Uint8Array[] {
  return messages.map((message) => frame(schema, message));
}
