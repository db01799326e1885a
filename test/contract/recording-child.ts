/**
 * A process that issues tokens without end, each with a record of the call and named after the record's
 * key, and says on standard output which were acknowledged. It is there to be killed.
 */
import { openStorage } from "./engines.ts";
import { someChange, someRecord, someToken } from "./samples.ts";

const WRITERS = 8;

const [location = "", organizationId = ""] = process.argv.slice(2);

// Ends with the process that started it, however that one ended.
process.stdin.resume().on("end", () => process.exit());

try {
  const storage = await openStorage(location);
  await Promise.all(Array.from({ length: WRITERS }, () => writeWithoutEnd()));

  async function writeWithoutEnd(): Promise<never> {
    for (;;) {
      const record = someRecord();
      const name = Buffer.from(record.keyHash).toString("hex");
      await storage.createToken(someToken({ organizationId, name }), someChange(), record);
      process.stdout.write(`${JSON.stringify(name)}\n`);
    }
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
