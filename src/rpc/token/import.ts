import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ImportedToken,
  ImportedTokenSchema,
  type ImportRequest,
  type ImportResultSchema,
  ImportStatus,
  DigestAlgorithm as ProtoAlgorithm,
  DigestEncoding as ProtoEncoding,
  TokenService,
} from "../../../gen/latchkey/v1/token_pb.ts";
import type { DigestAlgorithm, DigestEncoding } from "../../domain/digest-scheme.ts";
import {
  type ImportOutcome,
  type ImportRow,
  type ImportTokensDeps,
  importTokens as importAll,
} from "../../usecases/import-tokens.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { optionalDate, tokenMessage } from "../messages.ts";
import { findFaults } from "../validation.ts";

const ALGORITHM: Readonly<Record<ProtoAlgorithm, DigestAlgorithm | undefined>> = {
  [ProtoAlgorithm.UNSPECIFIED]: undefined,
  [ProtoAlgorithm.SHA256]: "sha256",
  [ProtoAlgorithm.SHA512]: "sha512",
  [ProtoAlgorithm.HMAC_SHA256]: "hmac_sha256",
};

const ENCODING: Readonly<Record<ProtoEncoding, DigestEncoding | undefined>> = {
  [ProtoEncoding.UNSPECIFIED]: undefined,
  [ProtoEncoding.HEX]: "hex",
  [ProtoEncoding.BASE64]: "base64",
};

const STATUS: Readonly<Record<ImportOutcome["kind"], ImportStatus>> = {
  imported: ImportStatus.IMPORTED,
  already_exists: ImportStatus.ALREADY_EXISTS,
  invalid_argument: ImportStatus.INVALID_ARGUMENT,
  permission_denied: ImportStatus.PERMISSION_DENIED,
};

/** `TokenService.Import` */
export const importTokens =
  (deps: ImportTokensDeps): Handlers<typeof TokenService>["import"] =>
  async (request, call) => {
    const outcomes = await importAll(deps, call, {
      organizationId: request.organizationId,
      rows: request.tokens.map((row) => importRow(request, row)),
      hmacKey: request.hmacKey,
      attempt: attemptOf(TokenService.method.import, request),
    });
    const count = (...kinds: readonly ImportOutcome["kind"][]): number =>
      outcomes.filter(({ kind }) => kinds.includes(kind)).length;
    return {
      results: outcomes.map((outcome) => resultMessage(outcome)),
      importedCount: count("imported"),
      existingCount: count("already_exists"),
      refusedCount: count("invalid_argument", "permission_denied"),
    };
  };

function importRow(request: ImportRequest, row: ImportedToken): ImportRow {
  return {
    ...row,
    algorithm: ALGORITHM[row.digestAlgorithm] ?? ALGORITHM[request.digestAlgorithm],
    encoding: ENCODING[row.digestEncoding] ?? ENCODING[request.digestEncoding],
    expiresAt: optionalDate(row.expiresAt),
    createdAt: optionalDate(row.createdAt),
    enabled: row.enabled ?? true,
    findFaults: () => findFaults(ImportedTokenSchema, row),
  };
}

function resultMessage(outcome: ImportOutcome): MessageInitShape<typeof ImportResultSchema> {
  const status = STATUS[outcome.kind];
  if (outcome.kind !== "imported") return { status, faults: [...outcome.violations] };
  // As it was when it was imported, for a retry is answered the same.
  return { status, token: tokenMessage(outcome.token, outcome.token.createdAt.getTime()) };
}
