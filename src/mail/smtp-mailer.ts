/** Sends letters through an SMTP server. */
import { isIP } from "node:net";
import { createTransport } from "nodemailer";
import { addressMatches } from "../domain/address.ts";
import type { Mailer, MailSettings } from "../domain/mail.ts";

/** A server that says nothing for so long won't take the letter. */
const SILENCE_MS = 10_000;

/** Connects for each letter, by TLS: at once with `smtps`, by STARTTLS with `smtp` unless the server is on this machine. */
export function createSmtpMailer({ smtpUrl, from }: MailSettings): Mailer {
  const url = new URL(smtpUrl);
  const secure = url.protocol === "smtps:";
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const transport = createTransport({
    host,
    port: url.port === "" ? (secure ? 465 : 587) : Number(url.port),
    secure,
    requireTLS: !secure && !isLoopback(host),
    ...(url.username === ""
      ? {}
      : { auth: { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) } }),
    connectionTimeout: SILENCE_MS,
    greetingTimeout: SILENCE_MS,
    socketTimeout: SILENCE_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return {
    async send({ to, subject, text }) {
      // As an object, so that an address is one address whatever stands in it.
      await transport.sendMail({ from, to: { name: "", address: to }, subject, text });
    },
    close: () => transport.close(),
  };
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 0) return host === "localhost";
  return ["127.0.0.0/8", "::1"].some((block) => addressMatches(block, host));
}
