/** grpc.health.v1: says whether the server can serve, to load balancers and orchestrators. */
import { EventEmitter, once } from "node:events";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.ts";
import { AppError, notFound } from "../domain/errors.ts";
import { type ServiceEntry, serviceEntry } from "../rpc/handlers.ts";

export type HealthStatus = "SERVING" | "NOT_SERVING";

export interface HealthService {
  readonly entry: ServiceEntry;
  /** Sets the status of the server and of every service, but `down` don't serve. Does nothing after `shutdown`. */
  set(status: HealthStatus, down?: readonly string[]): void;
  /** NOT_SERVING for good. Ends the watches once they have said so, for a drain would wait for them. */
  shutdown(): void;
}

/** Anybody may watch, so there is an end to it. */
const MAX_WATCHES = 1_000;

/** The empty name stands for the server as a whole. Nothing serves before the first `set`. */
export function createHealth(serviceNames: readonly string[]): HealthService {
  const statuses = new Map<string, ServingStatus>(
    ["", ...serviceNames].map((name) => [name, ServingStatus.NOT_SERVING]),
  );
  const changes = new EventEmitter<{ change: [] }>().setMaxListeners(MAX_WATCHES);
  let isShutDown = false;
  let watches = 0;

  async function* watch(service: string, signal: AbortSignal): AsyncGenerator<{ status: ServingStatus }> {
    let sent: ServingStatus | undefined;
    for (;;) {
      const status = statuses.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
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
      const status = statuses.get(service);
      if (status === undefined) throw notFound("service");
      return { status };
    },
    list: async () => ({
      statuses: Object.fromEntries(Array.from(statuses, ([name, status]) => [name, { status }])),
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

  const change = (status: HealthStatus, down: readonly string[]): void => {
    for (const name of statuses.keys()) {
      statuses.set(name, down.includes(name) ? ServingStatus.NOT_SERVING : ServingStatus[status]);
    }
    changes.emit("change");
  };
  return {
    entry,
    set: (status, down = []) => {
      if (!isShutDown) change(status, down);
    },
    shutdown: () => {
      isShutDown = true;
      change("NOT_SERVING", []);
    },
  };
}
