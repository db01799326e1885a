/** Port: letters to people. */

export interface Letter {
  /** One address. */
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** Where letters come from, and where their links lead. */
export interface MailSettings {
  /** `smtp://` or `smtps://`, with a user name and a password where the server wants them. */
  readonly smtpUrl: string;
  readonly from: string;
}

export interface Mailer {
  /** Resolves when the mail server has taken the letter. */
  send(letter: Letter): Promise<void>;
  close(): void;
}
