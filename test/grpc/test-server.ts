/** A real server with the handlers of a test, and a log that can be waited for. */
import { EventEmitter, once } from "node:events";
import { IntrospectionService } from "../../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../../gen/latchkey/v1/token_pb.ts";
import type { Caller } from "../../src/domain/caller.ts";
import { AppError, invalidCredential } from "../../src/domain/errors.ts";
import { SYSTEM_ORGANIZATION_ID } from "../../src/domain/ids.ts";
import type { Logger } from "../../src/domain/logger.ts";
import { startGrpcServer } from "../../src/grpc/grpc-server.ts";
import { type EncodedHandler, type Handlers, type ServiceEntry, serviceEntry } from "../../src/rpc/handlers.ts";
import { Pipeline, type PipelineDeps } from "../../src/rpc/pipeline.ts";
import type { ServerTls } from "../../src/tls/server-tls.ts";

export const KEY = "a-good-key";

/** Headers of a caller that is let in. */
export const KEY_HEADERS = { "x-api-key": KEY };

export interface LogLine {
  readonly level: keyof Logger;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export class TestLog implements Logger {
  readonly lines: LogLine[] = [];
  readonly #written = new EventEmitter();

  readonly debug = this.#writer("debug");
  readonly info = this.#writer("info");
  readonly warn = this.#writer("warn");
  readonly error = this.#writer("error");

  /** The lines that `Pipeline.finish` writes. */
  get calls(): readonly LogLine["fields"][] {
    return this.lines.filter(({ message }) => message === "call").map(({ fields }) => fields);
  }

  /** The next finished call, or the first one that there is. */
  async call(): Promise<LogLine["fields"]> {
    for (;;) {
      const [first] = this.calls;
      if (first) return first;
      await once(this.#written, "line");
    }
  }

  #writer(level: keyof Logger) {
    return (fields: object, message: string): void => {
      this.lines.push({ level, fields: { ...fields }, message });
      this.#written.emit("line");
    };
  }
}

export interface TestServer extends AsyncDisposable {
  readonly address: string;
  readonly log: TestLog;
  stop(): Promise<void>;
}

export interface TestServerOptions {
  readonly token?: Partial<Handlers<typeof TokenService>>;
  readonly introspection?: Partial<Handlers<typeof IntrospectionService>>;
  /** Makes Introspect one that answers encoded messages. */
  readonly encodedIntrospect?: EncodedHandler;
  readonly services?: readonly ServiceEntry[];
  readonly authenticate?: PipelineDeps["authenticate"];
  readonly shutdownGraceMs?: number;
  readonly tls?: ServerTls;
}

export const CALLER: Caller = {
  kind: "user",
  userId: SYSTEM_ORGANIZATION_ID,
  organizationId: SYSTEM_ORGANIZATION_ID,
  role: "owner",
  sessionId: "01890a5d-ac96-774b-bcce-b302099a8057",
  profile: "watchplane",
};

export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const log = new TestLog();
  const unimplemented = async (): Promise<never> => {
    throw new AppError("unimplemented", "Not part of this test.");
  };
  const authenticate: PipelineDeps["authenticate"] = async ({ value }) => {
    if (value !== KEY) throw invalidCredential();
    return CALLER;
  };
  const services = [
    serviceEntry(TokenService, "nobody", {
      issue: unimplemented,
      get: unimplemented,
      getSelf: unimplemented,
      list: unimplemented,
      update: unimplemented,
      revoke: unimplemented,
      rotate: unimplemented,
      finishRotation: unimplemented,
      cancelRotation: unimplemented,
      import: unimplemented,
      revokeMany: unimplemented,
      ...options.token,
    }),
    serviceEntry(
      IntrospectionService,
      "nobody",
      { introspect: unimplemented, batchIntrospect: unimplemented, ...options.introspection },
      {
        introspectStream: unimplemented,
        ...(options.encodedIntrospect && { introspect: options.encodedIntrospect }),
      },
    ),
    ...(options.services ?? []),
  ];
  const server = await startGrpcServer({
    pipeline: new Pipeline(services, { authenticate: options.authenticate ?? authenticate, logger: log }),
    address: "127.0.0.1:0",
    logger: log,
    tls: options.tls,
    // A test that waits for this has failed.
    shutdownGraceMs: options.shutdownGraceMs ?? 60_000,
  });
  return { address: server.address, log, stop: server.stop, [Symbol.asyncDispose]: server.stop };
}
