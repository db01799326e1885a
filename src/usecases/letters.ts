/** What the letters to people say. They hold no name that a stranger chose. */
import type { Letter } from "../domain/mail.ts";

/**
 * The link stands behind a `#`: browsers keep that part to themselves, so no log and no referrer gets the token.
 *
 * @param publicUrl where the dashboard is
 */
export function restoreLetter(to: string, publicUrl: string, token: string): Letter {
  return {
    to,
    subject: "Choose a new password",
    text: [
      `Somebody, you we hope, asked for a new password for ${to} at ${publicUrl}.`,
      "",
      "Choose one within 30 minutes; the link works once:",
      "",
      `${publicUrl}/restore-password#token=${token}`,
      "",
      "If that wasn't you, there is nothing to do: the old password works as before.",
      "",
    ].join("\n"),
  };
}

export function welcomeLetter(to: string, publicUrl: string): Letter {
  return {
    to,
    subject: "Your account",
    text: [
      `There is an account for ${to} at ${publicUrl} now: you can sign in.`,
      "",
      "If it wasn't you who registered, take the account from whoever did with a new password:",
      "",
      `${publicUrl}/restore-password`,
      "",
    ].join("\n"),
  };
}

/** To somebody with whose address somebody wanted to register. */
export function knownAddressLetter(to: string, publicUrl: string): Letter {
  return {
    to,
    subject: "Your account",
    text: [
      `Somebody, you perhaps, wanted to register ${to} at ${publicUrl}, where it has an account already.`,
      "",
      "If it was you, sign in, or choose a new password:",
      "",
      `${publicUrl}/restore-password`,
      "",
      "If it wasn't, there is nothing to do: nothing was changed.",
      "",
    ].join("\n"),
  };
}

/** It names neither the organization nor who invites: anybody can register with a name that is an advertisement. */
export function invitationLetter(to: string, link: string, publicUrl: string): Letter {
  return {
    to,
    subject: "You are invited",
    text: [
      `Somebody invited ${to} to their organization at ${publicUrl}.`,
      "",
      "Accept it within 7 days; the link works once:",
      "",
      link,
      "",
      "If you don't know what this is about, there is nothing to do.",
      "",
    ].join("\n"),
  };
}
