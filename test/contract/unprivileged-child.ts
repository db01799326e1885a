/** A process that tries to open a storage as a user whom the files' modes bind, and says how it went. */
import Database from "better-sqlite3";
import { openStorage } from "./engines.ts";

const NOBODY = 65_534;

const [location = ""] = process.argv.slice(2);
// Loads the native part of the driver, which this user may not be able to read any more.
new Database(":memory:").close();
if (process.getuid?.() === 0) process.setuid?.(NOBODY);
try {
  await openStorage(location);
  process.stdout.write("opened\n");
} catch (error) {
  process.stdout.write(`${String(error)}\n`);
}
process.exit();
