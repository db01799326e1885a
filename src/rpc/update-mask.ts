/** Which fields of a request are to be changed (AIP-134). */
import { type DescField, type DescMessage, isFieldSet, type Message } from "@bufbuild/protobuf";
import { type FieldMask, FieldMaskSchema } from "@bufbuild/protobuf/wkt";
import { AppError, invalidArgument } from "../domain/errors.ts";

/** What says which thing is changed, and how. */
const ADDRESSING_FIELDS: ReadonlySet<string> = new Set(["id", "organization_id", "update_mask", "idempotency_key"]);

export interface UpdateMask {
  /** The field that holds it. */
  readonly field: DescField;
  /** The fields that it can name. */
  readonly maskable: readonly DescField[];
}

/** The update mask of a request; undefined for one that has none. */
export function updateMaskOf({ fields }: DescMessage): UpdateMask | undefined {
  const field = fields.find(({ message }) => message === FieldMaskSchema);
  return field && { field, maskable: fields.filter(({ name }) => !ADDRESSING_FIELDS.has(name)) };
}

/**
 * The fields that a request is to change: those that its mask names, or without a mask those that are set.
 * One that is named and not set is to be cleared.
 *
 * @throws AppError of kind `invalid_argument` for a mask that names anything else, for a field that can't be
 *   cleared, and when there is nothing to change.
 */
export function fieldsToChange(
  schema: DescMessage,
  request: Message & { readonly updateMask?: FieldMask | undefined },
): readonly DescField[] {
  const maskable = updateMaskOf(schema)?.maskable ?? [];
  const paths = request.updateMask?.paths ?? [];
  if (paths.some((path) => !maskable.some(({ name }) => name === path))) {
    throw invalidArgument({
      field: "update_mask",
      description: `must be among ${maskable.map(({ name }) => name).join(", ")}`,
    });
  }
  const named = maskable.filter((field) =>
    paths.length > 0 ? paths.includes(field.name) : isFieldSet(request, field),
  );
  if (named.length === 0) throw new AppError("invalid_argument", "The request names nothing to change.");
  // Lists and maps are cleared to nothing, messages to unset; a scalar that is cleared says nothing.
  const unclearable = named.filter((field) => field.fieldKind === "scalar" && !isFieldSet(request, field));
  if (unclearable.length > 0) {
    throw invalidArgument(...unclearable.map(({ name }) => ({ field: name, description: "can't be cleared" })));
  }
  return named;
}
