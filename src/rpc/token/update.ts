import { create } from "@bufbuild/protobuf";
import { FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { TokenService, type UpdateRequest, UpdateRequestSchema } from "../../../gen/latchkey/v1/token_pb.ts";
import type { TokenSettings } from "../../domain/entities.ts";
import { type UpdateTokenDeps, updateToken } from "../../usecases/update-token.ts";
import { attemptOf } from "../attempt.ts";
import type { Handlers } from "../handlers.ts";
import { optionalDate, tokenMessage } from "../messages.ts";
import { fieldsToChange } from "../update-mask.ts";

/** `TokenService.Update` */
export const update =
  (deps: UpdateTokenDeps): Handlers<typeof TokenService>["update"] =>
  async (request, call) => {
    const fields = fieldsToChange(UpdateRequestSchema, request);
    // The same change is the same call, whether it came with a mask or not.
    const updateMask = create(FieldMaskSchema, { paths: fields.map(({ name }) => name) });
    const { token, atMs } = await updateToken(deps, call, {
      ...request,
      changes: changesOf(request, new Set(fields.map(({ localName }) => localName))),
      attempt: attemptOf(TokenService.method.update, { ...request, updateMask }),
    });
    return { token: tokenMessage(token, atMs) };
  };

function changesOf(request: UpdateRequest, fields: ReadonlySet<string>): Partial<TokenSettings> {
  const { name, enabled, permission, scopes, ipAllowlist, metadata } = request;
  const expiresAt = optionalDate(request.expiresAt);
  const settings = { name, enabled, permission, scopes, ipAllowlist, expiresAt, metadata };
  const named = Object.entries(settings satisfies Record<keyof TokenSettings, unknown>).filter(([field]) =>
    fields.has(field),
  );
  return Object.fromEntries(named);
}
