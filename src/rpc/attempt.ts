/** Recognises a call that its caller sends again. */
import { hash } from "node:crypto";
import {
  clone,
  type DescField,
  type DescMessage,
  type DescMethod,
  type Message,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  isReflectList,
  isReflectMap,
  isReflectMessage,
  type ReflectMessage,
  reflect,
} from "@bufbuild/protobuf/reflect";
import type { Attempt } from "../usecases/idempotency.ts";

/** Requests that can carry an idempotency key. */
type Repeatable = { readonly idempotencyKey: string };

/**
 * What makes the call the same as another one; undefined when it brings no key.
 *
 * The request is hashed as the message that it is, for that holds every field, also those that are added
 * later, and is the same whichever protocol it came by.
 */
export function attemptOf<M extends DescMethod>(
  method: M,
  request: MessageShape<M["input"]> & Repeatable,
): Attempt | undefined {
  const { idempotencyKey: key } = request;
  if (key === "") return undefined;
  const keyless = clone<DescMessage>(method.input, request);
  Object.assign(keyless, { idempotencyKey: "" });
  return {
    method: `${method.parent.typeName}/${method.name}`,
    key,
    requestHash: hash("sha256", canonicalBytes(method.input, keyless), "buffer"),
  };
}

/** The message in binary, with the entries of maps in order: senders may shuffle them each time. */
function canonicalBytes(schema: DescMessage, message: Message): Uint8Array {
  sortMaps(reflect(schema, message));
  // What isn't in the schema isn't looked at when the call is made either.
  return toBinary(schema, message, { writeUnknownFields: false });
}

function sortMaps(message: ReflectMessage): void {
  for (const field of message.fields.filter((candidate) => message.isSet(candidate))) {
    if (field.fieldKind === "map") {
      const map = message.get(field);
      const entries = Array.from(map).toSorted(([one], [other]) => (String(one) < String(other) ? -1 : 1));
      map.clear();
      for (const [key, value] of entries) map.set(key, value);
    }
    for (const inner of messagesIn(message, field)) sortMaps(inner);
  }
}

function messagesIn(message: ReflectMessage, field: DescField): readonly ReflectMessage[] {
  const value: unknown = message.get(field);
  const candidates = isReflectMap(value) ? [...value.values()] : isReflectList(value) ? [...value] : [value];
  return candidates.filter((candidate) => isReflectMessage(candidate));
}
