/**
 * grpc.reflection, both versions: serves the descriptors as they were compiled, custom options included,
 * so that tools can see the REST routes and the validation rules too.
 */
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { type ServiceEntry, serviceEntry } from "../rpc/handlers.ts";
import { STATUS } from "../rpc/status.ts";

interface Extension {
  readonly containingType: string;
  readonly extensionNumber: number;
}

/** The part of a request that both versions share. */
interface Question {
  readonly host: string;
  readonly messageRequest:
    | { readonly case: "fileByFilename" | "fileContainingSymbol"; readonly value: string }
    | { readonly case: "allExtensionNumbersOfType" | "listServices"; readonly value: string }
    | { readonly case: "fileContainingExtension"; readonly value: Extension }
    | { readonly case: undefined };
}

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: number; errorMessage: string } };

/** The reflection services for these services and for themselves. */
export function createReflection(services: readonly DescService[]): ServiceEntry[] {
  const index = new DescriptorIndex([...services, ServerReflection, ServerReflectionAlpha]);
  async function* serverReflectionInfo<Q extends Question>(requests: AsyncIterable<Q>) {
    const sent = new Set<DescFile>();
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: index.answer(request, sent) };
    }
  }
  return [
    serviceEntry(ServerReflection, "anybody", { serverReflectionInfo }),
    serviceEntry(ServerReflectionAlpha, "anybody", { serverReflectionInfo }),
  ];
}

class DescriptorIndex {
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  /** By the extended type, then by number. */
  readonly #extensions = new Map<string, Map<number, DescFile>>();
  readonly #encoded = new Map<DescFile, Uint8Array>();

  constructor(services: readonly DescService[]) {
    this.#services = services;
    for (const { file } of services) this.#addFile(file);
  }

  /** @param sent files that this stream has had, which need not go out again; the answer adds to it */
  answer({ messageRequest: question }: Question, sent: Set<DescFile>): Answer {
    switch (question.case) {
      case "fileByFilename":
        return this.#filesFrom(this.#files.get(question.value), sent);
      case "fileContainingSymbol":
        return this.#filesFrom(this.#symbols.get(question.value), sent);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        return this.#filesFrom(this.#extensions.get(containingType)?.get(extensionNumber), sent);
      }
      case "allExtensionNumbersOfType": {
        const numbers = [...(this.#extensions.get(question.value)?.keys() ?? [])];
        if (numbers.length === 0 && !this.#symbols.has(question.value)) return notFound;
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: question.value, extensionNumber: numbers },
        };
      }
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: this.#services.map(({ typeName }) => ({ name: typeName })) },
        };
      case undefined:
        return errorAnswer(STATUS.invalid_argument.code, "The request asks for nothing.");
    }
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      this.#symbols.set(type.typeName, file);
      switch (type.kind) {
        case "message":
          for (const { name } of [...type.fields, ...type.oneofs]) this.#symbols.set(`${type.typeName}.${name}`, file);
          break;
        case "service":
          for (const { name } of type.methods) this.#symbols.set(`${type.typeName}.${name}`, file);
          break;
        case "enum": {
          // Values are named like siblings of their enum.
          const scope = type.typeName.slice(0, -type.name.length);
          for (const { name } of type.values) this.#symbols.set(scope + name, file);
          break;
        }
        case "extension": {
          const numbers = this.#extensions.get(type.extendee.typeName) ?? new Map<number, DescFile>();
          this.#extensions.set(type.extendee.typeName, numbers.set(type.number, file));
          break;
        }
      }
    }
    for (const dependency of file.dependencies) this.#addFile(dependency);
  }

  /** The file, and those that it needs and the stream hasn't had. */
  #filesFrom(file: DescFile | undefined, sent: Set<DescFile>): Answer {
    if (file === undefined) return notFound;
    const files = new Set([file]);
    for (const { dependencies } of files) {
      // A set that grows while it is walked is walked to its end.
      for (const dependency of dependencies) if (!sent.has(dependency)) files.add(dependency);
    }
    for (const each of files) sent.add(each);
    return {
      case: "fileDescriptorResponse",
      value: { fileDescriptorProto: [...files].map((each) => this.#encode(each)) },
    };
  }

  #encode(file: DescFile): Uint8Array {
    const known = this.#encoded.get(file);
    if (known) return known;
    const bytes = toBinary(FileDescriptorProtoSchema, file.proto);
    this.#encoded.set(file, bytes);
    return bytes;
  }
}

const errorAnswer = (errorCode: number, errorMessage: string): Answer => ({
  case: "errorResponse",
  value: { errorCode, errorMessage },
});

// The name that was asked for is not repeated: it is as long as its sender likes.
const notFound = errorAnswer(STATUS.not_found.code, "No such descriptor.");
