/**
 * Copies the third-party .proto files that our API imports out of the npm packages that ship them
 * into third_party/, so that buf needs no network and a plain `buf curl --schema .` works.
 *
 * validate.proto ships only as a descriptor (in @bufbuild/protovalidate), so it is printed from it;
 * the result means the same to every compiler, without the comments.
 */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { DescEnum, DescExtension, DescField, DescFile, DescMessage } from "@bufbuild/protobuf";
import { ScalarType } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Label, FieldDescriptorProto_Type } from "@bufbuild/protobuf/wkt";

const target = "third_party";

const npmPackage = (name: string): string => resolve("node_modules", name);
const googleapis = join(npmPackage("@grpc/grpc-js-xds"), "deps/googleapis");
const copies: Readonly<Record<string, string>> = {
  "google/api/annotations.proto": join(googleapis, "google/api/annotations.proto"),
  "google/api/http.proto": join(googleapis, "google/api/http.proto"),
  "google/rpc/error_details.proto": join(googleapis, "google/rpc/error_details.proto"),
  "google/rpc/status.proto": join(googleapis, "google/rpc/status.proto"),
  "grpc/health/v1/health.proto": join(npmPackage("grpc-health-check"), "proto/health/v1/health.proto"),
  "grpc/reflection/v1/reflection.proto": join(
    npmPackage("@grpc/reflection"),
    "build/proto/grpc/reflection/v1/reflection.proto",
  ),
  "grpc/reflection/v1alpha/reflection.proto": join(
    npmPackage("@grpc/reflection"),
    "build/proto/grpc/reflection/v1alpha/reflection.proto",
  ),
};

/** Prints a proto2 or proto3 descriptor as source. Knows what validate.proto uses, no more. */
function printFile(file: DescFile): string {
  const lines = [
    `// Printed from the descriptor in @bufbuild/protovalidate by scripts/vendor-protos.ts. Apache-2.0.`,
    `syntax = "${file.proto.syntax || "proto2"}";`,
    `package ${file.proto.package};`,
    ...file.proto.dependency.map((name) => `import "${name}";`),
  ];
  for (const item of file.enums) lines.push(...printEnum(item));
  for (const item of file.messages) lines.push(...printMessage(item));
  lines.push(...printExtensions(file.extensions));
  return `${lines.join("\n")}\n`;
}

function printEnum(item: DescEnum): string[] {
  return [`enum ${item.name} {`, ...item.values.map((value) => `  ${value.name} = ${value.number};`), "}"];
}

function printMessage(item: DescMessage): string[] {
  const body: string[] = [];
  for (const nested of item.nestedEnums) body.push(...printEnum(nested));
  for (const nested of item.nestedMessages) body.push(...printMessage(nested));
  for (const member of item.members) {
    if (member.kind === "oneof") {
      body.push(`oneof ${member.name} {`, ...member.fields.map((field) => `  ${printField(field, false)}`), "}");
    } else {
      body.push(printField(member, true));
    }
  }
  for (const range of item.proto.extensionRange) body.push(`extensions ${range.start} to ${printRangeEnd(range.end)};`);
  for (const range of item.proto.reservedRange) body.push(`reserved ${range.start} to ${range.end - 1};`);
  for (const name of item.proto.reservedName) body.push(`reserved "${name}";`);
  body.push(...printExtensions(item.nestedExtensions));
  return [`message ${item.name} {`, ...body.map((line) => `  ${line}`), "}"];
}

const printRangeEnd = (end: number): string => (end >= 536870912 ? "max" : String(end - 1));

function printExtensions(extensions: readonly DescExtension[]): string[] {
  return extensions.flatMap((item) => [`extend .${item.extendee.typeName} {`, `  ${printField(item, true)}`, "}"]);
}

function printField(field: DescField | DescExtension, withLabel: boolean): string {
  const { label, type } = field.proto;
  if (field.fieldKind === "map") {
    throw new Error(`${field.name}: map fields are not printed`);
  }
  const labels = {
    [FieldDescriptorProto_Label.OPTIONAL]: "optional ",
    [FieldDescriptorProto_Label.REQUIRED]: "required ",
    [FieldDescriptorProto_Label.REPEATED]: "repeated ",
  } as const;
  const named = type === FieldDescriptorProto_Type.MESSAGE || type === FieldDescriptorProto_Type.ENUM;
  const typeName = named ? field.proto.typeName : (ScalarType[type as number] ?? "").toLowerCase();
  const options: string[] = [];
  if (field.proto.defaultValue) options.push(`default = ${field.proto.defaultValue}`);
  if (field.proto.options?.deprecated) options.push("deprecated = true");
  const suffix = options.length > 0 ? ` [${options.join(", ")}]` : "";
  return `${withLabel ? labels[label] : ""}${typeName} ${field.name} = ${field.number}${suffix};`;
}

const { file_buf_validate_validate: validate } = (await import(
  join(npmPackage("@bufbuild/protovalidate"), "dist/esm/gen/buf/validate/validate_pb.js")
)) as { file_buf_validate_validate: DescFile };

rmSync(target, { recursive: true, force: true });
for (const [name, source] of Object.entries(copies)) {
  mkdirSync(dirname(join(target, name)), { recursive: true });
  copyFileSync(source, join(target, name));
}
mkdirSync(join(target, "buf/validate"), { recursive: true });
writeFileSync(join(target, "buf/validate/validate.proto"), printFile(validate));
