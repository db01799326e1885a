/** Domain values as protobuf messages, and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { TokenState as ProtoTokenState, type TokenSchema } from "../../gen/latchkey/v1/token_pb.ts";
import { type Token, type TokenState, tokenState } from "../domain/entities.ts";
import { toPublicId } from "../domain/ids.ts";

const PROTO_TOKEN_STATE: Readonly<Record<TokenState, ProtoTokenState>> = {
  active: ProtoTokenState.ACTIVE,
  disabled: ProtoTokenState.DISABLED,
  expired: ProtoTokenState.EXPIRED,
  revoked: ProtoTokenState.REVOKED,
};

/** A token's metadata as of `nowMs`. */
export function tokenMessage(token: Token, nowMs: number): MessageInitShape<typeof TokenSchema> {
  return {
    id: toPublicId("tok", token.id),
    organizationId: toPublicId("org", token.organizationId),
    profile: token.profile,
    type: token.type,
    name: token.name,
    hint: token.hint,
    permission: token.permission,
    scopes: [...token.scopes],
    ipAllowlist: [...token.ipAllowlist],
    metadata: { ...token.metadata },
    state: PROTO_TOKEN_STATE[tokenState(token, nowMs)],
    createdBy: token.createdBy,
    createdAt: timestampFromDate(token.createdAt),
    ...optionalTimestamp("expiresAt", token.expiresAt),
    ...optionalTimestamp("lastUsedAt", token.lastUsedAt),
    ...optionalTimestamp("revokedAt", token.revokedAt),
    revokedBy: token.revokedBy ?? "",
    revision: BigInt(token.revision),
  };
}

/** A field that is left out when there is no such time. */
export function optionalTimestamp<Name extends string>(
  name: Name,
  date: Date | undefined,
): { [Key in Name]?: Timestamp } {
  return date === undefined ? {} : ({ [name]: timestampFromDate(date) } as { [Key in Name]: Timestamp });
}

export function optionalDate(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined ? undefined : timestampDate(timestamp);
}

/** The domain's states for the ones that a request names; validation has let only known ones through. */
export function tokenStates(states: readonly ProtoTokenState[]): readonly TokenState[] {
  return (Object.keys(PROTO_TOKEN_STATE) as TokenState[]).filter((state) => states.includes(PROTO_TOKEN_STATE[state]));
}
