/** grpc.health.v1: says whether the server can serve, to load balancers and orchestrators. */
import { EventEmitter, once } from "node:events";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { AppError, notFound } from "../domain/errors.ts";
import { type ServiceEntry, serviceEntry } from "../rpc/handlers.ts";

export type HealthStatus = "SERVING" | "NOT_SERVING";

export interface HealthService {
  readonly entry: ServiceEntry;
  isServing(): boolean;
  /** Sets the status of every service. Does nothing after `shutdown`. */
  set(status: HealthStatus): void;
  /** NOT_SERVING for good. Ends the watches once they have said so, for a drain would wait for them. */
  shutdown(): void;
}

/** Anybody may watch, so there is an end to it. */
const MAX_WATCHES = 1_000;

/** The empty name stands for the server as a whole. Nothing serves before the first `set`. */
export function createHealth(serviceNames: readonly string[]): HealthService {
  const names = new Set(["", ...serviceNames]);
  const changes = new EventEmitter<{ change: [] }>().setMaxListeners(MAX_WATCHES);
  let current: ServingStatus = ServingStatus.NOT_SERVING;
  let isShutDown = false;
  let watches = 0;

  async function* watch(service: string, signal: AbortSignal): AsyncGenerator<{ status: ServingStatus }> {
    const isKnown = names.has(service);
    let sent: ServingStatus | undefined;
    for (;;) {
      const status = isKnown ? current : ServingStatus.SERVICE_UNKNOWN;
      if (status !== sent) {
        yield { status };
        // Sending may have taken a while, so look again before waiting.
        sent = status;
      } else if (isShutDown || signal.aborted) {
        return;
      } else {
        // Rejects when the client has gone, which the next round sees.
        await once(changes, "change", { signal }).catch(() => {});
      }
    }
  }

  const entry = serviceEntry(Health, "anybody", {
    check: async ({ service }) => {
      if (!names.has(service)) throw notFound("service");
      return { status: current };
    },
    list: async () => ({
      statuses: Object.fromEntries([...names].map((name) => [name, { status: current }])),
    }),
    async *watch(requests, _call, signal) {
      if (watches >= MAX_WATCHES) throw new AppError("rate_limited", "Too many watches are open.");
      watches += 1;
      try {
        for await (const { service } of requests) yield* watch(service, signal);
      } finally {
        watches -= 1;
      }
    },
  });

  const change = (status: ServingStatus): void => {
    current = status;
    changes.emit("change");
  };
  return {
    entry,
    isServing: () => current === ServingStatus.SERVING,
    set: (status) => {
      if (!isShutDown) change(ServingStatus[status]);
    },
    shutdown: () => {
      isShutDown = true;
      change(ServingStatus.NOT_SERVING);
    },
  };
}
