/** Gets checkpoints of a service under test, and opens them. */
import { AuditService } from "../../gen/latchkey/v1/audit_pb.ts";
import { createClient } from "../../src/client/index.ts";
import { type Checkpoint, openCheckpoint } from "../../src/domain/checkpoint.ts";
import { parseVerifierKey } from "../../src/domain/signed-note.ts";
import type { TestApp } from "./test-app.ts";

/** What a note says that this key has signed. */
export function openOrThrow(note: string, verifierKey: string): Checkpoint {
  const key = parseVerifierKey(verifierKey);
  const { checkpoint, fault } = key === undefined ? { fault: "no key" } : openCheckpoint(note, key);
  if (checkpoint === undefined) throw new Error(`it doesn't open: ${fault}`);
  return checkpoint;
}

/** Asks the service for a checkpoint, as its first service key. */
export async function getCheckpoint(test: TestApp): Promise<{ note: string; verifierKey: string }> {
  const client = createClient(AuditService, { address: test.app.grpcAddress, token: test.credentials.serviceKey });
  try {
    return await client.getCheckpoint({});
  } finally {
    client.close();
  }
}
