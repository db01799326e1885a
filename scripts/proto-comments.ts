/**
 * Writes the comments of the API's proto files to gen/comments.json, by full name, so that the OpenAPI
 * documents can say what a field means. Generated code keeps comments for people only.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  FileDescriptorSetSchema,
  type ServiceDescriptorProto,
  type SourceCodeInfo_Location,
} from "@bufbuild/protobuf/wkt";

// Field numbers on the way to a definition, as descriptor.proto has them.
const MESSAGE = 4;
const SERVICE = 6;
const FIELD = 2;
const METHOD = 2;

const image = execFileSync("buf", ["build", "proto", "--as-file-descriptor-set", "-o", "-#format=binpb"]);
const comments: Record<string, string> = {};

for (const file of fromBinary(FileDescriptorSetSchema, image).file) {
  if (!file.package.startsWith("latchkey.")) continue;
  const locations = file.sourceCodeInfo?.location ?? [];
  const messages = file.messageType.map((message, index) => [message, [MESSAGE, index]] as const);
  const services = file.service.map((service, index) => [service, [SERVICE, index]] as const);
  for (const [message, path] of messages) note(locations, `${file.package}.${message.name}`, path, fieldsOf(message));
  for (const [service, path] of services) note(locations, `${file.package}.${service.name}`, path, methodsOf(service));
}

writeFileSync("gen/comments.json", `${JSON.stringify(comments, null, 2)}\n`);

function fieldsOf({ field }: DescriptorProto): readonly (readonly [string, readonly number[]])[] {
  return field.map(({ name }, index) => [name, [FIELD, index]]);
}

function methodsOf({ method }: ServiceDescriptorProto): readonly (readonly [string, readonly number[]])[] {
  return method.map(({ name }, index) => [name, [METHOD, index]]);
}

function note(
  locations: readonly SourceCodeInfo_Location[],
  name: string,
  path: readonly number[],
  members: readonly (readonly [string, readonly number[]])[],
): void {
  const items = [["", []] as const, ...members];
  for (const [member, rest] of items) {
    const wanted = [...path, ...rest].join(".");
    const text = locations.find((location) => location.path.join(".") === wanted)?.leadingComments ?? "";
    if (text !== "") comments[member === "" ? name : `${name}.${member}`] = paragraphs(text);
  }
}

/** Lines of a paragraph are joined; an empty line stays one. */
function paragraphs(comment: string): string {
  return comment
    .trim()
    .split(/\n\s*\n/)
    .map((paragraph) =>
      paragraph
        .split("\n")
        .map((line) => line.trim())
        .join(" "),
    )
    .join("\n\n");
}
