/** `latchkey health`, which a container's health check runs. */
import { describe, expect, it } from "vitest";
import type { Context } from "../../src/cli/command.ts";
import { health as command } from "../../src/cli/health.ts";
import { AppError } from "../../src/domain/errors.ts";
import { runProgram, type TestEnv } from "../helpers/service-process.ts";
import { startTestApp } from "../helpers/test-app.ts";

const health = (args: readonly string[], env: TestEnv = {}) => runProgram(["health", ...args], env);

describe("latchkey health", () => {
  it("prints what a ready service says, and finds it by its own setting, also where that is every address", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_OPS_ADDR: "0.0.0.0:0" } });
    const port = test.app.opsAddress.split(":").at(-1) ?? "";
    const ready = { code: 0, stdout: '{"status":"ready","reads":"ok","writes":"ok"}\n', stderr: "" };
    expect(await health([], { LATCHKEY_OPS_ADDR: `0.0.0.0:${port}` })).toEqual(ready);
    expect(await health(["--ops-addr", `127.0.0.1:${port}`], { LATCHKEY_OPS_ADDR: "127.0.0.1:1" })).toEqual(ready);
    const alive = { code: 0, stdout: '{"status":"alive"}\n', stderr: "" };
    expect(await health(["--live", "--ops-addr", `localhost:${port}`])).toEqual(alive);
  });

  it("ends with 1 where the service can't answer introspections, and lives", async () => {
    let fails = false;
    await using test = await startTestApp({
      surroundings: {
        aroundStorage: (storage) =>
          new Proxy(storage, {
            get(target, property, receiver) {
              const method = (Reflect.get(target, property, receiver) as (...args: unknown[]) => unknown).bind(target);
              if (property !== "ping") return method;
              return () => (fails ? Promise.reject(new AppError("unavailable", "The disk is gone.")) : method());
            },
          }),
      },
    });
    fails = true;
    const env = { LATCHKEY_OPS_ADDR: test.app.opsAddress };
    await expect
      .poll(() => health([], env), { timeout: 20_000 })
      .toMatchObject({
        code: 1,
        stdout: expect.stringMatching(/^\{"status":"not ready","reads":"failing since /) as string,
        stderr: "",
      });
    expect(await health(["--live"], env)).toMatchObject({ code: 0 });
  });

  it("ends with 6 where nothing answers, and with 2 for an address that nothing can be asked at", async () => {
    const { opsAddress } = await stopped();
    expect(await health(["--ops-addr", opsAddress])).toEqual({
      code: 6,
      stdout: "",
      stderr: `latchkey: nothing answers at ${opsAddress}: start the service, or set LATCHKEY_OPS_ADDR or --ops-addr\n`,
    });
    const refused = await health([], { LATCHKEY_OPS_ADDR: "127.0.0.1:0" });
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    for (const address of ["127.0.0.1:0", "127.0.0.1:65536", "host", "a b:1", "user@host:1"]) {
      const run = command.run({ "ops-addr": address, live: false }, [], undefined as unknown as Context);
      await expect(run).rejects.toThrow(`must be host:port, with the port that is really bound, not ${address}`);
    }
  });
});

/** A service that is gone, so that its port is nobody's. */
async function stopped() {
  await using test = await startTestApp();
  return test.app;
}
