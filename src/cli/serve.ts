/** `latchkey serve`: runs the service until it is told to stop. */
import { openDeployment, startApp } from "../app.ts";
import { type Config, nameOfDatabase } from "../config.ts";
import { StartError } from "../domain/start-error.ts";
import { command } from "./command.ts";
import { greetDeveloper, makeDevelopmentCredentials } from "./development.ts";
import { configFrom, SETTING_OPTIONS, settingsHelp } from "./settings.ts";

export const serve = command({
  options: { ...SETTING_OPTIONS, dev: { type: "boolean", help: "make first credentials on an empty data directory" } },
  notes: settingsHelp(),
  async run(values) {
    const config = configFrom(values);
    await serveUntilStopped(config);
    // What a dead collector or mail server holds up would keep the process alive.
    if (config.otel !== undefined || config.mail !== undefined) process.exit(0);
    return 0;
  },
});

async function serveUntilStopped(config: Config): Promise<void> {
  const startedAtMs = performance.now();
  const stopRequest = new Promise<NodeJS.Signals>((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
  const development = config.mode === "development";
  const deployment = await openDeployment(config, development);
  const { logger, storage } = deployment;
  try {
    const empty = await storage.isEmpty();
    if (empty && !development) {
      throw new StartError(
        `The database ${nameOfDatabase(config)} is empty: run \`latchkey bootstrap\` first, or \`latchkey serve --dev\` to try things out`,
      );
    }
    const credentials = empty ? await makeDevelopmentCredentials(deployment) : undefined;
    await using app = await startApp(deployment);
    if (development) await greetDeveloper(config, app, credentials);
    logger.info(
      {
        grpc: app.grpcAddress,
        http: app.httpAddress,
        ops: app.opsAddress,
        mode: config.mode,
        durationMs: Math.round(performance.now() - startedAtMs),
      },
      "ready",
    );
    logger.info({ signal: await stopRequest }, "stopping");
    await app.stop();
    logger.info({}, "stopped");
  } finally {
    await storage.close();
    logger.flush();
  }
}
