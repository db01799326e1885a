/** A person's session, as `login` keeps it in the configuration file. */
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { AuthService, type LoginResponse, type RefreshTokenResponse } from "../../gen/latchkey/v1/auth_pb.ts";
import { CommandError } from "./command-error.ts";
import { changeConfigFile, configFileOf, type Session } from "./config-file.ts";
import { EXIT } from "./exit-codes.ts";
import type { Program } from "./program.ts";
import { callPublic } from "./public-call.ts";

/** So long before its end an access token isn't used any more: the call takes time, and clocks differ. */
const MARGIN_MS = 60_000;

/** What is kept of a sign-in, or of a refresh of it. */
export function sessionOf(
  answer: LoginResponse | RefreshTokenResponse,
  { url, email }: Pick<Session, "url" | "email">,
): Session {
  const { accessToken, refreshToken, accessTokenExpiresAt } = answer;
  const expiresAt = accessTokenExpiresAt === undefined ? new Date(0) : timestampDate(accessTokenExpiresAt);
  return { url, email, accessToken, accessTokenExpiresAt: expiresAt.toISOString(), refreshToken };
}

/**
 * The session's access token; another one when it is about to expire. Each refresh token works once and a second
 * use ends the session, so of several processes one refreshes, and the others wait and take what it got.
 *
 * @throws CommandError when the session is over, or the service doesn't answer
 */
export async function accessTokenOf(session: Session, program: Program): Promise<string> {
  if (isFresh(session)) return session.accessToken;
  const { session: next } = await uninterrupted(() =>
    changeConfigFile(configFileOf(program), async (kept) => {
      // Another process was faster, or signed out.
      if (kept.session === undefined || isFresh(kept.session)) return kept;
      return { ...kept, session: await refresh(kept.session, program) };
    }),
  );
  if (next === undefined) throw isOver(program);
  return next.accessToken;
}

function isFresh({ accessTokenExpiresAt }: Session): boolean {
  return Date.parse(accessTokenExpiresAt) - MARGIN_MS > Date.now();
}

async function refresh(session: Session, program: Program): Promise<Session> {
  const { url, refreshToken } = session;
  try {
    return sessionOf(await callPublic(url, AuthService.method.refreshToken, { refreshToken }), session);
  } catch (error) {
    throw error instanceof CommandError && error.exitCode === EXIT.refused ? isOver(program) : error;
  }
}

function isOver({ name }: Program): CommandError {
  return new CommandError(`your session is over: sign in again with \`${name} login\``, EXIT.refused);
}

/** Keeps Ctrl-C waiting: an answer that is lost, or not written down, takes the session with it. */
async function uninterrupted<T>(work: () => Promise<T>): Promise<T> {
  const waiting: NodeJS.Signals[] = [];
  const keep = (signal: NodeJS.Signals): void => void waiting.push(signal);
  process.on("SIGINT", keep).on("SIGTERM", keep);
  try {
    return await work();
  } finally {
    process.off("SIGINT", keep).off("SIGTERM", keep);
    const [signal] = waiting;
    if (signal !== undefined) process.kill(process.pid, signal);
  }
}
