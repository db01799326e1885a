/** `latchkey logout`: ends the session of `login`. */
import { clientSettings } from "./client-settings.ts";
import { trustAuthority } from "./client-tls.ts";
import { command } from "./command.ts";
import { changeConfigFile, configFileOf, readConfigFile } from "./config-file.ts";
import { EXIT } from "./exit-codes.ts";
import { endSession } from "./login.ts";

export const logout = command({
  options: {},
  notes:
    "The session ends at the service first; while that doesn't answer, nothing is changed. `config unset session`\n" +
    "only forgets it here.",
  async run(_values, _positionals, { program }) {
    const path = configFileOf(program);
    // Without a session there may be no file to lock, and no folder.
    if ((await readConfigFile(path)).session === undefined) {
      console.error("nobody is signed in");
      return EXIT.done;
    }
    await trustAuthority(await clientSettings({}, program));
    let email = "";
    await changeConfigFile(path, async (kept) => {
      const { session, ...others } = kept;
      if (session === undefined) return kept;
      await endSession(session);
      ({ email } = session);
      return others;
    });
    console.error(email === "" ? "nobody is signed in" : `signed out ${email}`);
    return EXIT.done;
  },
});
