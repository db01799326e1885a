/** The way back in for people who forgot their password, with a real mail server. */
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../src/config.ts";
import type { Letter } from "../../src/domain/mail.ts";
import { Outbox } from "../../src/usecases/outbox.ts";
import { Mailbox } from "../helpers/mailbox.ts";
import { expectOk, openSurface, SURFACES, type SurfaceName } from "../helpers/surfaces.ts";
import { startTestApp, type TestApp } from "../helpers/test-app.ts";

const credentialFor = (test: TestApp, name: SurfaceName) =>
  name === "grpc" ? { bearer: test.credentials.serviceKey } : {};

/** Waits for letters that are under way. */
const delivered = ({ app }: TestApp): Promise<void> | undefined => app.outbox?.settled();

const NEW_PASSWORD = "quite another passphrase";
const DEAD = {
  ok: false,
  code: "INVALID_ARGUMENT",
  message: "token: is used up, too old, or never was: ask for another link",
};

describe.each(SURFACES)("RestorePassword through %s", (name) => {
  it("sends a link that sets a password once and ends every session", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const { adminEmail, adminPassword } = test.credentials;
    const before = expectOk(await surface.login(credential, adminEmail, adminPassword));

    expectOk(await surface.account(credential, "restorePassword", { email: ` ${adminEmail.toUpperCase()} ` }));
    await delivered(test);
    expect(mailbox.mails).toHaveLength(1);
    expect(mailbox.mails[0]).toMatchObject({ from: "accounts@acme.example", to: [adminEmail] });
    expect(mailbox.mails[0]?.text).toContain(`https://keys.acme.example/restore-password#token=${mailbox.token}`);
    // Asking for a link changes nothing by itself.
    expectOk(await surface.list({ bearer: before.accessToken }));

    const { token } = mailbox;
    const reset = (newPassword: string) => surface.account(credential, "resetPassword", { token, newPassword });
    expect(await reset("ninechars")).toMatchObject({ message: "new_password: must have at least 10 characters" });
    expectOk(await reset(NEW_PASSWORD));
    expect(await reset(NEW_PASSWORD)).toEqual(DEAD);
    expect(await surface.list({ bearer: before.accessToken })).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await surface.refresh(credential, before.refreshToken)).toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await surface.login(credential, adminEmail, adminPassword)).toMatchObject({ code: "UNAUTHENTICATED" });
    expectOk(await surface.login(credential, adminEmail, NEW_PASSWORD));
    surface.close();
  });

  it("answers the same for an address that nobody has, and sends nothing", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const surface = openSurface(test.app, name);
    const credential = credentialFor(test, name);
    const ask = async (email: string) => expectOk(await surface.account(credential, "restorePassword", { email }));
    expect(await ask("nobody@example.com")).toEqual(await ask(test.credentials.adminEmail));
    await delivered(test);
    expect(mailbox.mails.map(({ to }) => to)).toEqual([[test.credentials.adminEmail]]);
    surface.close();
  });

  it("says so where the deployment sends no mail", async () => {
    await using test = await startTestApp();
    const surface = openSurface(test.app, name);
    const asked = await surface.account(credentialFor(test, name), "restorePassword", { email: "a@example.com" });
    expect(asked).toMatchObject({
      code: "FAILED_PRECONDITION",
      message: "This deployment sends no mail: ask an admin of your organization.",
    });
    surface.close();
  });
});

describe("links to a new password", () => {
  it("work for thirty minutes, to the millisecond", async () => {
    let nowMs = Date.parse("2026-03-04T05:06:07Z");
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env, surroundings: { clock: () => nowMs } });
    const rest = openSurface(test.app, "rest");
    const { adminEmail: email } = test.credentials;
    for (const { late, answer } of [
      { late: 0, answer: DEAD },
      { late: -1, answer: { ok: true, value: {} } },
    ]) {
      expectOk(await rest.account({}, "restorePassword", { email }));
      await delivered(test);
      nowMs += 30 * 60_000 + late;
      const { token } = mailbox;
      expect(await rest.account({}, "resetPassword", { token, newPassword: NEW_PASSWORD })).toEqual(answer);
    }
  });

  it("are used up by one another, and by a change of the password", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const rest = openSurface(test.app, "rest");
    const { adminEmail: email, adminPassword } = test.credentials;
    const ask = async (): Promise<string> => {
      expectOk(await rest.account({}, "restorePassword", { email }));
      await delivered(test);
      return mailbox.token;
    };
    const reset = (token: string) => rest.account({}, "resetPassword", { token, newPassword: NEW_PASSWORD });
    const [first, second, third] = [await ask(), await ask(), await ask()];
    const outcomes = await Promise.all([reset(first), reset(first), reset(second)]);
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    expect(await reset(third)).toEqual(DEAD);

    const fourth = await ask();
    const { accessToken: bearer } = expectOk(await rest.login({}, email, NEW_PASSWORD));
    const passwords = { currentPassword: NEW_PASSWORD, newPassword: adminPassword };
    expectOk(await rest.account({ bearer }, "changePassword", passwords));
    expect(await reset(fourth)).toEqual(DEAD);
  });

  it("are five at a time: further requests send no letter, and take none of them away", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const rest = openSurface(test.app, "rest");
    for (let asked = 0; asked < 8; asked++) {
      expectOk(await rest.account({}, "restorePassword", { email: test.credentials.adminEmail }));
      await delivered(test);
    }
    expect(mailbox.mails).toHaveLength(5);
    const { token } = mailbox;
    expectOk(await rest.account({}, "resetPassword", { token, newPassword: NEW_PASSWORD }));
  });

  it("lead where the setting says, whatever host is called", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    await fetch(`http://${test.app.httpAddress}/api/v1/auth/restore-password`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "x-forwarded-host": "evil.example",
        origin: "https://evil.example",
      },
      body: JSON.stringify({ email: test.credentials.adminEmail }),
    });
    await delivered(test);
    expect(mailbox.mails[0]?.text).not.toContain("evil.example");
  });

  it("are stored as fingerprints, and are nowhere in the log or an event", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const rest = openSurface(test.app, "rest");
    expectOk(await rest.account({}, "restorePassword", { email: test.credentials.adminEmail }));
    await delivered(test);
    const { token } = mailbox;
    expect(token).toMatch(/^lkl_[\w-]{43}$/);
    test.app.deployment.logger.info({ token }, "the last step to the output");
    expectOk(await rest.account({}, "resetPassword", { token, newPassword: NEW_PASSWORD }));
    const events = await test.app.deployment.storage.listEvents({
      organizationId: undefined,
      actions: undefined,
      actor: undefined,
      target: undefined,
      from: undefined,
      until: undefined,
      after: undefined,
      limit: 1000,
    });
    expect(events.map(({ action }) => action)).toContain("user.password_restored");
    for (const text of [...test.logLines, JSON.stringify(events)]) expect(text).not.toContain(token.slice(4));
  });
});

describe("letters", () => {
  it("tell the owner of an address of both kinds of registrations, and nobody else", async () => {
    await using mailbox = await Mailbox.open();
    await using test = await startTestApp({ env: mailbox.env });
    const rest = openSurface(test.app, "rest");
    const request = { password: "difference engine", organizationName: "Buy now at https://evil.example" };
    for (const email of ["ada@example.com", test.credentials.adminEmail]) {
      expectOk(await rest.account({}, "register", { ...request, email }));
      await delivered(test);
    }
    const [made, known] = mailbox.mails;
    expect(made?.to).toEqual(["ada@example.com"]);
    expect(made?.text).toContain("you can sign in");
    expect(known?.to).toEqual([test.credentials.adminEmail]);
    expect(known?.text).toContain("has an account already");
    // A stranger can't have us send advertisements.
    for (const { text } of mailbox.mails) expect(text).not.toContain("evil.example");
  });

  const letter: Letter = { to: "ada@example.com", subject: "Hello", text: "Hello" };

  /** An outbox whose server refuses the first so many letters. */
  const refusing = (refusals: number) => {
    const lines: unknown[] = [];
    const log = (fields: object, message: string): void => void lines.push({ ...fields, message });
    const sent: Letter[] = [];
    let left = refusals;
    const outbox = new Outbox({
      mailer: {
        async send(one) {
          if (left-- > 0)
            throw Object.assign(new Error("550 ada@example.com is busy"), { code: "EENVELOPE", responseCode: 550 });
          sent.push(one);
        },
        close: () => {},
      },
      logger: { debug: log, info: log, warn: log, error: log },
      retryDelaysMs: [1, 1],
    });
    return { outbox, sent, lines };
  };

  it("are tried again, and given up in the log without the address", async () => {
    const twice = refusing(2);
    twice.outbox.post(() => letter);
    await twice.outbox.settled();
    expect(twice.sent).toEqual([letter]);
    expect(twice.lines).toEqual([]);

    const always = refusing(3);
    always.outbox.post(() => letter);
    await always.outbox.settled();
    expect(always.sent).toEqual([]);
    expect(always.lines).toEqual([
      { code: "EENVELOPE", responseCode: 550, name: "Error", message: "a letter could not be sent" },
    ]);
  });

  it("wait in a queue with an end, and none is taken after a stop", async () => {
    const { outbox, sent, lines } = refusing(0);
    for (let posted = 0; posted < 1_005; posted++) outbox.post(() => letter);
    await outbox.settled();
    expect(sent).toHaveLength(1_000);
    expect(lines).toHaveLength(5);
    await outbox.stop();
    outbox.post(() => letter);
    expect(sent).toHaveLength(1_000);
    expect(lines).toHaveLength(6);
  });

  it("never keep an answer waiting: the mail server may say nothing at all", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as { port: number };
    await using mailbox = await Mailbox.open();
    const test = await startTestApp({ env: { ...mailbox.env, LATCHKEY_SMTP_URL: `smtp://127.0.0.1:${port}` } });
    const rest = openSurface(test.app, "rest");
    expectOk(await rest.account({}, "restorePassword", { email: test.credentials.adminEmail }));
    silent.close();
    await test[Symbol.asyncDispose]();
  });
});

describe("the settings of mail", () => {
  const faultsOf = (env: Readonly<Record<string, string>>): string => {
    try {
      loadConfig(env, {});
      return "";
    } catch (error) {
      return String(error);
    }
  };

  it("need each other, and no fault shows the password", () => {
    expect(faultsOf({ LATCHKEY_SMTP_URL: "smtps://u:secret@mail.example.com" })).toContain(
      "LATCHKEY_PUBLIC_URL is needed",
    );
    expect(faultsOf({ LATCHKEY_SMTP_URL: "smtps://u:secret@mail.example.com" })).toContain(
      "LATCHKEY_MAIL_FROM must be",
    );
    for (const url of ["https://u:secret@mail.example.com", "smtp://", "secret", "smtp://%zz:secret@x"]) {
      const faults = faultsOf({
        LATCHKEY_SMTP_URL: url,
        LATCHKEY_MAIL_FROM: "a@example.com",
        LATCHKEY_PUBLIC_URL: "https://x.example",
      });
      expect(faults, url).toContain("LATCHKEY_SMTP_URL must be a URL");
      expect(faults).not.toContain("secret");
    }
    for (const url of ["ftp://x.example", "https://u:p@x.example", "https://x.example/?a=b", "x"]) {
      expect(faultsOf({ LATCHKEY_PUBLIC_URL: url }), url).toContain("LATCHKEY_PUBLIC_URL must be a URL");
    }
  });
});
