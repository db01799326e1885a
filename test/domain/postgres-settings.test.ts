/** What a PostgreSQL URL means, and what is refused of it. */
import { describe, expect, it } from "vitest";
import { nameOfPostgres, type PostgresAddress, readPostgresUrl } from "../../src/domain/postgres-settings.ts";

function read(url: string): PostgresAddress {
  const address = readPostgresUrl(url);
  if (typeof address === "string") throw new Error(address);
  return address;
}

describe("a PostgreSQL URL", () => {
  it("names a host, a port, a user, a password and a database", () => {
    expect(read("postgresql://us%40er:pass%2Fw%3Ard@db.example.com:6432/la%20tch")).toEqual({
      host: "db.example.com",
      port: 6432,
      user: "us@er",
      password: "pass/w:rd",
      database: "la tch",
      tls: "verify",
      rootCertificateFile: undefined,
      certificateFile: undefined,
      keyFile: undefined,
    });
    expect(read("postgres://me@[2001:db8::1]/db")).toMatchObject({
      host: "2001:db8::1",
      port: 5432,
      password: undefined,
    });
    expect(read("postgres://me@socket/db?host=/run/postgresql")).toMatchObject({ host: "/run/postgresql", tls: "off" });
  });

  it.each([
    ["localhost", "", "off"],
    ["127.0.0.1", "", "off"],
    ["[::1]", "", "off"],
    ["db", "", "verify"],
    ["10.0.0.1", "", "verify"],
    ["localhost.example.com", "", "verify"],
    ["localhost", "?sslmode=verify-full", "verify"],
    ["db", "?sslmode=require", "encrypt"],
    ["db", "?sslmode=disable", "off"],
  ])("of %s%s has its server verified, or not: %s", (host, query, tls) => {
    expect(read(`postgres://me@${host}/db${query}`).tls).toBe(tls);
  });

  it("names the files of certificates", () => {
    const files = "sslrootcert=/ca.pem&sslcert=/me.pem&sslkey=/me.key";
    expect(read(`postgres://me@db/db?${files}`)).toMatchObject({
      rootCertificateFile: "/ca.pem",
      certificateFile: "/me.pem",
      keyFile: "/me.key",
    });
  });

  it.each([
    ["mysql://me@db/db", /must be a URL such as/],
    ["postgres://", /must name a user/],
    ["postgres://db/db", /must name a user/],
    ["postgres://me:hunter2@db", /must name a database/],
    ["postgres://me:hunter2@db/a/b", /must name a database/],
    ["postgres://me:hunter2%zz@db/db", /percent sign/],
    ["postgres://me:hunter2@db/db?sslmode=allow", /must have one of disable, require, verify-full as its sslmode/],
    ["postgres://me:hunter2@db/db?sslmode=", /^$/],
    ["postgres://me:hunter2@db/db?options=-csearch_path", /may have host, sslmode/],
  ])("that is %s is refused without a part of it, if it is", (url, fault) => {
    const outcome = readPostgresUrl(url);
    const text = typeof outcome === "string" ? outcome : "";
    expect(text).toMatch(fault);
    expect(text).not.toContain("hunter2");
  });

  it("has a name for people, without the password", () => {
    expect(nameOfPostgres(read("postgres://me:hunter2@db.example.com/keys"))).toBe(
      "postgres://me@db.example.com:5432/keys",
    );
    expect(nameOfPostgres(read("postgres://me:hunter2@[::1]:1/keys"))).toBe("postgres://me@[::1]:1/keys");
    expect(nameOfPostgres(read("postgres://me@socket/keys?host=/run/pg"))).toBe("postgres://me@/run/pg:/keys");
  });
});
