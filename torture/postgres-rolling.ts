/**
 * Restarts three processes one after the other, again and again, under the calls of backends that know all three, as an
 * operator would set them up: one grpc-js channel with the list of addresses, which goes round them, and a retry policy
 * that sends a call once more that was UNAVAILABLE. No call may fail.
 *
 * A process is stopped by SIGTERM, and started again on its address, before it is the next one's turn.
 */
import { setTimeout } from "node:timers/promises";
import { IntrospectionService } from "../gen/latchkey/v1/introspection_pb.ts";
import { TokenService } from "../gen/latchkey/v1/token_pb.ts";
import { Finding, mustAnswer } from "../test/helpers/deployment.ts";
import { freePort } from "../test/helpers/free-port.ts";
import { grpcClient } from "../test/helpers/grpc-client.ts";
import { Fleet } from "./fleet.ts";
import { count, expectNone, type Trial } from "./trial.ts";

const PROCESSES = 3;
const ASKING = 8;
const CHANGING = 2;
const CALM_MS = 500;

/** What an operator gives every backend: gRPC's own service config. */
const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "latchkey.v1.IntrospectionService" }, { service: "latchkey.v1.TokenService" }],
      timeout: "10s",
      retryPolicy: {
        // The first one counts.
        maxAttempts: 2,
        initialBackoff: "0.05s",
        maxBackoff: "0.05s",
        backoffMultiplier: 1,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
};

export const postgresRolling: Trial = {
  name: "postgres-rolling",
  does: `${PROCESSES} processes restarted one after the other, under calls that are sent once more when UNAVAILABLE`,
  trials: { full: 30, short: 3 },
  isTimed: false,
  mustCatch: ["stops-without-finishing"],

  async run({ trials, folder }) {
    await using fleet = await Fleet.start(folder, 0);
    const addresses: string[] = [];
    for (let index = 0; index < PROCESSES; index++) addresses.push(`127.0.0.1:${await freePort()}`);
    const start = (index: number) => fleet.startService(index, { LATCHKEY_GRPC_ADDR: addresses[index] });
    await Promise.all(addresses.map((_, index) => start(index)));

    const { organizationId, serviceKey } = fleet.deployment.credentials;
    const options = {
      headers: { authorization: `Bearer ${serviceKey}` },
      "grpc.service_config": JSON.stringify(SERVICE_CONFIG),
      "grpc.enable_retries": 1,
    };
    const target = `ipv4:${addresses.join()}`;
    using tokens = grpcClient(TokenService, target, options);
    using introspection = grpcClient(IntrospectionService, target, options);

    let isOver = false;
    let calls = 0;
    const failed: string[] = [];
    const call = async <T>(what: string, answer: Promise<T>): Promise<T | undefined> => {
      calls++;
      try {
        return await mustAnswer(answer);
      } catch (error) {
        failed.push(`${what}: ${(error as Error).message}`);
        return undefined;
      }
    };
    const { secret } = await mustAnswer(tokens.issue({ organizationId, name: "asked about" }));
    const asking = async (): Promise<void> => {
      while (!isOver) {
        const answer = await call("introspect", introspection.introspect({ token: secret }));
        if (answer?.active === false) throw new Finding("a token is denied without a revoke");
      }
    };
    const changing = async (stream: number): Promise<void> => {
      for (let number = 0; !isOver; number++) {
        const idempotencyKey = `${stream}-${number}`;
        const issued = await call("issue", tokens.issue({ organizationId, name: idempotencyKey, idempotencyKey }));
        if (issued === undefined) continue;
        await call("revoke", tokens.revoke({ id: issued.token?.id ?? "", idempotencyKey: `${idempotencyKey}-revoke` }));
      }
    };
    const load = Promise.all([
      ...Array.from({ length: ASKING }, asking),
      ...Array.from({ length: CHANGING }, (_, stream) => changing(stream)),
    ]);
    load.catch(() => {});
    try {
      for (let restart = 0; restart < trials; restart++) {
        await Promise.race([setTimeout(CALM_MS), load]);
        const index = restart % PROCESSES;
        await fleet.services[index]?.stop();
        await Promise.race([start(index), load]);
      }
      await Promise.race([setTimeout(CALM_MS), load]);
    } finally {
      isOver = true;
    }
    await load;
    expectNone("calls failed", failed);
    await fleet.stop();
    return `${count(trials, "restart")} under ${count(calls, "call")} over one channel: 0 failed`;
  },
};
