import { expect, it } from "vitest";
import { type Readiness, startOpsServer } from "../../src/http/ops-server.ts";
import { silentLogger } from "../helpers/sqlite.ts";

const rest = { metrics: () => Promise.resolve(""), logger: silentLogger };

const SINCE = new Date("2026-11-21T12:00:00.123Z");
const FAILING = "failing since 2026-11-21T12:00:00.123Z";

const well = { readsFailSince: undefined, writesFailSince: undefined, canIntrospect: true };
const full = { ...well, writesFailSince: SINCE };
const gone = { readsFailSince: SINCE, writesFailSince: SINCE, canIntrospect: false };
const fromMemory = { ...gone, canIntrospect: true };

it.each<[Readiness["phase"], Readiness["database"], number, object]>([
  ["starting", well, 503, { status: "starting", reads: "ok", writes: "ok" }],
  ["running", well, 200, { status: "ready", reads: "ok", writes: "ok" }],
  ["running", full, 200, { status: "degraded", reads: "ok", writes: FAILING }],
  ["running", gone, 503, { status: "not ready", reads: FAILING, writes: FAILING }],
  ["running", fromMemory, 200, { status: "degraded", reads: FAILING, writes: FAILING }],
  ["stopping", fromMemory, 503, { status: "stopping", reads: FAILING, writes: FAILING }],
  ["stopping", full, 503, { status: "stopping", reads: "ok", writes: FAILING }],
])("/readyz while %s with %o is %i", async (phase, database, status, body) => {
  const ops = await startOpsServer({ address: "127.0.0.1:0", readiness: () => ({ phase, database }), ...rest });
  const response = await fetch(`http://${ops.address}/readyz`);
  expect([response.status, await response.json()]).toEqual([status, body]);
  expect((await fetch(`http://${ops.address}/livez`)).status).toBe(200);
  await ops.stop();
});

it("/metrics is an error, and not half a page, when the metrics can't be read", async () => {
  const ops = await startOpsServer({
    ...rest,
    address: "127.0.0.1:0",
    readiness: () => ({ phase: "running", database: well }),
    metrics: () => Promise.reject(new Error("boom")),
  });
  const response = await fetch(`http://${ops.address}/metrics`);
  expect([response.status, await response.json()]).toEqual([500, { status: "failed" }]);
  await ops.stop();
});
