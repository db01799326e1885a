/** A gRPC client made from a service's descriptor: one promise-returning function a unary method. */
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  Client,
  credentials,
  logVerbosity,
  Metadata,
  type ServiceError,
  setLogVerbosity,
} from "@grpc/grpc-js";

/** Names of a service's unary methods. */
type UnaryNames<S extends DescService> = {
  [Name in keyof S["method"]]: S["method"][Name]["methodKind"] extends "unary" ? Name : never;
}[keyof S["method"]];

export type ServiceClient<S extends DescService> = {
  readonly [Name in UnaryNames<S>]: (
    request: MessageInitShape<S["method"][Name]["input"]>,
    options?: CallOptions,
  ) => Promise<MessageShape<S["method"][Name]["output"]>>;
} & { close(): void };

export interface ClientOptions {
  /** `host:port` */
  readonly address: string;
  /** Undefined speaks plain text. */
  readonly tls?: ClientTls | undefined;
  /** A service key, API token or access token, sent as a bearer credential. */
  readonly token?: string;
  /** An API token of a product that takes it in `X-Api-Key`. */
  readonly apiKey?: string;
}

export interface ClientTls {
  /** The authorities whose server certificates are good, PEM; undefined trusts those that Node does. */
  readonly ca?: Buffer | undefined;
  /** A client certificate, with those up to its root, and its key, PEM: both or none. */
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

export interface CallOptions {
  /** Milliseconds; the default is 10 s. */
  readonly timeoutMs?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

const DEFAULT_TIMEOUT_MS = 10_000;

// grpc-js prints headers that it can't read to the standard error, and ours carry credentials.
setLogVerbosity(logVerbosity.NONE);

/**
 * Rejections are grpc-js's `ServiceError`, with `code` and `details`.
 *
 * @throws Error for a certificate or a key that can't be used
 */
export function createClient<S extends DescService>(service: S, options: ClientOptions): ServiceClient<S> {
  const client = new Client(options.address, channelCredentials(options.tls));
  const methods = service.methods
    .filter(({ methodKind }) => methodKind === "unary")
    .map((method) => [method.localName, unaryCall(client, method, options)] as const);
  return { ...Object.fromEntries(methods), close: () => client.close() } as ServiceClient<S>;
}

function channelCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const { ca = null, key = null, cert = null } = tls;
  return credentials.createSsl(ca, key, cert);
}

function unaryCall(client: Client, method: DescMethod, { token, apiKey }: ClientOptions) {
  return (request: MessageInitShape<DescMethod["input"]>, call: CallOptions = {}): Promise<unknown> => {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    if (apiKey !== undefined) metadata.set("x-api-key", apiKey);
    for (const [name, value] of Object.entries(call.headers ?? {})) metadata.set(name, value);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/${method.parent.typeName}/${method.name}`,
        (message: MessageShape<DescMethod["input"]>) => Buffer.from(toBinary(method.input, message)),
        (bytes) => fromBinary(method.output, bytes),
        create(method.input, request),
        metadata,
        { deadline: Date.now() + (call.timeoutMs ?? DEFAULT_TIMEOUT_MS) },
        (error: ServiceError | null, response?: unknown) => (error ? reject(error) : resolve(response)),
      );
    });
  };
}
