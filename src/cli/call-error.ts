/** A call that the service refused, or that didn't reach it. The message is for a person. */
export class CallError extends Error {
  override readonly name = "CallError";
}
