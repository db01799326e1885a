/** What `latchkey audit` prints of checkpoints, and what it finds with them. */
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { create, toJson } from "@bufbuild/protobuf";
import { describe, expect, it, vi } from "vitest";
import { EventSchema } from "../../gen/latchkey/v1/audit_pb.ts";
import { verifyAuditLog } from "../../src/cli/audit-verify.ts";
import { readCheckpoints } from "../../src/cli/checkpoint-files.ts";
import { runCommandLine } from "../../src/cli/cli.ts";
import type { NoteKey } from "../../src/domain/signed-note.ts";
import { eventMessage } from "../../src/rpc/messages.ts";
import { everyEvent } from "../contract/samples.ts";
import { getCheckpoint, openOrThrow } from "../helpers/checkpoints.ts";
import { runProgram, temporaryFolder } from "../helpers/service-process.ts";
import { startTestApp } from "../helpers/test-app.ts";

describe("latchkey audit checkpoint, key and verify --checkpoints", () => {
  it("print a checkpoint of now, and the key that verifies it", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_CHECKPOINT_INTERVAL: "0" } });
    const client = { LATCHKEY_ADDR: test.app.grpcAddress, LATCHKEY_TOKEN: test.credentials.serviceKey };
    const printed = await runProgram(["audit", "checkpoint"], client);
    expect(printed).toMatchObject({ code: 0, stderr: "" });
    await test.addMember("member");
    const json = await runProgram(["audit", "checkpoint", "--json"], client);
    expect(json).toMatchObject({ code: 0, stderr: "" });
    const { note, verifierKey } = JSON.parse(json.stdout) as { note: string; verifierKey: string };
    expect([openOrThrow(printed.stdout, verifierKey).size, openOrThrow(note, verifierKey).size]).toEqual([5, 6]);
    const key = await runProgram(["audit", "key", "--data-dir", test.config.dataDir]);
    expect(key).toEqual({ code: 0, stderr: "", stdout: `${verifierKey}\n` });
    const other = ["--checkpoint-origin", "example.com/latchkey"];
    const renamed = await runProgram(["audit", "key", "--data-dir", test.config.dataDir, ...other]);
    expect(renamed.stdout).toMatch(/^example\.com\/latchkey\+[0-9a-f]{8}\+/);
  });

  it("verify a log with what was printed", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_CHECKPOINT_INTERVAL: "0" } });
    const { dataDir } = test.config;
    const { file: place, env } = test.database;
    const file = join(dataDir, "checkpoints.txt");
    const { note, verifierKey } = await getCheckpoint(test);
    await appendFile(file, note);
    await test.addMember("member");
    await appendFile(file, (await getCheckpoint(test)).note);
    await test.addMember("member");

    const given = await runProgram(["audit", "verify", ...place, "--checkpoints", file, "--key", verifierKey], env);
    expect(given.stderr).toMatch(
      /^checkpoints are verified with the key that was given, (\S+)\n7 events in 2 chains: nothing was edited\n2 checkpoints: nothing was rewritten or cut off up to event 6 \(\S+Z\); 1 after it are in no checkpoint yet\n$/,
    );
    expect(given.code).toBe(0);
    const twice = ["--checkpoints", file, "--checkpoints", file];
    const own = await runProgram(["audit", "verify", "--data-dir", dataDir, ...twice], env);
    expect(own.code).toBe(0);
    expect(own.stderr).toContain(`checkpoints are verified with the key of this root key, ${verifierKey}\n`);
    expect(own.stderr).toContain("\n4 checkpoints: ");

    await test.database.allowEdits();
    await test.database.query("DELETE FROM events WHERE revision > 4");
    await test.database.query("UPDATE revision SET value = 4");
    expect(await verifyAuditLog(test.config)).toMatchObject({ fault: undefined, difference: undefined });
    const short = await runProgram(["audit", "verify", ...place, "--checkpoints", file, "--key", verifierKey], env);
    expect(short.code).toBe(1);
    expect(short.stderr).toMatch(
      /\n4 events in 2 chains: nothing was edited\nlatchkey: the log has 4 events, and the checkpoint of \S+ was signed over 5 \(up to revision 5\): the end was cut off, or an old copy was put back\n$/,
    );

    const complaints = vi.spyOn(console, "error").mockReturnValue();
    for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
    const keyless = ["--data-dir", join(dataDir, "nowhere"), "--checkpoints", file];
    expect(await runCommandLine(["audit", "verify", ...place, ...keyless])).toBe(1);
    expect(await runCommandLine(["audit", "verify", ...place, "--checkpoints", file, "--key", "nonsense"])).toBe(2);
    expect(await runCommandLine(["audit", "verify", ...place, "--key", verifierKey])).toBe(2);
    const said = complaints.mock.calls.flat().join("\n");
    complaints.mockRestore();
    vi.unstubAllEnvs();
    expect(said).toMatch(/root key .*can't be read.*--key must be a key.*--key is for --checkpoints/s);
  });

  it("name what is wrong", async () => {
    await using test = await startTestApp({ env: { LATCHKEY_CHECKPOINT_INTERVAL: "0" } });
    await using folder = await temporaryFolder();
    const { checkpointer, storage } = test.app.deployment;
    const write = async (name: string, content: string): Promise<string> => {
      const path = join(folder.path, name);
      await writeFile(path, content);
      return path;
    };
    const { note } = await checkpointer.sign();
    await test.addMember("member");
    const later = await checkpointer.sign();
    const good = await write("good", `${note}\n${later.note}`);
    const events = (await storage.listEvents(everyEvent())).map((event) =>
      JSON.stringify(toJson(EventSchema, create(EventSchema, eventMessage(event)), { alwaysEmitImplicit: true })),
    );
    const organization = test.credentials.organizationId;
    const whole = await write("whole", lines(events));
    const verify = async (log: string, paths: readonly string[], key: NoteKey = checkpointer.key) =>
      verifyAuditLog(log, await readCheckpoints(paths, key));
    const hidden = join(folder.path, "checkpoints");
    await mkdir(hidden);
    await writeFile(join(hidden, ".unfinished"), "half of a che");
    await expect(verify(whole, [hidden])).rejects.toThrow(/checkpoints: there is no checkpoint$/);
    await writeFile(join(hidden, "one"), note);
    expect(await verify(whole, [good, hidden])).toMatchObject({ fault: undefined, difference: undefined, count: 6 });

    const wrongLogs: readonly [string, string][] = [
      [lines(events.slice(0, 5)), "the log has 5 events"],
      ["", "the log has 0 events"],
      [lines(events.toSpliced(1, 1)), "another event should stand there"],
      [lines(events.toSpliced(1, 2, events[2] ?? "", events[1] ?? "")), "aren't those that the checkpoint"],
      [lines(events.filter((line) => line.includes(`"organizationId":"${organization}"`))), "export without ORG"],
    ];
    for (const [log, message] of wrongLogs) {
      const { fault, difference } = await verify(await write("log", log), [good]);
      expect(fault ?? difference).toContain(message);
    }
    const other = { ...checkpointer.key, name: "example.com/other" };
    const wrongFiles: readonly [readonly string[], RegExp, NoteKey?][] = [
      [[await write("forged", note.replace("revision 5", "revision 4"))], /forged has a signature that isn't good/],
      [[await write("second", note + later.note.replace("revision 6", "revision 7"))], /checkpoint 2 of \S+second has/],
      [[await write("torn", note + later.note.slice(0, 99))], /torn isn't a signed note/],
      [[good], /checkpoint 1 of \S+good isn't signed by that key: .* \(the key is example\.com\/other\+/, other],
      [[await write("no-note", "hello\n")], /no-note isn't a signed note/],
      [[good, join(folder.path, "nothing")], /nothing can't be read/],
      [[folder.path], /can't be read|isn't a signed note|isn't good/],
    ];
    for (const [paths, message, key] of wrongFiles) {
      await expect(verify(whole, paths, key)).rejects.toThrow(message);
    }
  });
});

function lines(all: readonly string[]): string {
  return all.map((line) => `${line}\n`).join("");
}
