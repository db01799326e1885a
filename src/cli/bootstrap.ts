/** `latchkey bootstrap`: gives an empty production deployment its first credentials, once. */
import { openDeployment } from "../app.ts";
import { AppError } from "../domain/errors.ts";
import { StartError } from "../domain/start-error.ts";
import { command, UsageError } from "./command.ts";
import { configFrom, SETTING_OPTIONS, settingsHelp } from "./settings.ts";

export const bootstrap = command({
  options: {
    ...SETTING_OPTIONS,
    "admin-email": { type: "string", value: "EMAIL", required: true, help: "address of the first admin" },
    organization: { type: "string", value: "NAME", help: "name of the first organization (default)" },
    json: { type: "boolean", help: "print JSON" },
  },
  notes: `Prints the credentials once; nothing can show them again. Makes the root key unless one is set.\n\n${settingsHelp()}`,
  async run(values) {
    const { organization, "admin-email": adminEmail, json, ...flags } = values;
    if (!/^[^\s@]+@[^\s@]+$/.test(adminEmail)) {
      throw new UsageError("--admin-email must be an email address");
    }
    const config = configFrom(flags);
    const deployment = await openDeployment(config, true);
    try {
      const credentials = await deployment.setUp({
        organizationName: typeof organization === "string" ? organization : "default",
        profileId: config.defaultProfile,
        adminEmail,
        adminPassword: undefined,
      });
      const lines = Object.entries(credentials).map(([name, value]) => `${name.padEnd(15)} ${value}`);
      console.log(json === true ? JSON.stringify(credentials, null, 2) : lines.join("\n"));
      return 0;
    } catch (error) {
      if (error instanceof AppError) throw new StartError(error.message);
      throw error;
    } finally {
      await deployment.storage.close();
    }
  },
});
