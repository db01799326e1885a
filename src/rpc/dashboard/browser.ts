/** What the handlers of the dashboard ask of the browser behind a call. */
import { AppError } from "../../domain/errors.ts";
import type { Browser, Call } from "../call.ts";

/** @throws AppError of kind `permission_denied` for a call that no page of the dashboard makes */
export function requireBrowser({ browser }: Call): Browser {
  if (browser !== undefined) return browser;
  throw new AppError(
    "permission_denied",
    "Only a page of the dashboard can do this. Programs sign in with AuthService.Login.",
  );
}
