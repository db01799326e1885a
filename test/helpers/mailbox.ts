/** A real SMTP server that keeps what it is sent. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  /** Headers and body as they came, with soft line breaks undone. */
  readonly text: string;
}

export class Mailbox implements AsyncDisposable {
  readonly mails: Mail[] = [];
  readonly #server: SMTPServer;

  private constructor() {
    this.#server = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS", "AUTH"],
      onData: (stream, { envelope }, callback) => {
        const chunks: Buffer[] = [];
        stream.on("data", (chunk: Buffer) => void chunks.push(chunk));
        stream.on("end", () => {
          const { mailFrom, rcptTo } = envelope;
          this.mails.push({
            from: mailFrom === false ? "" : mailFrom.address,
            to: rcptTo.map(({ address }) => address),
            text: Buffer.concat(chunks).toString().replaceAll("=\r\n", "").replaceAll("=3D", "="),
          });
          callback();
        });
      },
    });
  }

  static async open(): Promise<Mailbox> {
    const mailbox = new Mailbox();
    const listening = mailbox.#server.listen(0, "127.0.0.1");
    await once(listening, "listening");
    return mailbox;
  }

  /** The settings of a service that sends its letters here. */
  get env(): Readonly<Record<string, string>> {
    const { port } = this.#server.server.address() as AddressInfo;
    return {
      LATCHKEY_SMTP_URL: `smtp://127.0.0.1:${port}`,
      LATCHKEY_MAIL_FROM: "Acme <accounts@acme.example>",
      LATCHKEY_PUBLIC_URL: "https://keys.acme.example/",
    };
  }

  /** The token of the link in the newest letter. */
  get token(): string {
    return /#token=([\w-]+)/.exec(this.mails.at(-1)?.text ?? "")?.[1] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#server.close(resolve));
  }
}
