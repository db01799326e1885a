/** A reason to refuse the start: one line that says what to do. It is for the operator, so it may name files. */
export class StartError extends Error {
  override readonly name = "StartError";
}
