/** The log of slow calls, on a service whose database takes its time. */
import { expect, it } from "vitest";
import type { Storage } from "../../src/domain/storage.ts";
import { expectOk, openSurface } from "../helpers/surfaces.ts";
import { startTestApp } from "../helpers/test-app.ts";

const SLOW_MS = 250;

/** Look-ups of tokens hold everything up, once told to. */
function slowly(storage: Storage, isSlow: () => boolean): Storage {
  return new Proxy(storage, {
    get(target, property, receiver) {
      const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
      if (property !== "findTokenByFingerprint") return method;
      return (...args: unknown[]) => {
        const until = performance.now() + SLOW_MS;
        while (isSlow() && performance.now() < until);
        return method(...args);
      };
    },
  });
}

it.each([
  ["as slow from the set time on", `${SLOW_MS}`, "info", true],
  ["as slow where the log takes warnings only", `${SLOW_MS}`, "warn", true],
  ["not at all when it is switched off", "0", "info", false],
])("logs an introspection %s", async (_, slowMs, logLevel, isLogged) => {
  let isSlow = false;
  await using test = await startTestApp({
    env: { LATCHKEY_SLOW_CALL_MS: slowMs, LATCHKEY_LOG_LEVEL: logLevel },
    surroundings: { aroundStorage: (storage) => slowly(storage, () => isSlow) },
  });
  const { serviceKey, organizationId } = test.credentials;
  const surface = openSurface(test.app, "grpc");
  const { secret } = expectOk(await surface.issue({ bearer: serviceKey }, { organizationId, name: "slow" }));
  isSlow = true;
  expectOk(await surface.introspect({ bearer: serviceKey }, { token: secret }));
  surface.close();
  const lines = test.logLines.filter((line) => line.includes("IntrospectionService"));
  const logged = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  expect(logged.map(({ level, msg, method, code }) => ({ level, msg, method, code }))).toEqual(
    isLogged
      ? [{ level: "warn", msg: "slow call", method: "latchkey.v1.IntrospectionService/Introspect", code: "OK" }]
      : [],
  );
  expect(lines.join("")).not.toContain(secret);
});
