/** Typed gRPC calls to any service, over grpc-js, with everything derived from the service's descriptor. */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
  Metadata,
} from "@grpc/grpc-js";

/** PEM. */
interface ClientTls {
  readonly ca: Buffer;
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
  /** Hears the headers of the answer. */
  readonly onHeader?: (header: Metadata) => void;
}

type Init<M extends DescMessage> = MessageInitShape<M>;

type CallOf<M extends DescMethod> = M["methodKind"] extends "unary"
  ? (request: Init<M["input"]>, options?: CallOptions) => Promise<MessageShape<M["output"]>>
  : M["methodKind"] extends "server_streaming"
    ? (request: Init<M["input"]>, options?: CallOptions) => ClientReadableStream<MessageShape<M["output"]>>
    : (options?: CallOptions) => ClientDuplexStream<Init<M["input"]>, MessageShape<M["output"]>>;

/** A method for every RPC. Failed calls reject, or emit, grpc-js's ServiceError. */
export type GrpcClient<S extends DescService> = {
  readonly [Name in keyof S["method"]]: CallOf<S["method"][Name]>;
} & Disposable;

/** Connects at the first call. Dispose it, or it keeps its connection. */
export function grpcClient<S extends DescService>(
  service: S,
  address: string,
  options: ClientOptions &
    Pick<CallOptions, "headers"> & { readonly timeoutMs?: number | undefined; readonly tls?: ClientTls } = {},
): GrpcClient<S> {
  const { headers = {}, timeoutMs, tls, ...channelOptions } = options;
  const channel = tls ? credentials.createSsl(tls.ca, tls.key ?? null, tls.cert ?? null) : credentials.createInsecure();
  const client = new Client(address, channel, channelOptions);
  const calls = service.methods.map((method) => [method.localName, callOf(client, method, headers, timeoutMs)]);
  return { ...Object.fromEntries(calls), [Symbol.dispose]: () => client.close() } as GrpcClient<S>;
}

function callOf(
  client: Client,
  method: DescMethod,
  headers: Readonly<Record<string, string>>,
  defaultTimeoutMs: number | undefined,
): unknown {
  const path = `/${method.parent.typeName}/${method.name}`;
  const serialize = (request: MessageInitShape<DescMessage>): Buffer =>
    Buffer.from(toBinary(method.input, create(method.input, request)));
  const deserialize = (bytes: Buffer) => fromBinary(method.output, bytes);
  const prepare = (options: CallOptions) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries({ ...headers, ...options.headers })) metadata.set(name, value);
    const { timeoutMs = defaultTimeoutMs } = options;
    return { metadata, callOptions: timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs } };
  };
  const follow = (
    call: { cancel(): void; on(event: "metadata", hear: (header: Metadata) => void): unknown },
    options: CallOptions,
  ): void => {
    options.signal?.addEventListener("abort", () => call.cancel(), { once: true });
    if (options.onHeader) call.on("metadata", options.onHeader);
  };

  switch (method.methodKind) {
    case "unary":
      return (request: MessageInitShape<DescMessage>, options: CallOptions = {}) =>
        new Promise((resolve, reject) => {
          const { metadata, callOptions } = prepare(options);
          const call = client.makeUnaryRequest(
            path,
            serialize,
            deserialize,
            request,
            metadata,
            callOptions,
            (error, answer) => {
              if (error) reject(error);
              else resolve(answer);
            },
          );
          follow(call, options);
        });
    case "server_streaming":
      return (request: MessageInitShape<DescMessage>, options: CallOptions = {}) => {
        const { metadata, callOptions } = prepare(options);
        const call = client.makeServerStreamRequest(path, serialize, deserialize, request, metadata, callOptions);
        follow(call, options);
        return call;
      };
    case "bidi_streaming":
      return (options: CallOptions = {}) => {
        const { metadata, callOptions } = prepare(options);
        const call = client.makeBidiStreamRequest(path, serialize, deserialize, metadata, callOptions);
        follow(call, options);
        return call;
      };
    case "client_streaming":
      throw new Error("no service of ours has a client-streaming method");
  }
}
